#include "harness/campaign/lane.h"

#include <set>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/replay.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
using report::CycleEvent;
using report::Outcome;

namespace {

LaneOptions options_for(const std::string& engine, wire::Protocol protocol, const TempDir& directory) {
  LaneOptions options;
  options.key.seed = 77;
  options.engine = engine;
  options.protocol = protocol;
  options.directory = directory.path() / "lane";
  options.worker = CHAOSGATE_WORKER;
  return options;
}

TempDir make_directory() { return {std::filesystem::temp_directory_path(), "chaosgate-lane-test-"}; }

std::vector<std::string> positions(LaneOptions options, int cycles) {
  const TempDir directory = make_directory();
  options.directory = directory.path() / "lane";
  Lane lane(options, nullptr);
  std::vector<std::string> all;
  for (int i = 0; i < cycles; ++i) {
    const CycleEvent event = lane.run_cycle(false);
    REQUIRE(event.violations.empty());
    all.push_back(report::position(event.crash));
    for (const report::Death& death : event.recrashes) {
      all.push_back(death.planned + " " + nlohmann::json(death.outcome).get<std::string>());
    }
  }
  return all;
}

}  // namespace

TEST_CASE("correct engines come through twenty cycles under both protocols, and everything is judged") {
  for (const char* engine : {"rocksdb", "rocksdb-wal", "lmdb", "lmdb-nosync"}) {
    for (const wire::Protocol protocol : {wire::Protocol::in_batch, wire::Protocol::sidecar}) {
      INFO(engine << " " << wire::to_string(protocol));
      const TempDir directory = make_directory();
      std::set<std::string> checked;
      std::uint64_t term = 0;
      {
        LaneOptions options = options_for(engine, protocol, directory);
        options.key.plan.io = true;
        Lane lane(options, nullptr);
        for (int i = 0; i < 20; ++i) {
          const CycleEvent event = lane.run_cycle(i == 19);
          for (const report::ViolationEvent& violation : event.violations) {
            INFO(violation.detail);
            CHECK(false);
          }
          CHECK(event.recovered);
          CHECK_FALSE(lane.evidence());
          CHECK((event.crash.outcome == Outcome::killed || event.crash.outcome == Outcome::missed ||
                 event.crash.outcome == Outcome::refused));
          CHECK(event.crash.term > term);
          term = event.crash.term;
          CHECK(event.live_keys >= 20'000);
          checked.insert(event.checked.begin(), event.checked.end());
        }
      }
      checked.erase("space.bounded");                        // in one cycle of 24; see below
      CHECK(checked.size() == oracle::kInvariantCount - 3);  // two are for groups of replicas
      CHECK_FALSE(std::filesystem::exists(directory.path() / "lane"));
    }
  }
}

TEST_CASE("with step kills and scheduled maintenance a seed crashes at the same places every time") {
  for (const char* engine : {"rocksdb", "lmdb"}) {
    const TempDir directory = make_directory();
    LaneOptions options = options_for(engine, wire::Protocol::sidecar, directory);
    options.key.plan.timer = false;
    options.key.plan.free_running = false;
    options.keep_images = false;
    // Storage calls among them: steering depends on what was seen, and that is the same, too.
    const std::vector<std::string> first = positions(options, 25);
    CHECK(first == positions(options, 25));
    options.key.seed = 78;
    CHECK(first != positions(options, 25));
  }
}

TEST_CASE("a seed gives the same storage calls and dies at the same one of them twenty times of twenty") {
  struct Seen {
    std::vector<std::uint64_t> signatures;  // of each cycle's calls
    std::vector<std::string> deaths;
    int killed = 0;
    bool operator==(const Seen&) const = default;
  };
  constexpr int kCycles = 6;
  const auto run = [](LaneOptions options) {
    const TempDir directory = make_directory();
    options.directory = directory.path() / "lane";
    Lane lane(options, nullptr);
    Seen seen;
    for (int i = 0; i < kCycles; ++i) {
      const CycleEvent event = lane.run_cycle(i + 1 == kCycles);
      REQUIRE((event.crash.outcome == Outcome::killed || event.crash.outcome == Outcome::missed));
      seen.signatures.push_back(tap::signature({{}, lane.take_records(), {}}));
      seen.deaths.push_back(event.crash.cell + " " + report::position(event.crash));
      seen.killed += event.crash.outcome == Outcome::killed ? 1 : 0;
    }
    return seen;
  };
  for (const char* engine : {"rocksdb", "lmdb"}) {
    INFO(engine);
    const TempDir directory = make_directory();
    LaneOptions options = options_for(engine, wire::Protocol::sidecar, directory);
    options.key.plan.timer = options.key.plan.step = options.key.plan.free_running = false;
    options.key.seed = 79;
    options.keep_images = false;
    options.watch = options.keep_records = true;
    const Seen first = run(options);
    CHECK(std::set(first.signatures.begin(), first.signatures.end()).size() == kCycles);
    CHECK(first.killed >= kCycles / 2);
    for (int again = 1; again < 20; ++again) {
      CHECK(run(options) == first);
    }
  }
}

namespace {

void check_bundle_replays(const Lane& lane, const CycleEvent& event) {
  const TempDir directory = make_directory();
  const std::filesystem::path file = directory.path() / "bundle.tar.zst";
  write_bundle(lane.bundle(event), lane.evidence()->image, lane.evidence()->output, file);
  const std::filesystem::path image = directory.path() / "image";
  std::filesystem::create_directory(image);
  const Bundle read = read_bundle(file, image);
  StopSignal stop;
  for (int i = 0; i < 20; ++i) {
    const ReplayRun run =
        replay_bundle(read, image, directory.path() / "replay", CHAOSGATE_WORKER, 60'000, stop);
    // A replay judges to the end; the recovery that found it may have been killed before.
    REQUIRE(run.violations.size() >= event.violations.size());
    CHECK(run.violations.front().invariant == event.violations.front().invariant);
    CHECK(run.violations.front().explanation == event.violations.front().explanation);
  }
}

}  // namespace

TEST_CASE("a planted fault is found, and its bundle gives the verdict back twenty times of twenty") {
  const TempDir directory = make_directory();
  LaneOptions options = options_for("rocksdb", wire::Protocol::in_batch, directory);
  options.key.fault = "flush-not-atomic";
  Lane lane(options, nullptr);
  // A recovery that went on and flushed has moved what must hold after the next crash, not what had to hold
  // after this one: both kinds of finding.
  bool flushed = false;
  bool unflushed = false;
  for (int i = 0; i < 400 && !(flushed && unflushed); ++i) {
    const CycleEvent event = lane.run_cycle(false);
    if (!lane.evidence()) {
      continue;
    }
    REQUIRE_FALSE(event.violations.empty());
    CHECK(event.violations.front().invariant == "state.prefix");
    CHECK(event.violations.front().detail.find("witness") != std::string::npos);
    const wire::WorkerOrder& order = lane.evidence()->recovery.order;
    bool& seen = order.flush_after_replay || order.check_reopen ? flushed : unflushed;
    if (!seen) {
      seen = true;
      check_bundle_replays(lane, event);
    }
  }
  CHECK(flushed);
  CHECK(unflushed);
}

TEST_CASE("an engine that did not promise to have synced is not blamed for pages that a failed sync lost") {
  const TempDir directory = make_directory();
  LaneOptions options = options_for("lmdb-nosync", wire::Protocol::in_batch, directory);
  crash::PlanOptions steps;
  steps.timer = steps.call = steps.recrash = steps.free_running = false;
  constexpr std::uint64_t kCycles = 24;
  for (std::uint64_t cycle = 0; cycle < kCycles; ++cycle) {
    crash::CyclePlan plan = crash::plan_cycle(steps, options.protocol, options.key.seed, 0, cycle);
    tap::StorageFault error;
    error.action = tap::FaultAction::lost_sync;
    error.site.file_class = "data";
    error.site.occurrence = 1 + cycle % 4;
    plan.error = error;
    options.given[cycle] = plan;
  }
  Lane lane(options, nullptr);
  std::uint64_t errors = 0;
  for (std::uint64_t cycle = 0; cycle < kCycles; ++cycle) {
    const CycleEvent event = lane.run_cycle(false);
    errors += event.crash.errors;
    for (const report::ViolationEvent& violation : event.violations) {
      INFO(violation.detail);
      CHECK(false);
    }
  }
  CHECK(errors > 0);
}

TEST_CASE("after a finding the lane goes on with a new directory") {
  const TempDir directory = make_directory();
  LaneOptions options = options_for("lmdb", wire::Protocol::in_batch, directory);
  options.key.fault = "half-batch";
  Lane lane(options, nullptr);
  int findings = 0;
  for (int i = 0; i < 60 && findings < 3; ++i) {
    lane.run_cycle(false);
    findings += lane.evidence() ? 1 : 0;
  }
  CHECK(findings == 3);
}

TEST_CASE("a replay pins the cycles before, so that the wanted one begins at the same place") {
  SeedReplay replay;
  replay.key.seed = 7;  // its lane 0 has timers and free-running cycles before cycle 9, which dies at a step
  replay.engine = "lmdb";
  replay.cycle = 9;
  replay.worker = CHAOSGATE_WORKER;
  const TempDir directory = make_directory();
  StopSignal stop;
  std::set<std::string> seen;
  for (int i = 0; i < 5; ++i) {
    const ReplayRun run = replay_seed(replay, directory.path() / "replay", stop);
    REQUIRE(run.reached);
    CHECK(run.violations.empty());
    REQUIRE(run.event.crash.kind == "step");
    seen.insert(report::position(run.event.crash));
  }
  CHECK(seen.size() == 1);
}

TEST_CASE("a first load that dies at its first call does not keep the later ones from coming further") {
  const TempDir directory = make_directory();
  LaneOptions options = options_for("lmdb", wire::Protocol::in_batch, directory);
  options.key.plan.timer = options.key.plan.step = false;
  options.keep_images = false;
  crash::CyclePlan first;
  first.kind = crash::CrashKind::call;
  REQUIRE(tap::parse_fault("kill-before@any.any#1", &first.call).ok());
  options.given[0] = first;
  Lane lane(options, nullptr);
  std::set<std::string> phases;
  for (int i = 0; i < 60; ++i) {
    const CycleEvent event = lane.run_cycle(false);
    REQUIRE(event.violations.empty());
    for (const std::string& cell : event.cells) {
      phases.insert(cell.substr(cell.find('/') + 1));
    }
  }
  CHECK(phases.contains("log-sync"));
  CHECK(phases.contains("apply"));
}

TEST_CASE("an engine that the worker does not have is a usage error") {
  const TempDir directory = make_directory();
  CHECK_THROWS_AS(Lane(options_for("nosuch", wire::Protocol::in_batch, directory), nullptr), UsageError);
}

TEST_CASE("a commit that the engine's own check loses is missed by a death before the next write") {
  const TempDir directory = make_directory();
  LaneOptions options = options_for("lmdb", wire::Protocol::in_batch, directory);
  options.key.fault = "check-loses-commit";
  crash::CyclePlan plan;
  plan.kind = crash::CrashKind::step;
  plan.point = {.step = Step::after_log_sync, .occurrence = 3};
  plan.check_integrity = true;
  options.given[0] = plan;
  plan.cycle = 1;
  plan.recrashes.emplace_back().point = CrashPoint{.step = Step::before_probe};
  options.given[1] = plan;
  Lane lane(options, nullptr);
  CHECK(lane.run_cycle(false).violations.empty());  // the write after the check hides it
  const CycleEvent event = lane.run_cycle(false);
  REQUIRE_FALSE(event.violations.empty());
  CHECK(event.violations.front().invariant == "index.not_lost");
}

TEST_CASE("a store that keeps what each crash left of a flush grows until space.bounded does not hold") {
  for (const char* fault : {"", "files-leaked"}) {
    const TempDir directory = make_directory();
    LaneOptions options = options_for("rocksdb", wire::Protocol::in_batch, directory);
    options.key.fault = *fault == '\0' ? "short-table-accepted" : fault;  // harmless without a full disk
    options.keep_images = false;
    constexpr std::uint64_t kCycles = 40;
    for (std::uint64_t cycle = 0; cycle < kCycles; ++cycle) {
      crash::CyclePlan plan;
      plan.cycle = cycle;
      plan.kind = crash::CrashKind::call;
      REQUIRE(tap::parse_fault("kill-after@sst.sync/flush#1", &plan.call).ok());
      plan.schedule.forced = wire::Chore::flush;
      plan.schedule.forced_every = 20;
      plan.schedule.entries_max = 60;
      plan.check_space = cycle + 1 == kCycles;
      options.given[cycle] = plan;
    }
    Lane lane(options, nullptr);
    for (std::uint64_t cycle = 0; cycle < kCycles; ++cycle) {
      INFO(fault << " " << cycle);
      const CycleEvent event = lane.run_cycle(cycle + 1 == kCycles);
      CHECK(event.crash.outcome == Outcome::killed);
      const bool leaks = *fault != '\0' && cycle + 1 == kCycles;
      REQUIRE(event.violations.empty() == !leaks);
      if (leaks) {
        CHECK(event.violations.front().invariant == "space.bounded");
      }
    }
  }
}
