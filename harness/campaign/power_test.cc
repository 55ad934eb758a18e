#include "harness/campaign/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/minimize.h"
#include "harness/campaign/replay.h"
#include "harness/report/facts.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
namespace fs = std::filesystem;

namespace {

TempDir power_directory() { return {fs::temp_directory_path(), "chaosgate-power-test-"}; }

PowerOptions options_for(const std::string& engine, const std::string& fault, const std::string& profile,
                         const TempDir& directory) {
  PowerOptions options;
  options.key.seed = 5;
  options.key.workload = "small";
  options.key.fault = fault;
  options.key.plan.free_running = false;
  options.engine = engine;
  options.profile = disk::named_profile(profile);
  options.images_per_load = 60;
  options.directory = directory.path() / "lane";
  options.worker = CHAOSGATE_WORKER;
  return options;
}

report::PowerTally judge(const PowerOptions& options, std::uint64_t images) {
  PowerLane lane(options, nullptr);
  while (lane.tally().judged < images && lane.run_load(images - lane.tally().judged)) {
  }
  REQUIRE_FALSE(lane.broken_by_kill());
  return lane.tally();
}

// A lane whose workers are recorded for power cuts.
LaneOptions recorded_lane(const LaneTarget& target, const TempDir& directory) {
  LaneOptions options{target};
  options.directory = directory.path() / "recorded";
  options.keep_images = false;
  options.watch = options.keep_records = options.keep_payloads = true;
  return options;
}

// Of a cycle that dies by this fault.
crash::CyclePlan plan_of(const std::string& fault, std::uint64_t cycle) {
  crash::CyclePlan plan;
  plan.cycle = cycle;
  plan.kind = crash::CrashKind::call;
  REQUIRE(tap::parse_fault(fault, &plan.call).ok());
  plan.schedule.entries_max = 80;
  return plan;
}

// Power cuts alone, on lmdb with a planted fault.
CampaignConfig campaign_config(const std::string& fault, const TempDir& directory) {
  CampaignConfig config;
  config.key.seed = 9;
  config.key.fault = fault;
  config.engines = {"lmdb"};
  config.kill = false;
  config.power = true;
  config.images = 300;
  config.results = directory.path() / "results";
  config.directory = directory.path() / "work";
  config.worker = CHAOSGATE_WORKER;
  return config;
}

// Runs campaigns, with what they say in `log`.
struct Runner {
  Runner() {
    output.log = [this](const std::string& line) { log.push_back(line); };
  }
  report::CampaignReport run(const CampaignConfig& config) { return run_campaign(config, stop, output); }

  StopSignal stop;
  CampaignOutput output;
  std::vector<std::string> log;
};

// Numbers that do not depend on the clock.
report::PowerTally without_times(report::PowerTally tally) {
  tally.record_us = tally.explore_us = tally.build_us = tally.recover_us = tally.explain_us = 0;
  return tally;
}

}  // namespace

TEST_CASE("lmdb, the log and both protocols come through power cuts under the strict profile") {
  for (const wire::Protocol protocol : {wire::Protocol::in_batch, wire::Protocol::sidecar}) {
    const TempDir directory = power_directory();
    PowerOptions options = options_for("lmdb", "", "strict", directory);
    options.protocol = protocol;
    const report::PowerTally tally = judge(options, 240);
    for (const report::PowerFinding& finding : tally.findings) {
      INFO(finding.detail);
      CHECK(false);
    }
    CHECK(tally.judged == 240);    // those of recoveries included
    CHECK(tally.loads > 1);        // later ones began where a recovery from an image, or from a kill, ended
    CHECK(tally.in_recovery > 0);  // power cuts during recovery, too
    CHECK(tally.recoveries_distinct > 10);
    CHECK(tally.cuts.at("sync").cut > 0);
    CHECK(tally.checks.at("log.acked") == tally.judged);
    CHECK(tally.checks.at("state.replayed") == tally.judged);
    CHECK_FALSE(fs::exists(directory.path() / "lane"));
  }
}

TEST_CASE("a power cut after a failed sync takes what nothing wrote again") {
  const TempDir directory = power_directory();
  PowerOptions options = options_for("lmdb", "", "prefix", directory);
  options.key.plan.io = true;
  options.images_per_load = kImagesPerLoadWithErrors;  // as campaigns do
  const report::PowerTally fine = judge(options, 240);
  CHECK(fine.loads_with_errors > 0);
  CHECK(fine.findings.empty());
  options.key.fault = "fsync-gate";
  options.stop_at_first = true;
  const report::PowerTally found = judge(options, 2000);
  REQUIRE_FALSE(found.findings.empty());
  CHECK(found.findings.front().invariant == "error.honest");
  CHECK(found.findings.front().promised);
}

