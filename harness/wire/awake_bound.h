// AwakeBound bounds a wait by the time during which this process was awake.
//
// A driver that is stopped (Ctrl-Z, SIGSTOP), suspended with its machine, or starved of processor time did
// not look, so nothing is known of what it waits for: such time must not make anything overdue. Who waits
// looks at least every kLookEveryNs, and a longer time between two looks counts as kGapNsMax, or a tenth of
// the bound, at most. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

#include "harness/wire/flight_recorder.h"

namespace chaosgate::wire {

class AwakeBound {
 public:
  static constexpr std::uint64_t kLookEveryNs = 100'000'000;
  static constexpr std::uint64_t kGapNsMax = 1'000'000'000;

  AwakeBound(std::uint64_t bound_ms, std::uint64_t now_ns)
      : bound_ns_(bound_ms * 1'000'000), looked_ns_(now_ns) {}
  explicit AwakeBound(std::uint64_t bound_ms) : AwakeBound(bound_ms, monotonic_ns()) {}

  // A look at `now_ns`, which never falls: whether the bound is used up.
  bool look(std::uint64_t now_ns) {
    used_ns_ += std::min(now_ns - looked_ns_, std::clamp(bound_ns_ / 10, 2 * kLookEveryNs, kGapNsMax));
    looked_ns_ = now_ns;
    return used_ns_ >= bound_ns_;
  }
  bool used_up() const { return used_ns_ >= bound_ns_; }
  // How long the next wait may last: until the next look, or until the bound is used up.
  std::uint64_t next_wait_ns() const {
    return std::min(kLookEveryNs, bound_ns_ - std::min(used_ns_, bound_ns_));
  }
  // Something was done: the whole bound is ahead again.
  void restart() { used_ns_ = 0; }

 private:
  std::uint64_t bound_ns_;
  std::uint64_t looked_ns_;
  std::uint64_t used_ns_ = 0;
};

}  // namespace chaosgate::wire
