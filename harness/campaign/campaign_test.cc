#include "harness/campaign/campaign.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/conform.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/self_test.h"
#include "harness/campaign/work_directory.h"
#include "harness/report/journal.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
namespace fs = std::filesystem;

namespace {

struct CampaignRig {
  CampaignRig() {
    config.key.seed = 21;
    config.engines = {"lmdb"};
    config.kills = 30;
    config.results = directory.path() / "results";
    config.directory = directory.path() / "work";
    config.worker = CHAOSGATE_WORKER;
    output.log = [this](const std::string& line) { log.push_back(line); };
  }

  // Whatever it did, its events make the same report.
  report::CampaignReport run() {
    output.settings = {{"kills", "30", "flag"}};
    output.command = "chaosgate run";
    const report::CampaignReport report = run_campaign(config, stop, output);
    CHECK(report::render_json(report::read_report(output.directory / "events.jsonl")) ==
          report::render_json(report));
    return report;
  }

  TempDir directory{fs::temp_directory_path(), "chaosgate-campaign-test-"};
  StopSignal stop;
  CampaignConfig config;
  CampaignOutput output;
  std::vector<std::string> log;
};

}  // namespace

TEST_CASE("a campaign on a correct engine passes, counts its kills and writes an event for each cycle",
          "[threads]") {
  CampaignRig rig;
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::pass);
  REQUIRE(report.engines.size() == 1);
  const report::EngineSection& section = report.engines.front();
  CHECK(section.tally.kills >= 30);
  CHECK(section.tally.kills == section.tally.kills_in_load + section.tally.kills_in_recovery);
  CHECK(section.tally.at_risk_cycles > 0);
  CHECK(section.protocols == std::vector<std::string>{"in-batch", "sidecar"});
  const std::vector<report::CycleEvent> events = report::read_cycles(rig.output.directory / "events.jsonl");
  CHECK(events.size() == section.tally.cycles);
  CHECK_FALSE(fs::exists(rig.config.directory));
  CHECK(report::write_results(report, rig.output.directory).empty());
  for (const char* name : {"result.json", "junit.xml", "report.html", "summary.md"}) {
    CHECK(fs::exists(rig.output.directory / name));
  }
}

TEST_CASE("a planted fault makes a campaign a violation, with a bundle and a command, and no regression",
          "[threads]") {
  CampaignRig rig;
  rig.config.key.fault = "half-batch";
  rig.config.key.plan.timer = rig.config.key.plan.free_running = false;  // found at the same place every time
  rig.config.failures_max = 1;
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::violation);
  REQUIRE_FALSE(report.engines.front().violations.empty());
  const report::ViolationEvent& violation = report.engines.front().violations.front().second;
  CHECK(violation.invariant == "state.prefix");
  CHECK(fs::exists(rig.output.directory / violation.bundle));
  CHECK(report.command.find("chaosgate replay ") == 0);
  CHECK_FALSE(fs::exists(rig.config.results / "regressions"));
}

TEST_CASE("a finding after an I/O error names the error", "[threads]") {
  CampaignRig rig;
  rig.config.kills = 300;
  rig.config.key.fault = "wrong-error";
  rig.config.key.plan.io = true;
  rig.config.key.plan.timer = rig.config.key.plan.free_running = false;
  rig.config.failures_max = 1;
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::violation);
  REQUIRE_FALSE(report.engines.front().violations.empty());
  const report::ViolationEvent& violation = report.engines.front().violations.front().second;
  INFO(violation.explanation);
  CHECK(violation.explanation.find(" (injected: ") != std::string::npos);
}

TEST_CASE("a pass that proves too little is inconclusive") {
  CampaignRig rig;
  rig.config.at_risk_percent_min = 100;
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::inconclusive);
  CHECK(report.exit_status() == report::ExitStatus::inconclusive);
}

TEST_CASE("an earlier failure is replayed first") {
  CampaignRig rig;
  rig.config.kills = 10;
  rig.config.at_risk_percent_min = 0;  // so few may all come early
  fs::create_directories(rig.config.results / "regressions");
  replace_file(
      rig.config.results / "regressions" / "lmdb.jsonl",
      nlohmann::json{{"key", rig.config.key},
                     {"protocol", "sidecar"},
                     {"lane", 1},
                     {"cycle", 2},
                     {"plan", crash::to_string(crash::plan_cycle(rig.config.key.plan, wire::Protocol::sidecar,
                                                                 rig.config.key.seed, 1, 2))},
                     {"invariant", "state.prefix"}}
              .dump() +
          "\n");
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::pass);
  CHECK(std::any_of(rig.log.begin(), rig.log.end(), [](const std::string& line) {
    return line.find("replaying an earlier failure first: seed 0x15 lane 1 cycle 2") != std::string::npos;
  }));
  CHECK(report.engines.front().tally.kills >= 13);

  SECTION("or, where its storage calls cannot be seen, left out, and the report says so") {
    rig.config.tap = TapUse::off;
    rig.log.clear();
    rig.output.directory.clear();
    const report::CampaignReport without = rig.run();
    CHECK(without.verdict() == report::Verdict::pass);
    CHECK(std::none_of(rig.log.begin(), rig.log.end(), [](const std::string& line) {
      return line.find("replaying an earlier failure") != std::string::npos;
    }));
    CHECK(std::count(without.not_tested.begin(), without.not_tested.end(),
                     "1 earlier failure of lmdb: their storage calls cannot be seen") == 1);
    CHECK(std::count(without.not_tested.begin(), without.not_tested.end(),
                     "kills at storage calls, before, after and inside each (--tap off)") == 1);
  }
}

