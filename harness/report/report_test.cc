// The numbers: events, tallies, percentiles and verdicts.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <fstream>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/report/facts.h"
#include "harness/report/journal.h"
#include "harness/report/sample_report.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

namespace fs = std::filesystem;
using sample::contains;
using sample::temporary;

CycleEvent full_event() {
  CycleEvent event = sample::cycle(17);
  event.fault = "flush-forgotten";
  event.cut_entries = 3;
  Death recrash;
  recrash.kind = "recovery-step";
  recrash.planned = "during-replay#4";
  recrash.outcome = Outcome::hung;
  recrash.detail = "no progress for 10 s";
  recrash.step = "during-replay";
  event.recrashes = {recrash, event.crash};
  event.violations = {{.invariant = "log.acked", .explanation = "entry 7 is gone", .detail = "a\nb \"c\""}};
  return event;
}

std::string error_of(const fs::path& path) {
  try {
    read_cycles(path);
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a cycle event comes back from JSON as it was") {
  const CycleEvent event = full_event();
  const nlohmann::json json = nlohmann::json::parse(nlohmann::json(event).dump());
  CHECK(json.at("schema_version") == kSchemaVersion);
  CHECK(json.get<CycleEvent>() == event);
}

TEST_CASE("unknown keys of a newer event are ignored, missing ones and unknown outcomes are not") {
  nlohmann::json json = full_event();
  json["invented_later"] = 1;
  CHECK(json.get<CycleEvent>() == full_event());
  nlohmann::json missing = json;
  missing.erase("at_risk");
  CHECK_THROWS(missing.get<CycleEvent>());
  json["crash"]["outcome"] = "vanished";
  CHECK_THROWS_AS(json.get<CycleEvent>(), UsageError);
}

TEST_CASE("an event whose texts are not UTF-8 is written with the bytes spelled out") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "events.jsonl";
  CycleEvent event = full_event();
  event.violations[0].detail = "key \xff\xc0\x80 end \xe2\x82\xac";
  event.plan = "plan";
  Journal(path).write(event);
  const auto events = read_cycles(path);
  REQUIRE(events.size() == 1);
  CHECK(events[0].violations[0].detail == "key \\xff\\xc0\\x80 end \xe2\x82\xac");
}

TEST_CASE("an event log read back gives the same events and the same tally") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "events.jsonl";
  std::vector<CycleEvent> events;
  EngineTally tally;
  Journal log(path);
  for (std::uint64_t i = 0; i < 50; ++i) {
    events.push_back(sample::cycle(i));
    tally.add(events.back());
    log.write(events.back());
    std::string bytes;  // each line is out before the next
    REQUIRE(read_file(path, &bytes).ok());
    CHECK(std::count(bytes.begin(), bytes.end(), '\n') == static_cast<std::ptrdiff_t>(i + 1));
  }
  std::string note = "old";
  const auto back = read_cycles(path, &note);
  CHECK(note.empty());
  CHECK(back == events);
  CHECK(tally_events(back) == std::vector<EngineTally>{tally});
}

TEST_CASE("I/O errors that were injected and happened are named with their place and count") {
  CycleEvent event;
  event.crash.error = "error~EIO@sst.datasync#2";
  CHECK(injected_errors(event).empty());  // planned, and not reached
  event.crash.errors = 1;
  event.recrashes.emplace_back().error = "error~ENOSPC@any.write#1x*";
  event.recrashes.back().errors = 3;
  CHECK(injected_errors(event) ==
        "error~EIO@sst.datasync#2 in the load, at 1 call; error~ENOSPC@any.write#1x* in the recovery, at 3 "
        "calls");
}

TEST_CASE("tallies are kept apart by engine and by planted fault") {
  CycleEvent faulty = sample::cycle(3);
  faulty.fault = "flush-forgotten";
  const auto tallies = tally_events({sample::cycle(0), sample::cycle(1, "lmdb"), faulty, sample::cycle(2)});
  REQUIRE(tallies.size() == 3);
  CHECK(tallies[0].cycles == 2);
  CHECK(tallies[1].engine == "lmdb");
  CHECK(tallies[2].fault == "flush-forgotten");
}