TEST_CASE("the same options give the same images") {
  for (const char* engine : {"lmdb", "rocksdb"}) {
    const TempDir directory = power_directory();
    PowerOptions options = options_for(engine, "", "ext4-ordered", directory);
    const report::PowerTally first = without_times(judge(options, 120));
    CHECK(first == without_times(judge(options, 120)));
    options.key.seed = 6;
    CHECK(first != without_times(judge(options, 120)));
  }
}

TEST_CASE("what an engine never promised is found and is no violation") {
  const TempDir directory = power_directory();
  const report::PowerTally tally = judge(options_for("lmdb-nosync", "", "strict", directory), 120);
  CHECK(tally.failed > 0);
  CHECK_FALSE(tally.findings.empty());
  CHECK(tally.violations() == 0);
}

TEST_CASE("a planted fault is found, reduced to one sentence, and its bundle gives the verdict back") {
  const TempDir directory = power_directory();
  PowerOptions options = options_for("lmdb", "dir-never-synced", "strict", directory);
  options.stop_at_first = true;
  const fs::path file = directory.path() / "bundle.tar.zst";
  report::PowerFinding found;
  {
    PowerLane lane(options, nullptr);
    lane.explorer().on_failure = [&](const PowerFailure& failure, report::PowerFinding* finding) {
      write_bundle(lane.explorer().bundle(failure), failure.image, {}, file, &failure.power);
      finding->bundle = file.string();
      found = *finding;
    };
    while (lane.tally().judged < 400 && lane.run_load(400)) {
    }
    REQUIRE(lane.tally().findings.size() == 1);
    CHECK(lane.tally().violations() == lane.tally().findings.front().images);
  }
  CHECK(found.invariant == "log.acked");
  CHECK(found.cause.find("rename log/") == 0);
  CHECK(found.cause.find(".log.tmp -> log/") != std::string::npos);
  CHECK(found.profile == "btrfs");  // weaker ones make names durable with fsync, or keep the order

  const fs::path image = directory.path() / "image";
  const fs::path base = directory.path() / "base";
  fs::create_directory(image);
  fs::create_directory(base);
  const Bundle bundle = read_bundle(file, image, base);
  REQUIRE(bundle.power);
  CHECK(bundle.power->base == base);
  StopSignal stop;
  const ReplayRun run =
      replay_bundle(bundle, image, directory.path() / "replay", CHAOSGATE_WORKER, 60'000, stop);
  REQUIRE_FALSE(run.violations.empty());
  CHECK(run.violations.front().invariant == "log.acked");

  const fs::path work = directory.path() / "work";
  fs::create_directory(work);
  const wire::Hello hello = read_hello(CHAOSGATE_WORKER);
  const MinimizeResult result =
      minimize_bundle(bundle, *wire::find_engine(hello, "lmdb"), work, CHAOSGATE_WORKER, 60'000, 200, stop);
  CHECK(result.minimal);
  CHECK(result.invariant == "log.acked");
  CHECK(result.profile == "btrfs");
  CHECK(result.lost_after <= result.lost_before);
  CHECK(result.calls_after < result.calls_before);
  const fs::path small = directory.path() / "small.tar.zst";
  write_bundle(result.bundle, result.image, {}, small, &result.power);
  const fs::path again = directory.path() / "again";
  fs::create_directory(again);
  const Bundle smaller = read_bundle(small, again);
  for (int i = 0; i < 20; ++i) {
    const ReplayRun repeated =
        replay_bundle(smaller, again, directory.path() / "replay", CHAOSGATE_WORKER, 60'000, stop);
    REQUIRE_FALSE(repeated.violations.empty());
    CHECK(repeated.violations.front().invariant == "log.acked");
  }
}

TEST_CASE("lmdb commits to a compacted file only when its name is durable, also after a kill before that") {
  const TempDir directory = power_directory();
  const PowerOptions options = options_for("lmdb", "", "btrfs", directory);
  Lane lane(recorded_lane(options, directory), nullptr);
  REQUIRE(lane.prepare());
  const LaneState start = lane.keep_state(directory.path() / "start");
  crash::CyclePlan plan = plan_of("kill-after@data.rename#1", start.cycle);
  plan.schedule.sync_group_max = 24;  // so that the recovery has something to apply
  plan.schedule.apply_group_max = 1;
  plan.schedule.forced = wire::Chore::compact;
  plan.schedule.forced_every = 20;
  lane.go_back(start, plan);
  const report::CycleEvent event = lane.run_cycle(true);
  REQUIRE(event.crash.cell == "after data.rename/compaction");
  REQUIRE(event.recovered);
  REQUIRE(event.replay_entries > 0);

  PowerRecording recording;
  recording.trace = modelled(lane.take_trace());
  recording.base = start.image;
  recording.indexes = start.indexes;
  recording.belief = lane.belief_before_recovery();
  recording.term = recovery_term(start.cycle + 1, 1);
  recording.plan = plan;
  PowerExplorer explorer(options, lane.engine(), nullptr);
  explorer.explore(recording, 300);
  for (const report::PowerFinding& finding : explorer.tally().findings) {
    INFO(finding.detail);
    CHECK(false);
  }
  CHECK(explorer.tally().judged > 50);
}

TEST_CASE("a recovery makes the name of the sidecar index that it believes durable") {
  const TempDir directory = power_directory();
  PowerOptions options = options_for("lmdb", "", "btrfs", directory);
  options.protocol = wire::Protocol::sidecar;
  Lane lane(recorded_lane(options, directory), nullptr);
  REQUIRE(lane.prepare());
  const LaneState start = lane.keep_state(directory.path() / "start");
  crash::CyclePlan plan = plan_of("kill-after@sidecar.rename#1", start.cycle);
  plan.schedule.forced = wire::Chore::flush;
  plan.schedule.forced_every = 10;
  plan.flush_after_replay = false;  // that would make another one durable
  lane.go_back(start, plan);
  REQUIRE(lane.run_cycle(true).recovered);
  const tap::Trace trace = lane.take_trace();
  const auto death = std::find_if(trace.records.begin(), trace.records.end(), [](const auto& record) {
    return record.call == tap::StorageCall::rename && record.file_class == "sidecar";
  });
  REQUIRE(death != trace.records.end());
  CHECK(std::any_of(death, trace.records.end(), [](const auto& record) {
    return record.call == tap::StorageCall::sync && record.inode == tap::kRootInode;
  }));
}

TEST_CASE("a finding of a cut in a recovery says what the cut before it lost") {
  const TempDir directory = power_directory();
  PowerOptions options = options_for("lmdb", "sidecar-never-synced", "xfs", directory);
  options.protocol = wire::Protocol::sidecar;
  options.images_per_load = 100;
  options.explained_max = 40;
  PowerLane lane(options, nullptr);
  const auto is_said = [&] {
    const std::vector<report::PowerFinding>& findings = lane.tally().findings;
    return std::any_of(findings.begin(), findings.end(), [](const report::PowerFinding& finding) {
      const std::size_t first = finding.cause.find("; then, in the recovery from that, write of bytes ");
      return first != std::string::npos && first > 0;
    });
  };
  while (!is_said() && lane.tally().judged < 1000 && lane.run_load(1000 - lane.tally().judged)) {
  }
  CHECK(is_said());
}

TEST_CASE("a bundle of a kill cannot be minimized") {
  const TempDir directory = power_directory();
  const wire::Hello hello = read_hello(CHAOSGATE_WORKER);
  StopSignal stop;
  CHECK_THROWS_AS(minimize_bundle(Bundle{}, *wire::find_engine(hello, "lmdb"), directory.path(),
                                  CHAOSGATE_WORKER, 60'000, 10, stop),
                  UsageError);
}

TEST_CASE("a campaign of power cuts has a verdict, and says when there are no more images", "[threads]") {
  const TempDir directory = power_directory();
  CampaignConfig config = campaign_config("", directory);
  config.images = 100'000;
  config.loads_max = 2;
  config.profile = disk::named_profile("prefix");
  Runner runner;
  report::CampaignReport report = runner.run(config);
  CHECK(report.verdict() == report::Verdict::pass);
  REQUIRE(report.engines.front().power);
  CHECK(report.engines.front().power->exhausted);
  CHECK(report.engines.front().power->judged > 100);
  CHECK(std::any_of(runner.log.begin(), runner.log.end(), [](const std::string& line) {
    return line.find("100000 images were asked for; there are ") != std::string::npos &&
           line.find(", from 2 loads") != std::string::npos;
  }));

  config.key.fault = "segment-never-synced";
  config.loads_max = 0;
  config.images = 60;
  report = runner.run(config);
  CHECK(report.verdict() == report::Verdict::violation);
  const report::EngineSection& section = report.engines.front();
  REQUIRE_FALSE(section.violations.empty());
  CHECK(section.violations.front().second.invariant == "log.acked");
  CHECK(section.violations.front().first.find("power cut, lane ") == 0);
  CHECK(fs::exists(runner.output.directory / section.violations.front().second.bundle));
  CHECK(report.command.find("chaosgate replay ") == 0);
}

TEST_CASE("an engine that is wrong from its first recovery on is a violation, and its bundle shows it",
          "[threads]") {
  const TempDir directory = power_directory();
  CampaignConfig config = campaign_config("reopen-drifts", directory);
  Runner runner;
  const report::CampaignReport report = runner.run(config);
  CHECK(report.exit_status() == report::ExitStatus::violation);
  const report::EngineSection& section = report.engines.front();
  REQUIRE_FALSE(section.violations.empty());
  for (const auto& [where, violation] : section.violations) {
    CHECK(where.find("before any kill or power cut") != std::string::npos);
    CHECK(violation.command.find("chaosgate replay ") == 0);
  }
  CHECK(std::any_of(runner.log.begin(), runner.log.end(), [](const std::string& line) {
    return line.find("lmdb: lane ") == 0 &&
           line.find("before any kill or power cut: state.") != std::string::npos;
  }));
  const fs::path image = directory.path() / "image";
  fs::create_directory(image);
  const Bundle bundle =
      read_bundle(runner.output.directory / section.violations.front().second.bundle, image);
  CHECK(is_same_finding(bundle, replay_bundle(bundle, image, directory.path() / "replay", CHAOSGATE_WORKER,
                                              60'000, runner.stop)));
}

TEST_CASE("a campaign of power cuts ends after so many failures, and says after how many images each came",
          "[threads]") {
  const TempDir directory = power_directory();
  CampaignConfig config = campaign_config("dir-never-synced", directory);
  config.key.seed = 5;
  config.profile = disk::named_profile("strict");
  config.images = 4000;
  config.failures_max = 2;
  config.lanes = 1;
  Runner runner;
  const report::CampaignReport report = runner.run(config);
  CHECK(report.exit_status() == report::ExitStatus::violation);
  const report::PowerTally& power = *report.engines.front().power;
  CHECK(power.findings.size() == 2);  // causes
  CHECK(power.judged < config.images);
  std::uint64_t before = 0;
  for (const report::PowerFinding& finding : power.findings) {
    CHECK(finding.after_images > before);
    CHECK(finding.after_images <= power.judged);
    before = finding.after_images;
    const std::string said = fmt::format("after {}", report::plural(finding.after_images, "disk image"));
    CHECK(std::any_of(runner.log.begin(), runner.log.end(),
                      [&](const std::string& line) { return line.find(said) != std::string::npos; }));
    CHECK(report::render_terminal(report, false).find("found " + said) != std::string::npos);
    CHECK(report::render_json(report).find(fmt::format("\"found_after_images\": {}", finding.after_images)) !=
          std::string::npos);
  }
}

TEST_CASE("what is wrong without any loss is said to be, with the read that differs, as one finding",
          "[threads]") {
  const TempDir directory = power_directory();
  CampaignConfig config = campaign_config("backward-skips", directory);
  config.failures_max = 1000;
  Runner runner;
  const report::CampaignReport report = runner.run(config);
  CHECK(report.exit_status() == report::ExitStatus::violation);
  std::vector<report::PowerFinding> explained = report.engines.front().power->findings;
  std::erase_if(explained, [](const report::PowerFinding& finding) {
    return finding.cause.find("one of further images") == 0;
  });
  INFO(explained.back().invariant << ": " << explained.back().cause);
  REQUIRE(explained.size() == 1);
  CHECK(explained.front().invariant == "read.consistent");
  CHECK(
      explained.front().cause ==
      "nothing was lost, and without a power cut it is wrong as well (read.consistent: the backward scan is "
      "wrong)");
  CHECK(explained.front().profile == "prefix");
}

TEST_CASE("a load that a kill alone breaks has a bundle and ends no lane", "[threads]") {
  const TempDir directory = power_directory();
  CampaignConfig config = campaign_config("writes-refused-after-crash", directory);
  config.failures_max = 6;
  Runner runner;
  const report::CampaignReport report = runner.run(config);
  CHECK(report.exit_status() == report::ExitStatus::violation);
  std::set<std::string> loads;
  for (const auto& [where, violation] : report.engines.front().violations) {
    CHECK(where.find(", after a kill") != std::string::npos);
    CHECK(fs::exists(runner.output.directory / violation.bundle));
    loads.insert(where);
  }
  CHECK(loads.size() >= config.failures_max);
  CHECK(loads.size() <= config.failures_max + 1);  // the other lane was at it
}

TEST_CASE("loads go on from power cuts only with an engine that promises to open after them") {
  for (const char* engine : {"lmdb", "lmdb-nosync"}) {
    const TempDir directory = power_directory();
    PowerOptions options = options_for(engine, "", "ext4-ordered", directory);
    options.in_recovery = false;
    PowerLane lane(options, nullptr);
    int after_cuts = 0;
    int after_kills = 0;
    lane.on_recording = [&](const PowerRecording& recording) {
      // See PowerExplorer::explore() and PowerLane::run_load().
      after_cuts += recording.base.filename().string().starts_with("next-") ? 1 : 0;
      after_kills += recording.base.filename().string().starts_with("kept-") ? 1 : 0;
    };
    for (int load = 0; load < 6; ++load) {
      (void)lane.run_load(5);
    }
    CHECK(after_kills > 0);
    CHECK((after_cuts > 0) == (std::string_view(engine) == "lmdb"));
  }
}
