// A sweep leaves nothing to chance: for a small load it dies once before, once after and, for writes that a
// kill can cut, once inside *every* storage call, and judges each recovery in full.
//
// Two parts. "load": every call from the word to load up to the load's end; after each death the data
// directory is recovered and judged. "recovery": the load dies at one place that leaves a lot to do; every
// call of the recovery that follows (opening log and engine, cutting the suffix, replay, flush, checks) is
// died at, and a further recovery is judged. All points start from copies of the same data directory, with
// scheduled maintenance, so the calls are the same each time; a point that is not reached is reported and
// makes the sweep inconclusive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/event.h"
#include "harness/report/writers.h"

namespace chaosgate::campaign {

struct SweepOptions : LaneTarget {
  std::uint32_t entries = 60;  // of the load
  std::uint32_t threads = 2;
  std::uint32_t failures_max = 3;
};

struct SweepResult {
  std::uint64_t load_calls = 0;  // storage calls of the load and of the recovery, without informational files
  std::uint64_t recovery_calls = 0;
  std::uint64_t points = 0;  // planned
  std::uint64_t judged = 0;  // died there as ordered, recovered, and judged in full
  // Points by "class call", and by phase of the protocol.
  std::map<std::string, std::uint64_t> by_call;
  std::map<std::string, std::uint64_t> by_phase;
  std::vector<std::string> missed;             // points that were not reached
  std::vector<report::CycleEvent> failures;    // cycles with a violation or an abnormal end
  std::vector<std::filesystem::path> bundles;  // of the failures
  std::string harness_fault;                   // why it ended early, or empty
  bool complete = false;                       // not stopped, and not ended by failures_max
};

// Works in `directory`, which exists; bundles go to `failures`, which is made when there is one. `progress`
// may be null. Throws UsageError when workers cannot be tapped here; a fault of the machine ends it, and is
// said beside what was found by then.
SweepResult run_sweep(const SweepOptions& options, const std::filesystem::path& directory,
                      const std::filesystem::path& failures, StopSignal& stop, report::Progress* progress);

}  // namespace chaosgate::campaign
