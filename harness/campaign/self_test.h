// The self-test runs the gate against every planted fault, and against the correct engines, to show that it
// can fail and does not fail for nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/campaign_report.h"
#include "harness/report/writers.h"

namespace chaosgate::campaign {

struct SelfTestOptions {
  std::vector<std::uint64_t> seeds;
  std::vector<std::string> faults;  // empty: all
  std::uint64_t kills_max = 3000;   // a fault that is not found in so many is missed
  // For one that needs a power cut: images of each profile that must not show it, and four times as many of
  // the one that must.
  std::uint64_t images_max = 800;
  std::vector<std::string> control_engines;  // correct configurations to run beside; empty: all
  std::uint64_t control_kills = 0;  // kills of each correct configuration and protocol, for each seed
  std::filesystem::path worker;
  std::uint32_t hang_ms = 60'000;
  std::uint32_t threads = 2;
  // Called with the row of each planted fault when it was tried, and at the end of those that were not; by
  // one thread at a time. May be null.
  std::function<void(std::size_t number, const report::FaultResult&)> on_fault;
  // The same for correct configurations that were run.
  std::function<void(std::size_t number, const report::ControlResult&)> on_control;
};

using report::ControlResult;

struct SelfTestResult {
  std::vector<report::FaultResult> faults;  // in the order of the faults, then of the seeds
  std::vector<ControlResult> controls;
};

// Works in `directory`, which exists. `progress` may be null. Throws UsageError for an unknown fault.
SelfTestResult run_self_test(const SelfTestOptions& options, const wire::Hello& hello,
                             const std::filesystem::path& directory, StopSignal& stop,
                             report::Progress* progress);

}  // namespace chaosgate::campaign
