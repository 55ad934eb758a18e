// From a disk image that fails to the reason: the smallest loss that still fails, in one sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "harness/disk/order.h"

namespace chaosgate::disk {

struct MinimizeOptions {
  std::uint32_t tests_max = 400;  // calls of `fails`
};

struct Minimized {
  ImageSpec spec;
  std::uint32_t tests = 0;
  // Nothing that is lost can be put back, under this profile, without the image passing. False when tests_max
  // came first.
  bool minimal = false;
};

// Puts lost operations back, first whole calls and then micro-operations, as long as the image still fails
// and is legal (delta debugging), then moves the cut to earlier. An image that loses nothing stands for a
// sequence of calls that is not atomic. `fails` must be a function of the image alone. REQUIRES: failing is
// legal under `order`, and fails(failing).
Minimized minimize(const Order& order, const ImageSpec& failing,
                   const std::function<bool(const ImageSpec&)>& fails, MinimizeOptions options = {});

// One sentence, best on a minimized spec: which operations had to be durable before which other one, and were
// not; where there are many, the first three. For example "write of bytes 4096..8191 of
// engine/MANIFEST-000005 (manifest, record 17) was lost while rename engine/CURRENT.dbtmp -> engine/CURRENT
// (current, record 19) survived". REQUIRES: fits(history, spec).
std::string explain(const History& history, const ImageSpec& spec);

}  // namespace chaosgate::disk
