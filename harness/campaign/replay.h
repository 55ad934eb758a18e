// Replay runs one failure again: from its seed, or from the disk image in its bundle.
//
// From the seed the lane is run from its first cycle up to the wanted one. What the seed fixes: operations,
// plans, and, for step kills under scheduled maintenance, the exact place of each crash. What it cannot: when
// a timer fires, and what an engine's own threads do. From the bundle the recovery starts on the very bytes
// that failed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/campaign/bundle.h"
#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/event.h"

namespace chaosgate::campaign {

// One repetition.
struct ReplayRun {
  std::vector<report::ViolationEvent> violations;
  std::string abnormal;      // a death nobody ordered, or an error; empty when there was none
  report::CycleEvent event;  // from the seed: of the wanted cycle, or of the one that failed before it
  bool reached = false;      // from the seed: the wanted cycle was run
  // Why this says nothing: it was interrupted, a worker was ended from outside, or the worker itself cannot
  // do what it is told. Empty when it came to its verdict.
  std::string not_judged;
  std::vector<tap::TraceRecord> records;  // of that cycle or load, when they were asked for
  // Of a load: disk images that were judged, those that failed, and findings that the engine does not promise
  // to be without, one line each.
  std::uint64_t images = 0;
  std::uint64_t images_failed = 0;
  std::vector<std::string> not_promised;
};

struct SeedReplay : LaneTarget {
  std::uint64_t cycle = 0;
  bool as_planned = false;                          // do not pin the cycles before
  bool trace = false;                               // take down the storage calls of the wanted cycle
  std::map<std::uint64_t, crash::CyclePlan> given;  // instead of what the seed plans
};

// One load of a campaign of power cuts. Findings cite it as "lane 1 load 3".
struct LoadReplay {
  CampaignConfig config;  // of that campaign: what its lane did before decides what the load begins with
  wire::EngineDescription engine;
  std::uint64_t lane = 0;
  std::uint64_t load = 0;
  bool trace = false;  // take down its storage calls, and judge no image of it
};

// Whether a run shows what the bundle is of: one of its invariants, or an abnormal end when it has none.
bool is_same_finding(const Bundle& bundle, const ReplayRun& run);

// Runs it once, in `directory`, which must not exist.
ReplayRun replay_seed(const SeedReplay& replay, const std::filesystem::path& directory, StopSignal& stop);

// Runs the lane up to that load, and judges the images of it, in `directory`, which must not exist. With
// scheduled maintenance it does what the campaign did. Throws UsageError when calls cannot be seen.
ReplayRun replay_load(const LoadReplay& replay, const std::filesystem::path& directory, StopSignal& stop);

// Runs a bundle's recovery once on a copy of `image`, in `directory`, which must not exist. REQUIRES: the
// engine is there. A bundle of a load that failed runs that load again.
ReplayRun replay_bundle(const Bundle& bundle, const std::filesystem::path& image,
                        const std::filesystem::path& directory, const std::filesystem::path& worker,
                        std::uint32_t hang_ms, StopSignal& stop);

}  // namespace chaosgate::campaign