TEST_CASE("the torn last line of an interrupted run is left out and reported") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "events.jsonl";
  const std::string line = nlohmann::json(sample::cycle(0)).dump();
  std::string note;
  SECTION("in the middle of an event") {
    std::ofstream(path) << line << "\n" << line.substr(0, line.size() / 2);
    CHECK(read_cycles(path, &note).size() == 1);
    CHECK(contains(note, path.string() + ":2: the last line is torn"));
  }
  SECTION("before its newline, where nothing is lost") {
    std::ofstream(path) << line << "\n" << line;
    CHECK(read_cycles(path, &note).size() == 2);
    CHECK(note.ends_with(":2: the last line has no newline, but is whole; kept"));
  }
  SECTION("before the first line is whole") {
    std::ofstream(path) << "{";
    CHECK(read_cycles(path, &note).empty());
    CHECK(!note.empty());
  }
  SECTION("nothing was written at all") {
    std::ofstream(path).flush();
    CHECK(read_cycles(path, &note).empty());
    CHECK(note.empty());
  }
}

TEST_CASE("a damaged line of an event log is an error that names file and line") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "events.jsonl";
  const std::string line = nlohmann::json(sample::cycle(0)).dump();
  for (const std::string& damage : {std::string("{\"engine\":"), std::string("{}"), std::string(),
                                    std::string(40, '\0'), std::string("[1]"), std::string("\xff")}) {
    std::ofstream(path) << line << "\n" << damage << "\n" << line << "\n";
    const std::string error = error_of(path);
    INFO(error);
    CHECK(error.starts_with(path.string() + ":2: "));
    CHECK(!contains(error, "\n"));
    CHECK(!contains(error, "json.exception"));
  }
  CHECK(contains(error_of(directory.path() / "none.jsonl"), "none.jsonl: no such file"));
}

TEST_CASE("an event log on a full disk throws instead of losing lines") {
  if (!fs::exists("/dev/full")) {
    return;
  }
  Journal log("/dev/full");
  CHECK_THROWS_AS(log.write(sample::cycle(0)), EnvironmentError);
  CHECK_THROWS_AS(Journal("/nonexistent/events.jsonl"), EnvironmentError);
}

TEST_CASE("a line that does not fit is in the report, leaves no part in the file, and later ones follow") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "events.jsonl";
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  Journal journal(path);
  journal.write(sample::cycle(0));
  const rlimit tight{fs::file_size(path) + 100, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  CycleEvent found = sample::cycle(1);
  found.violations = {sample::violation()};
  CHECK_THROWS_AS(journal.write(found), EnvironmentError);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(journal.report().verdict() == Verdict::violation);
  CHECK(read_cycles(path).size() == 1);
  journal.write(sample::cycle(2));
  CHECK(read_cycles(path) == std::vector<CycleEvent>{sample::cycle(0), sample::cycle(2)});
}

TEST_CASE("percentiles are exact values by nearest rank") {
  Distribution values;
  CHECK(values.percentile(50) == 0);
  CHECK(values.max() == 0);
  CHECK(values.mean() == 0);
  values.add(7);
  for (const double percent : {0.0, 1.0, 50.0, 99.0, 100.0}) {
    CHECK(values.percentile(percent) == 7);
  }
  Distribution hundred;
  for (std::uint64_t i = 100; i > 0; --i) {
    hundred.add(i);
  }
  CHECK(hundred.percentile(0) == 1);
  CHECK(hundred.percentile(50) == 50);
  CHECK(hundred.percentile(50.1) == 51);
  CHECK(hundred.percentile(99) == 99);
  CHECK(hundred.percentile(99.1) == 100);
  CHECK(hundred.percentile(100) == 100);
  CHECK(hundred.max() == 100);
  CHECK(hundred.mean() == 50.5);
  Distribution thousand;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    thousand.add(i);
  }
  CHECK(thousand.percentile(99.9) == 999);
  Distribution two;
  two.add(1);
  two.add(2);
  CHECK(two.percentile(50) == 1);
  CHECK(two.percentile(51) == 2);
}

