// Runs the conformance suite on an engine: each check in a worker process of its own, so that a check that
// crashes, exits or hangs is one result like the others, and the rest still runs. The last check is no part
// of the suite: workers are killed in the middle of batches, by what the driver knows of kills, and what they
// leave is recovered and compared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "harness/campaign/stop.h"
#include "harness/report/trials.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

struct ConformOptions {
  std::uint64_t seed = 0;  // of the differential checks
  std::filesystem::path worker;
  std::uint32_t hang_ms = 60'000;  // bound of a check
  std::string fault;               // planted for the kills, or empty
  // Called with each result when it is there. May be null.
  std::function<void(const report::ConformResult&)> on_check = nullptr;
};

// The check that kills.
inline constexpr const char* kKillCheck =
    "a kill inside a batch leaves all of it or nothing, in all keyspaces";

using report::ConformResult;

// Works in `directory`, which exists. Ends early when asked to stop.
std::vector<ConformResult> run_conformance(const wire::Hello& hello, const wire::EngineDescription& engine,
                                           const ConformOptions& options,
                                           const std::filesystem::path& directory, StopSignal& stop);

}  // namespace chaosgate::campaign
