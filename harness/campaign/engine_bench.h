// Comparing engines: the same load on each, in turn, and every number beside the first engine's.
//
// A round gives each engine the same entries in a new directory. A worker loads and is killed; another
// recovers, is judged by the oracle as in a campaign, and opens and compacts the store. Rounds begin with
// another engine each time, so that the noise of the machine hits all alike. A number is the median of the
// rounds; a ratio is the median of the rounds' ratios, each within one round.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/event.h"
#include "harness/wire/engine_bench.h"

namespace chaosgate::campaign {

struct EngineBenchOptions {
  std::uint32_t entries = 10'000;  // of the measured load
  std::uint32_t rounds = 5;
};

// One engine in one round.
struct EngineRound {
  wire::LoadMeasured load;
  wire::RecoveryMeasured recovery;
  std::uint64_t recovery_us = 0;     // opening log and engine after the kill, and replay
  std::uint64_t replay_entries = 0;  // applied by that replay
  std::uint64_t live_keys = 0;       // in the end
  std::uint64_t live_bytes = 0;      // their keys and values
  std::uint64_t state_hash = 0;      // of all keyspaces, in the end
};

struct ComparedEngine {
  std::string name;
  std::string version;
  std::string commit_survives;
  std::string flush_survives;
  std::vector<EngineRound> rounds;
};

// One line of the result, with a value for each engine.
struct Comparison {
  std::string name;  // for programs: "compact_ms"
  std::string text;  // for people: "compaction, ms"
  int decimals = 0;
  std::vector<double> medians;
  std::vector<std::optional<double>> ratios;  // to the first engine; none where that has 0
};

struct EngineBenchResult {
  std::string workload;
  std::string protocol;
  std::string maintenance;
  std::vector<ComparedEngine> engines;
  // Broken invariants, each with its engine in front; replica.equal when the engines do not end in one state.
  std::vector<std::string> violations;

  // REQUIRES: each engine has as many rounds as the first, at least one.
  std::vector<Comparison> comparisons() const;
};

// `config.engines`: names of configurations that `hello` has. `directory` exists; what is made in it is
// removed. `progress` is told of each round, one line. Throws EnvironmentError when a worker ends otherwise
// than it should, or on a stop.
EngineBenchResult compare_engines(const CampaignConfig& config, const wire::Hello& hello,
                                  const EngineBenchOptions& options, const std::filesystem::path& directory,
                                  StopSignal& stop, const std::function<void(const std::string&)>& progress);

}  // namespace chaosgate::campaign