TEST_CASE("only confirmed kills count as kills") {
  EngineTally tally;
  for (const Outcome outcome :
       {Outcome::killed, Outcome::missed, Outcome::died, Outcome::hung, Outcome::failed, Outcome::stopped}) {
    CycleEvent event = sample::cycle(2);
    event.crash.outcome = outcome;
    tally.add(event);
  }
  CycleEvent no_crash = sample::cycle(2);
  no_crash.crash = {};
  tally.add(no_crash);
  CHECK(tally.cycles == 7);
  CHECK(tally.kills == 1);
  CHECK(tally.missed == 1);
  CHECK(tally.abnormal == 3);
  CHECK(tally.kills_by_step == std::map<std::string, std::uint64_t>{{"before-log-sync", 1}});
  CHECK(tally.abnormal_by_kind == std::map<std::string, std::uint64_t>{{"step", 3}});
}

TEST_CASE("a step kill counts where it was planned, whatever its occurrence and delay") {
  EngineTally tally;
  for (const char* planned : {"inside-apply#2+0us", "inside-apply#1+30us", "inside-apply#7"}) {
    CycleEvent event = sample::cycle(2);
    event.crash.planned = planned;
    tally.add(event);
  }
  CHECK(tally.kills_by_step == std::map<std::string, std::uint64_t>{{"inside-apply", 3}});
}

TEST_CASE("kills of recoveries are counted apart from kills of loads") {
  CycleEvent event = sample::cycle(2);
  Death by_step;
  by_step.kind = "recovery-step";
  by_step.planned = "during-replay#4";
  by_step.step = "during-replay";
  Death by_timer;
  by_timer.kind = "recovery-timer";
  by_timer.planned = "timer:90us";
  event.recrashes = {by_step, by_timer};
  event.violations = {sample::violation()};
  EngineTally tally;
  tally.add(event);
  CHECK(tally.kills == 3);
  CHECK(tally.kills_in_load == 1);
  CHECK(tally.kills_in_recovery == 2);
  CHECK(count_of(tally.kills_by_step, "during-replay") == 1);
  CHECK(count_of(tally.timer_kills_by_step, "before the first step") == 1);
  CHECK(count_of(tally.violations_by_kind, "step") == 1);
  CHECK(count_of(tally.violations_by_kind, "recovery-timer") == 1);
  CHECK(count_of(tally.violations_by_kind, "timer") == 0);
  CHECK(tally.violation_count() == 1);
}