TEST_CASE("what cannot be run is refused before anything is written") {
  CampaignRig rig;
  const auto refused = [&](auto&& change) {
    CampaignConfig config = rig.config;
    change(config);
    CHECK_THROWS_AS(run_campaign(config, rig.stop, rig.output), UsageError);
    CHECK_FALSE(fs::exists(rig.config.results));
    CHECK_FALSE(fs::exists(rig.config.directory));
  };
  refused([](CampaignConfig& c) { c.engines = {"nosuch"}; });
  refused([](CampaignConfig& c) { c.engines = {"lmdb", "lmdb"}; });
  refused([](CampaignConfig& c) { c.engines.clear(); });
  refused([](CampaignConfig& c) { c.kills = 0; });
  // Nothing that was asked for is left out silently.
  refused([](CampaignConfig& c) { c.tap = TapUse::off, c.power = true; });
  refused([](CampaignConfig& c) { c.tap = TapUse::off, c.key.plan.io = true; });
  refused([](CampaignConfig& c) { c.tap = TapUse::off, c.calls_asked = true; });
  refused([](CampaignConfig& c) {
    c.tap = TapUse::off, c.plans = {crash::plan_cycle({}, wire::Protocol::in_batch, 1, 0, 0)};
  });
  refused([](CampaignConfig& c) { c.lanes = 0; });
  refused([](CampaignConfig& c) { c.key.workload = "nosuch"; });
  refused([](CampaignConfig& c) { c.key.fault = "nosuch"; });
  refused([](CampaignConfig& c) { c.worker = "/nonexistent"; });
}

TEST_CASE("the self-test finds planted faults of every layer and leaves correct engines clean") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-campaign-test-");
  StopSignal stop;
  SelfTestOptions options;
  options.seeds = {4};
  options.faults = {"index-outside-batch", "flush-not-atomic", "double-apply", "ack-before-sync"};
  options.control_kills = 5;
  options.worker = CHAOSGATE_WORKER;
  const SelfTestResult result =
      run_self_test(options, read_hello(CHAOSGATE_WORKER), directory.path(), stop, nullptr);
  REQUIRE(result.faults.size() == 4);
  for (const report::FaultResult& fault : result.faults) {
    INFO(fault.fault);
    CHECK(fault.found);
    CHECK_FALSE(fault.invariant.empty());
  }
  REQUIRE(result.controls.size() == 8);
  for (const ControlResult& control : result.controls) {
    CHECK(control.findings.empty());
    CHECK(control.kills >= 5);
  }
  CHECK(fs::is_empty(directory.path()));
}

namespace {

std::vector<std::string> lines_of(const fs::path& path) {
  std::string bytes;
  REQUIRE(read_file(path, &bytes).ok());
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = bytes.find('\n', at) + 1;
    lines.push_back(bytes.substr(at, end - at));
    at = end;
  }
  return lines;
}

}  // namespace

TEST_CASE("power cuts: the events make the campaign's report, and every prefix of them tells what was found",
          "[threads]") {
  CampaignRig rig;
  rig.config.key.seed = 5;
  rig.config.kill = false;
  rig.config.power = true;
  rig.config.images = 60;
  rig.config.profile = disk::named_profile("strict");
  rig.config.key.fault = "dir-never-synced";
  const report::CampaignReport report = rig.run();
  REQUIRE(report.verdict() == report::Verdict::violation);
  REQUIRE(report.engines.front().power->failed > 0);
  // As a driver leaves it that was killed after any line, or within one.
  const std::vector<std::string> lines = lines_of(rig.output.directory / "events.jsonl");
  std::string cut;
  bool found = false;
  for (const std::string& line : lines) {
    found = found || line.find("\"type\":\"failing\"") != std::string::npos;
    cut += line;
    const fs::path path = rig.directory.path() / "cut.jsonl";
    replace_file(path, cut + "{\"eng");
    const report::CampaignReport rebuilt = report::read_report(path);
    CHECK((rebuilt.verdict() == report::Verdict::violation) == found);
    CHECK(rebuilt.verdict() != report::Verdict::pass);
    CHECK(rebuilt.complete == (&line == &lines.back()));
  }
  CHECK(found);
}

