// Bundles and regressions that somebody made by hand: a clear error, and nothing of it is used.
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/replay.h"

using namespace chaosgate;
using namespace chaosgate::campaign;

namespace fs = std::filesystem;

namespace {

struct Found {
  Bundle bundle;
  fs::path image;
};

// A finding of a planted fault, and its image in `directory`.
Found find(const fs::path& directory) {
  LaneOptions options;
  options.key.seed = 3;
  options.key.fault = "half-batch";
  options.engine = "lmdb";
  options.worker = CHAOSGATE_WORKER;
  options.directory = directory / "lane";
  Lane lane(options, nullptr);
  for (;;) {
    const report::CycleEvent event = lane.run_cycle(false);
    if (lane.evidence()) {
      fs::copy(lane.evidence()->image, directory / "image", fs::copy_options::recursive);
      return {lane.bundle(event), directory / "image"};
    }
  }
}

}  // namespace

TEST_CASE("a bundle whose worker's term had begun before is refused, not a fault of ours") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-hostile-test-");
  const Found found = find(directory.path());
  StopSignal stop;
  const std::uint64_t term = found.bundle.recovery.order.term;
  const auto replay_in = [&](const Bundle& bundle, const char* name) {
    return replay_bundle(bundle, found.image, directory.path() / name, CHAOSGATE_WORKER, 60'000, stop);
  };
  REQUIRE(term > 2);
  for (const std::uint64_t wrong : {0, 1}) {
    Bundle bundle = found.bundle;
    bundle.recovery.order.term = wrong;
    CHECK_THROWS_AS(replay_in(bundle, wrong == 0 ? "zero" : "before"), UsageError);
  }
  CHECK_FALSE(replay_in(found.bundle, "right").violations.empty());
}

TEST_CASE("a key that nothing can be planned from is refused where it is read") {
  const nlohmann::json good = PlanKey{};
  CHECK_NOTHROW(good.get<PlanKey>());
  const auto refused = [&](const nlohmann::json& patch) {
    INFO(patch.dump());
    nlohmann::json key = good;
    key.update(patch);
    CHECK_THROWS_AS(key.get<PlanKey>(), nlohmann::json::exception);
  };
  refused({{"timer_us_max", 0}});
  refused({{"timer_us_max", 4'000'000'000U}});
  refused({{"segment_bytes", 0}});
  refused({{"segment_bytes", UINT64_MAX}});
  refused({{"timer", false}, {"step", false}, {"call", false}});
  refused({{"free_running", false}, {"scheduled", false}});
  refused({{"seed", "7"}});
}

TEST_CASE("a regression that nothing can be planned from is an error that names its line") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-hostile-test-");
  nlohmann::json key = PlanKey{};
  key["timer_us_max"] = 0;
  fs::create_directories(directory.path() / "regressions");
  replace_file(directory.path() / "regressions" / "lmdb.jsonl",
               nlohmann::json{{"key", key},
                              {"protocol", "sidecar"},
                              {"lane", 0},
                              {"cycle", 1},
                              {"plan", crash::to_string(crash::CyclePlan{})},
                              {"invariant", "state.prefix"}}
                       .dump() +
                   "\n");
  CHECK_THROWS_WITH(read_regressions(directory.path(), "lmdb", RegressionOf::kill),
                    Catch::Contains("lmdb.jsonl:1") && Catch::Contains("timer_us_max 0"));
}