TEST_CASE("the fewest compared keys are those of complete comparisons, and zero is kept") {
  EngineTally tally;
  CycleEvent broken = sample::cycle(0);
  broken.live_keys = 1;
  broken.violations = {sample::violation()};
  tally.add(broken);
  CHECK(tally.compared_cycles == 0);
  tally.add(sample::cycle(1));
  CHECK(tally.live_keys_min == 5'001);
  CycleEvent empty = sample::cycle(2);
  empty.live_keys = 0;
  tally.add(empty);
  tally.add(sample::cycle(3));
  CHECK(tally.live_keys_min == 0);
  CHECK(tally.compared_cycles == 3);
}

TEST_CASE("the upper bound is 3 / n and never more than certainty") {
  EngineTally tally;
  CHECK(tally.upper_bound() == 1.0);
  tally.kills = 2;
  CHECK(tally.upper_bound() == 1.0);
  tally.kills = 1'000;
  CHECK(std::abs(tally.upper_bound() - 0.003) < 1e-12);
}

TEST_CASE("the gravest finding decides the verdict and the exit status") {
  struct Row {
    const char* what;
    Verdict verdict;
    int exit_status;
  };
  CampaignReport report = sample::pass();
  const auto is = [&report](const Row& row) {
    INFO(row.what);
    CHECK(report.verdict() == row.verdict);
    CHECK(static_cast<int>(report.exit_status()) == row.exit_status);
  };
  // Each step adds something graver and keeps what was there.
  is({"a pass", Verdict::pass, 0});
  SECTION("from doubt to violation") {
    report.inconclusive = {"too little"};
    is({"a reason of the campaign", Verdict::inconclusive, 3});
    for (EngineSection& section : report.engines) {
      section.tally = {};
    }
    is({"no kill at all", Verdict::nothing_ran, 4});
    report.interrupted = true;
    is({"interrupted", Verdict::interrupted, 130});
    report.terminated = true;
    is({"terminated", Verdict::interrupted, 143});
    report.harness_fault = "disk full";
    is({"a fault of the harness", Verdict::harness_fault, 70});
    report.engines[1].tally.abnormal = 1;
    is({"a death nobody ordered", Verdict::abnormal_death, 1});
    report.engines[0].violation_count = 1;
    is({"a violation", Verdict::violation, 1});
  }
  SECTION("one engine's reason for doubt") {
    report.engines[1].inconclusive = {"a step was never hit"};
    is({"engine", Verdict::inconclusive, 3});
  }
  SECTION("one engine that never ran") {
    report.engines[1].tally = {};
    is({"engine", Verdict::inconclusive, 3});
    CHECK(report.engines[1].verdict() == Verdict::nothing_ran);
  }
  SECTION("fewer kills than wanted, and nobody gave a reason") {
    report.engines[1].kills_wanted = 1'001;
    is({"engine", Verdict::inconclusive, 3});
    CHECK(report.engines[1].reasons() == std::vector<std::string>{"1,000 of 1,001 kills were confirmed"});
  }
  SECTION("fewer disk images than wanted, and nobody gave a reason") {
    PowerTally& power = report.engines[1].power.emplace();
    power.judged = 299;
    power.wanted = 300;
    is({"engine", Verdict::inconclusive, 3});
    CHECK(report.engines[1].reasons() == std::vector<std::string>{"299 of 300 disk images were judged"});
    power.exhausted = true;
    is({"there are no more", Verdict::pass, 0});
  }
  SECTION("a planted fault that was not found") {
    report.self_test = {{.fault = "flush-forgotten", .found = false, .kills = 200}};
    is({"self-test", Verdict::inconclusive, 3});
  }
  SECTION("a campaign that is not complete for no given reason") {
    report.complete = false;
    is({"incomplete", Verdict::inconclusive, 3});
  }
  SECTION("a self-test alone") {
    report.engines.clear();
    is({"nothing", Verdict::nothing_ran, 4});
    report.self_test = {{.fault = "flush-forgotten", .found = true, .kills_until_found = 3, .kills = 3}};
    is({"self-test", Verdict::pass, 0});
  }
}

TEST_CASE("a worker that somebody else ended is no kill, no finding, and no pass") {
  CycleEvent event = sample::cycle(0);
  event.crash.outcome = Outcome::outside;
  event.crash.detail = "killed by signal 9 (Killed)";
  EngineSection section;
  section.engine = "lmdb";
  section.tally.add(event);
  CHECK(section.tally.kills == 0);
  CHECK(section.tally.abnormal == 0);
  CHECK(section.tally.outside == 1);
  note_ends("lane 0 cycle 0", event, &section);
  section.tally.kills = 10;
  CHECK(section.verdict() == Verdict::inconclusive);
  REQUIRE(section.not_reproduced().size() == 1);
  CHECK(section.not_reproduced().front().find("lane 0 cycle 0: killed by signal 9") == 0);

  section.power.emplace();
  section.power->not_reproduced = {{"power cut, lane 0: killed by signal 6", false}};
  CHECK(section.verdict() == Verdict::abnormal_death);  // nobody else makes a process abort
  CHECK(section.not_reproduced().size() == 2);
  section.violation_count = 1;
  CHECK(section.verdict() == Verdict::violation);
}

TEST_CASE("zero cells are the expected steps at which no ordered kill landed") {
  EngineSection section = sample::section("rocksdb", 100);
  CHECK(section.never_hit().empty());
  section.steps_expected.push_back("during-checkpoint");
  section.tally.timer_kills_by_step["during-checkpoint"] = 5;  // luck is not coverage
  CHECK(section.never_hit() == std::vector<std::string>{"during-checkpoint"});
  const auto rows = step_rows(section);
  CHECK(rows.size() == 6);  // "after-apply" saw timer kills only
  CHECK(rows[4].ordered == 0);
  CHECK(rows[4].timer == 5);
  CHECK(!rows[5].expected);
}

TEST_CASE("a report made from events alone counts the same and invents nothing") {
  std::vector<CycleEvent> events;
  for (std::uint64_t i = 0; i < 20; ++i) {
    events.push_back(sample::cycle(i, i % 2 == 0 ? "rocksdb" : "lmdb"));
  }
  events.back().violations = {sample::violation()};
  ReportBuilder builder;
  for (const CycleEvent& event : events) {
    nlohmann::json json = event;
    json.erase("command");  // as a version wrote them that had nothing but cycles
    builder.add(json);
  }
  const CampaignReport report = builder.report();
  CHECK_FALSE(report.complete);
  REQUIRE(report.engines.size() == 2);
  CHECK(std::vector{report.engines[0].tally, report.engines[1].tally} == tally_events(events));
  CHECK(report.verdict() == Verdict::violation);
  CHECK(nlohmann::json::parse(render_json(report)).at("seed").is_null());
  const std::string text = render_terminal(report, false);
  CHECK(text.starts_with("VIOLATION: 1 violation in 20 kills\nNOT COMPLETE\n"));
  CHECK(contains(text, "rocksdb  in-batch; contract unknown"));
  CHECK(text.ends_with(sample::violation().command + "\n"));
}

TEST_CASE("ends of workers that did not come again are in the events, each once") {
  PowerTally tally;
  tally.judged = 40;
  tally.not_reproduced = {{"power cut, lane 0: killed by signal 9", true}};
  ReportBuilder builder;
  const auto write = [&](const PowerTally& counts) {
    nlohmann::json json = ImagesEvent{"lmdb", 0, counts};
    json["type"] = ImagesEvent::kType;
    json["schema_version"] = kSchemaVersion;
    builder.add(nlohmann::json::parse(json.dump()));
  };
  write(tally.counts_since({}));
  const PowerTally before = tally;
  tally.judged = 90;
  tally.not_reproduced.push_back({"power cut, lane 0: killed by signal 6", false});
  write(tally.counts_since(before));
  write(tally.counts_since(tally));
  const EngineSection section = builder.section("lmdb");
  REQUIRE(section.power);
  CHECK(section.power->judged == 90);
  CHECK(section.power->not_reproduced == tally.not_reproduced);
  CHECK(section.outside_found() == 1);
  CHECK(section.abnormal_found() == 1);
}

TEST_CASE("what is no event is refused and adds nothing") {
  ReportBuilder builder;
  const nlohmann::json good = event_json(DoubtEvent{"lmdb", "why"});
  const nlohmann::json begin = event_json(CampaignBegin{"0.2", {}, "0x2a", ""});
  const auto changed = [](nlohmann::json event, const char* key, const nlohmann::json& value) {
    event[key] = value;
    return event;
  };
  for (const nlohmann::json& event :
       {changed(good, "schema_version", "1"), changed(good, "schema_version", 1.5), changed(good, "type", 7),
        changed(good, "reason", 7), changed(begin, "seed", "-1"), changed(begin, "seed", ""),
        changed(begin, "seed", "0x10000000000000000"), changed(begin, "seed", " 2a"),
        nlohmann::json("event")}) {
    INFO(event.dump());
    try {
      builder.add(event);
      FAIL("taken");
    } catch (const UsageError&) {
    } catch (const nlohmann::json::exception&) {
    }
    CHECK(render_json(builder.report()) == render_json(ReportBuilder().report()));
  }
  builder.add(begin);
  CHECK(builder.report().seed == 42);
}

namespace {

// What is read back of a campaign with these events in it, begun and ended as it should be.
template <typename... Event>
CampaignReport report_of(const Event&... event) {
  ReportBuilder builder;
  const auto add = [&](const auto& each) { builder.add(nlohmann::json::parse(event_json(each).dump())); };
  CampaignBegin begin;
  begin.seed = "0x2a";
  begin.command = "chaosgate again";
  add(begin);
  (add(event), ...);
  CampaignEnd end;
  end.complete = true;
  add(end);
  return builder.report();
}

// Every report of it says `text`.
void check_told(const CampaignReport& report, const std::string& text) {
  for (const std::string& told : {render_terminal(report, false), render_markdown(report, 1 << 20),
                                  render_html(report), render_json(report)}) {
    CAPTURE(told);
    CHECK(contains(told, text));
  }
}

}  // namespace

TEST_CASE("conformance comes back from its events: a check that is not passed is a violation") {
  const CheckEvent passed{"lmdb",
                          {"an empty value is a value", "passed", "", "it is stored\nas no value", 3}};
  const CheckEvent failed{"lmdb", {"a batch is atomic", "failed", "half of it was there", "", 5}};
  CHECK(report_of(passed).verdict() == Verdict::pass);
  CHECK(verdict_sentence(report_of(passed)) == "1 conformance check passed");
  check_told(report_of(passed), "it is stored");  // a note, which breaks no promise
  const CampaignReport report = report_of(passed, failed, CheckEvent{"bbolt", passed.result});
  CHECK(report.verdict() == Verdict::violation);
  CHECK(report.violations_found() == 1);
  REQUIRE(report.conformance.size() == 2);
  CHECK(report.conformance.front().checks.size() == 2);
  check_told(report, "half of it was there");
  CHECK(contains(render_junit(report), "chaosgate.conformance of lmdb"));
  CHECK(contains(render_github_errors(report), "a batch is atomic"));
}

TEST_CASE("damage comes back from its events: silently wrong is a violation where checksums are claimed") {
  DamageTally tally;
  tally.by_class["table"] = {.harmless = 3, .detected = 6, .died = 1, .silent = 0};
  const DamageTally before = tally;
  tally.by_class["table"].silent = 2;
  tally.add({"table", true, false, "state.prefix", "bit 3 of byte 7 of a.sst flipped", "2 keys differ", 2,
             "b", "c"});
  const auto events = [&](bool promised, std::uint64_t wanted) {
    return report_of(DamageEvent{"rocksdb", 1, wanted, promised, before.counts_since({})},
                     DamageEvent{"rocksdb", 0, wanted, promised, tally.counts_since({})},
                     DamageEvent{"rocksdb", 1, wanted, promised, tally.counts_since(before)});
  };
  const CampaignReport report = events(true, 24);
  REQUIRE(report.damage.size() == 1);
  CHECK(report.damage.front().tally.judged() == 24);
  CHECK(report.damage.front().tally.findings.front().count == 4);
  CHECK(report.violations_found() == 4);
  CHECK(report.verdict() == Verdict::violation);
  CHECK(report.command == "c");
  check_told(report, "bit 3 of byte 7 of a.sst flipped");
  CHECK(contains(render_junit(report), "2 keys differ"));
  CHECK(verdict_sentence(report) == "4 violations in 24 damaged files");
  CHECK(events(false, 24).verdict() == Verdict::pass);
  CHECK(events(false, 25).verdict() == Verdict::inconclusive);
  CHECK(report_of(DamageEvent{"rocksdb", 0, 10, true, {}}).verdict() == Verdict::nothing_ran);
}

TEST_CASE("what comes without any damage is a violation whatever is promised, and why a part ended is told") {
  DamageTally tally;
  tally.add({"none", true, true, "state.prefix", "after a kill", "2 keys differ", 1, "b", "c"});
  tally.harness_fault = "no space left";
  const CampaignReport damaged = report_of(DamageEvent{"rocksdb", 0, 24, false, tally.counts_since({})});
  REQUIRE(damaged.damage.size() == 1);
  CHECK(damaged.damage.front().tally == tally);
  CHECK(damaged.violations_found() == 1);
  CHECK(damaged.command == "c");
  check_told(damaged, "2 keys differ");
  check_told(damaged, "no space left");

  MigrationTally migration;
  migration.harness_fault = "no space left";
  const CampaignReport migrated = report_of(MigrationEvent{0, migration.counts_since({})});
  REQUIRE(migrated.migrations.size() == 1);
  CHECK(migrated.migrations.front().harness_fault == migration.harness_fault);
  check_told(migrated, "no space left");
}

TEST_CASE("migrations come back from their events, and so do correct configurations of a self-test") {
  MigrationTally tally;
  tally.from = "rocksdb";
  tally.to = "lmdb";
  tally.kills = 30;
  const MigrationTally before = tally;
  tally.kills = 50;
  tally.complete = true;
  CHECK(report_of(MigrationEvent{0, before}).verdict() == Verdict::inconclusive);
  const MigrationEvent first{0, before.counts_since({})};
  const CampaignReport clean = report_of(first, MigrationEvent{0, tally.counts_since(before)});
  CHECK(clean.verdict() == Verdict::pass);
  CHECK(clean.kills() == 50);
  CHECK(verdict_sentence(clean) == "every migration under 50 kills ended with the content of its source");
  tally.findings.push_back({"kill", "died at a rename", "one key is missing", "", "kept/here"});
  const CampaignReport found = report_of(first, MigrationEvent{0, tally.counts_since(before)});
  CHECK(found.verdict() == Verdict::violation);
  check_told(found, "one key is missing");
  CHECK(contains(render_junit(found), "died at a rename"));
  tally.findings.clear();
  tally.not_reproduced.push_back("the importer was killed");
  CHECK(report_of(first, MigrationEvent{0, tally.counts_since(before)}).verdict() == Verdict::inconclusive);

  CHECK(report_of(ControlEvent{0, {"lmdb", "sidecar", 4, 100, {}}}).verdict() == Verdict::pass);
  CHECK(verdict_sentence(report_of(ControlEvent{0, {"lmdb", "sidecar", 4, 100, {}}})) ==
        "1 correct configuration stayed clean");
  const CampaignReport dirty =
      report_of(ControlEvent{0, {"lmdb", "sidecar", 4, 9, {"cycle 3: state.prefix"}}});
  CHECK(dirty.verdict() == Verdict::violation);
  check_told(dirty, "cycle 3: state.prefix");
}

TEST_CASE("numbers read well at every size") {
  CHECK(thousands(0) == "0");
  CHECK(thousands(999) == "999");
  CHECK(thousands(1'000) == "1,000");
  CHECK(thousands(UINT64_MAX) == "18,446,744,073,709,551,615");
  CHECK(milliseconds(0) == "0");
  CHECK(milliseconds(420) == "0.42");
  CHECK(milliseconds(9'940) == "9.9");
  CHECK(milliseconds(9'950) == "10");
  CHECK(milliseconds(1'250'000) == "1,250");
  CHECK(percentage(0.003) == "0.30 %");
  CHECK(percentage(0.0003) == "0.030 %");
  CHECK(percentage(0.03) == "3.0 %");
  CHECK(percentage(1.0) == "100 %");
  CHECK(percentage(1, 0) == "-");
  CHECK(duration(8.31) == "8.3 s");
  CHECK(duration(59.7) == "1 min 0 s");
  CHECK(duration(87) == "1 min 27 s");
  CHECK(duration(7'500) == "2 h 5 min");
}

TEST_CASE("text from an engine cannot act on a terminal or break a file") {
  CHECK(printable("a\x1b[31mb\tc\n") == "a\\x1b[31mb\tc\n");
  CHECK(printable(std::string_view("\0\x7f", 2)) == "\\x00\\x7f");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");           // C1: CSI
  CHECK(printable("\xef\xbf\xbf") == "\\xef\\xbf\\xbf");  // U+FFFF
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");           // cut short
  CHECK(printable("\xf0\x9f\x98\x80") == "\xf0\x9f\x98\x80");
  CHECK(printable_line("a\nb\n") == "a b");
  CHECK(valid_utf8("\x01\xff") == "\x01\\xff");
}

}  // namespace chaosgate::report
