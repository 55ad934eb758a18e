#include "harness/campaign/engine_bench.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/engines.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
namespace fs = std::filesystem;

namespace {

struct Rig {
  explicit Rig(std::vector<std::string> engines) {
    config.key.seed = 11;
    config.key.workload = "kubernetes";
    config.key.plan.free_running = false;
    config.engines = std::move(engines);
    config.worker = CHAOSGATE_WORKER;
    options.entries = 1200;
    options.rounds = 2;
  }

  EngineBenchResult run() {
    return compare_engines(config, read_hello(config.worker), options, directory.path(), stop,
                           [this](const std::string& line) { progress.push_back(line); });
  }

  TempDir directory{fs::temp_directory_path(), "chaosgate-engine-bench-test-"};
  StopSignal stop;
  CampaignConfig config;
  EngineBenchOptions options;
  std::vector<std::string> progress;
};

}  // namespace

TEST_CASE("engines under one load end in one state and every number comes from work that was done",
          "[threads]") {
  Rig rig({"lmdb", "rocksdb"});
  const EngineBenchResult result = rig.run();
  CHECK(result.violations.empty());
  CHECK(rig.progress == std::vector<std::string>{"round 1 of 2", "round 2 of 2"});
  CHECK(fs::is_empty(rig.directory.path()));
  REQUIRE(result.engines.size() == 2);
  const EngineRound& first = result.engines[0].rounds.at(0);
  CHECK(first.load.entries >= 1200);
  CHECK(first.load.operations > first.load.entries);
  CHECK(first.live_keys > 20'000);
  for (const ComparedEngine& engine : result.engines) {
    INFO(engine.name);
    REQUIRE(engine.rounds.size() == 2);
    for (const EngineRound& round : engine.rounds) {
      // The same work ...
      CHECK(round.load.entries == first.load.entries);
      CHECK(round.load.operations == first.load.operations);
      CHECK(round.load.batch_bytes == first.load.batch_bytes);
      CHECK(round.load.log_written_bytes == first.load.log_written_bytes);
      CHECK(round.state_hash == first.state_hash);
      CHECK(round.live_bytes == first.live_bytes);
      // ... which left its traces.
      // Less than once each: what is overwritten in memory is never written.
      CHECK(round.load.engine_written_bytes > round.load.batch_bytes / 2);
      CHECK(round.load.engine_us < round.load.total_us);
      CHECK(round.recovery.disk_bytes >= round.live_bytes);
      CHECK(round.recovery.used_bytes > 0);
      CHECK(round.recovery.compacted_bytes >= round.live_bytes);
      CHECK(round.load.resident_kib > 0);
    }
  }
  // The kill leaves nothing to replay to an engine that syncs each batch, and the tail to one that does not.
  CHECK(result.engines[0].rounds[0].replay_entries == 0);
  CHECK(result.engines[1].rounds[0].replay_entries >= wire::kBenchTailEntries);
}

TEST_CASE("a comparison says which engine broke what", "[threads]") {
  Rig rig({"lmdb"});
  rig.options.rounds = 1;
  rig.config.key.fault = "delete-range-off-by-one";
  const EngineBenchResult result = rig.run();
  REQUIRE_FALSE(result.violations.empty());
  CHECK(result.violations.front().starts_with("lmdb: state."));
}

TEST_CASE("a worker that cannot load makes the comparison fail", "[threads]") {
  Rig rig({"lmdb"});
  rig.config.key.workload = "nosuch";
  CHECK_THROWS(rig.run());
  CHECK(fs::is_empty(rig.directory.path()));
}

TEST_CASE("a value is the median of the rounds and a ratio the median of the ratios within each round") {
  EngineBenchResult result;
  const auto rounds = [](const std::vector<std::uint64_t>& compact_us) {
    std::vector<EngineRound> all(compact_us.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      all[i].recovery.compact_us = compact_us[i];
    }
    return all;
  };
  result.engines.resize(2);
  result.engines[0].rounds = rounds({1000, 2000, 4000});
  result.engines[1].rounds = rounds({3000, 4000, 4000});
  const std::vector<Comparison> lines = result.comparisons();
  const auto line = [&](const std::string& name) {
    const auto found =
        std::find_if(lines.begin(), lines.end(), [&](const Comparison& each) { return each.name == name; });
    REQUIRE(found != lines.end());
    return *found;
  };
  CHECK(line("compact_ms").medians == std::vector<double>{2, 4});
  CHECK(line("compact_ms").ratios == std::vector<std::optional<double>>{1.0, 2.0});
  // The first engine has 0 of it: there is no ratio.
  CHECK(line("open_ms").medians == std::vector<double>{0, 0});
  CHECK(line("open_ms").ratios == std::vector<std::optional<double>>{std::nullopt, std::nullopt});
  result.engines[0].rounds = rounds({1000, 4000});
  result.engines[1].rounds = rounds({1000, 8000});
  CHECK(result.comparisons().size() == lines.size());
  for (const Comparison& each : result.comparisons()) {
    if (each.name == "compact_ms") {
      CHECK(each.medians == std::vector<double>{2.5, 4.5});
      CHECK(each.ratios == std::vector<std::optional<double>>{1.0, 1.5});
    }
  }
}
