// CrashPoint is an ordered death at a protocol step: which step, which occurrence, and how.
//
// A value with a printable form that parses back: "before-log-sync#3", "inside-log-append#2~417" (write
// up to the last border of pages in the first 417/1000 of the bytes), "during-flush#1+250us" (250
// microseconds into the call, or when it returns, whichever is first).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "harness/base/step.h"

namespace chaosgate {

struct CrashPoint {
  Step step = Step::before_log_append;
  std::uint64_t occurrence = 1;  // counted from 1 in each process
  std::uint32_t permille =
      0;  // inside_log_append: share of the bytes, 0..999; what is carried out ends at a page
  std::uint32_t delay_us = 0;  // spans: delay from the begin of the call

  bool operator==(const CrashPoint&) const = default;
};

std::string to_string(const CrashPoint& point);
std::optional<CrashPoint> parse_crash_point(std::string_view text);

}  // namespace chaosgate