TEST_CASE("kills, I/O errors and power cuts: the events make the campaign's report", "[threads]") {
  CampaignRig rig;
  rig.config.key.plan.io = true;
  rig.config.power = true;
  rig.config.images = 60;
  rig.config.kills = 10;
  const report::CampaignReport report = rig.run();
  REQUIRE(report.engines.front().power);
  CHECK(report.engines.front().power->judged == 60);
  CHECK(report.exit_status() == report::read_report(rig.output.directory / "events.jsonl").exit_status());
}

TEST_CASE("replicas, killed and cut off from power: the events make the campaign's report", "[threads]") {
  CampaignRig rig;
  rig.config.engines = {"lmdb", "lmdb"};
  rig.config.replicas = 2;
  rig.config.kills = 6;
  rig.config.lanes = 2;
  SECTION("kills alone") {}
  SECTION("and power cuts") {
    rig.config.power = true;
    rig.config.images = 20;
  }
  const report::CampaignReport report = rig.run();
  REQUIRE(report.group);
  CHECK(report.group->entries > 0);
}

TEST_CASE("an interrupted campaign's events give its verdict and exit status") {
  CampaignRig rig;
  rig.config.engines = {"lmdb"};
  rig.config.kills = 1'000'000;
  rig.output.log = [raised = false](const std::string&) mutable {  // at its first line
    if (!std::exchange(raised, true)) {
      ::kill(::getpid(), SIGINT);  // raise() would send it to this thread alone
    }
  };
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::interrupted);
}

TEST_CASE("a failing power cut is kept as a regression, and replayed first by the next campaign",
          "[threads]") {
  CampaignRig rig;
  rig.config.key.seed = 5;
  rig.config.kill = false;
  rig.config.power = true;
  rig.config.images = 20;
  rig.config.lanes = 1;
  fs::create_directories(rig.config.results / "regressions");
  PlanKey key = rig.config.key;
  key.workload = "small";
  append_regression(rig.config.results, {key, "lmdb", wire::Protocol::in_batch, 0, 1,
                                         crash::plan_cycle(key.plan, wire::Protocol::in_batch, 5, 0, 1),
                                         "log.acked", PowerRegression{"strict", 30, 15}});
  const RegressionList kept = read_regressions(rig.config.results, "lmdb", RegressionOf::power_cut);
  REQUIRE(kept.entries.size() == 1);
  CHECK(kept.entries.front().power->images == 30);
  CHECK(read_regressions(rig.config.results, "lmdb", RegressionOf::kill).entries.empty());
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::pass);
  CHECK(std::any_of(rig.log.begin(), rig.log.end(), [](const std::string& line) {
    return line.find(
               "replaying an earlier failure first: power cut, seed 0x5 workload small lane 0 load 1") !=
           std::string::npos;
  }));
  CHECK(report.engines.front().power->judged == 50);
}

TEST_CASE(
    "the check of conform that kills finds batches that are not atomic, and an engine whose are passes") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-campaign-test-");
  StopSignal stop;
  const wire::Hello hello = read_hello(CHAOSGATE_WORKER);
  for (const char* fault : {"", "half-batch"}) {
    ConformOptions options;
    options.seed = 3;
    options.worker = CHAOSGATE_WORKER;
    options.fault = fault;
    const fs::path work = make_directory(directory.path() / ("with-" + std::string(fault)));
    const std::vector<ConformResult> results =
        run_conformance(hello, *wire::find_engine(hello, "lmdb"), options, work, stop);
    REQUIRE(results.size() == hello.conformance_checks.size() + 1);
    INFO(results.back().detail);
    CHECK(results.back().check == kKillCheck);
    CHECK(results.back().passed() == std::string(fault).empty());
    if (!results.back().passed()) {
      CHECK(results.back().detail.find("state.prefix") != std::string::npos);
    }
  }
}

TEST_CASE("what was found outlives a bundle that cannot be written", "[threads]") {
  CampaignRig rig;
  rig.output.directory = rig.config.results / "mine";
  fs::create_directories(rig.output.directory);
  replace_file(rig.output.directory / "failures", "in the way");
  rig.config.failures_max = 1;
  SECTION("of a kill") {
    rig.config.key.fault = "half-batch";
    rig.config.key.plan.timer = rig.config.key.plan.free_running = false;
  }
  SECTION("of a power cut") {
    rig.config.key.fault = "dir-never-synced";
    rig.config.key.seed = 5;
    rig.config.kill = false;
    rig.config.power = true;
    rig.config.images = 60;
    rig.config.profile = disk::named_profile("strict");
  }
  const report::CampaignReport report = rig.run();
  CHECK(report.verdict() == report::Verdict::violation);
  CHECK(report.exit_status() == report::ExitStatus::violation);
  CHECK_FALSE(report.harness_fault.empty());
}
