// Takes the bundle of a power cut, finds the smallest loss that still fails, and writes a smaller bundle.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "harness/campaign/bundle.h"
#include "harness/campaign/stop.h"

namespace chaosgate::campaign {

struct MinimizeResult {
  std::string invariant;    // that every one of the smaller images breaks, too
  std::string sentence;     // which change had to be durable before which other one, and was not
  std::string profile;      // the weakest that allows the image
  std::uint64_t tests = 0;  // images that were judged for it
  bool minimal = false;     // nothing more can be put back; false: the tests ran out
  std::uint64_t lost_before = 0, lost_after = 0;    // micro-operations lost or torn
  std::uint64_t calls_before = 0, calls_after = 0;  // storage calls in the bundle's trace
  Bundle bundle;                                    // the smaller one, for write_bundle() with these:
  PowerCase power;
  std::filesystem::path image;
};

// First over the pending micro-operations (delta debugging), then over the calls of the load: those that
// everything lost came after become part of the base. Works in `directory`, which exists; `result.image` and
// `result.power.base` are in it. Throws UsageError when the bundle is of no power cut, or its image does not
// fail here.
MinimizeResult minimize_bundle(const Bundle& bundle, const wire::EngineDescription& engine,
                               const std::filesystem::path& directory, const std::filesystem::path& worker,
                               std::uint32_t hang_ms, std::uint32_t tests_max, StopSignal& stop);

}  // namespace chaosgate::campaign
