// What the writers render: parsed back where the format allows, searched where it does not.
#include <algorithm>
#include <pugixml.hpp>
#include <set>

#include "harness/base/test.h"
#include "harness/report/facts.h"
#include "harness/report/sample_report.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

using sample::contains;
using sample::lines;
using Json = nlohmann::ordered_json;

const std::string kHostile = std::string("\x1b[31m]]>&<b>|`\"'\xff\xef\xbf\xbe", 20) + '\0' + "\x0b\x0c end";

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Every free text hostile.
CampaignReport hostile() {
  CampaignReport report = sample::with_violation();
  ViolationEvent& violation = report.engines[0].violations[0].second;
  violation.explanation = violation.detail = violation.command = kHostile;
  report.engines[0].abnormal = {kHostile};
  report.engines[0].inconclusive = {kHostile};
  report.engines[0].version = kHostile;
  report.settings[0].value = kHostile;
  report.libraries[0].second = kHostile;
  report.inconclusive = {kHostile};
  report.not_tested = {kHostile};
  report.harness_fault = kHostile;
  report.command = kHostile;
  report.self_test = {{.fault = "f", .published_as = kHostile, .seed = 1, .found = false, .kills = 9}};
  report.conformance = {
      {kHostile, {{kHostile, "failed", kHostile, "", 1}, {kHostile, "passed", "", kHostile, 1}}}};
  report.damage = {{.engine = kHostile, .wanted = 9, .promised = true}};
  report.damage.front().tally.by_class[kHostile].silent = 1;
  report.damage.front().tally.add(
      {kHostile, true, false, kHostile, kHostile, kHostile, 1, kHostile, kHostile});
  report.damage.front().tally.not_reproduced = {kHostile};
  report.damage.front().tally.harness_fault = kHostile;
  report.migrations.emplace_back();
  report.migrations.front().from = report.migrations.front().to = kHostile;
  report.migrations.front().findings = {{kHostile, kHostile, kHostile, kHostile, kHostile}};
  report.migrations.front().not_reproduced = {kHostile};
  report.migrations.front().harness_fault = kHostile;
  report.controls = {{kHostile, kHostile, 1, 2, {kHostile}}};
  return report;
}

struct XmlCounts {
  unsigned tests = 0, failures = 0, errors = 0, skipped = 0;
  bool operator==(const XmlCounts&) const = default;
};

XmlCounts announced(const pugi::xml_node& node) {
  return {node.attribute("tests").as_uint(), node.attribute("failures").as_uint(),
          node.attribute("errors").as_uint(), node.attribute("skipped").as_uint()};
}

XmlCounts counted(const pugi::xml_node& suite) {
  XmlCounts counts;
  for (const pugi::xml_node test : suite.children("testcase")) {
    ++counts.tests;
    counts.failures += test.child("failure") ? 1 : 0;
    counts.errors += test.child("error") ? 1 : 0;
    counts.skipped += test.child("skipped") ? 1 : 0;
  }
  return counts;
}

// Parses, checks that every count is right and every name unique, and returns the counts of all.
XmlCounts check_junit(const CampaignReport& report, pugi::xml_document* document) {
  const std::string text = render_junit(report);
  REQUIRE(document->load_buffer(text.data(), text.size()));
  XmlCounts total;
  std::set<std::string> names;
  for (const pugi::xml_node suite : document->child("testsuites").children("testsuite")) {
    const XmlCounts counts = counted(suite);
    CHECK(announced(suite) == counts);
    total = {total.tests + counts.tests, total.failures + counts.failures, total.errors + counts.errors,
             total.skipped + counts.skipped};
    for (const pugi::xml_node test : suite.children("testcase")) {
      CHECK(
          names
              .insert(std::string(test.attribute("classname").value()) + "." + test.attribute("name").value())
              .second);
    }
  }
  const pugi::xml_node root = document->child("testsuites");
  CHECK(!root.attribute("skipped"));  // Jenkins' schema has none
  XmlCounts of_root = announced(root);
  of_root.skipped = total.skipped;
  CHECK(of_root == total);
  return total;
}

pugi::xml_node test_named(const pugi::xml_document& document, const std::string& start) {
  for (const pugi::xml_node suite : document.child("testsuites").children("testsuite")) {
    for (const pugi::xml_node test : suite.children("testcase")) {
      if (std::string(test.attribute("name").value()).starts_with(start)) {
        return test;
      }
    }
  }
  return {};
}

}  // namespace

TEST_CASE("result.json begins with its schema version and holds what the report says") {
  const std::string text = render_json(sample::with_violation());
  const Json json = Json::parse(text);
  CHECK(json.begin().key() == "schema_version");
  CHECK(json.at("schema_version") == kSchemaVersion);
  CHECK(json.at("complete") == true);
  CHECK(json.at("verdict") == "violation");
  CHECK(json.at("exit_status") == 1);
  CHECK(json.at("seed") == "0x2a");
  CHECK(json.at("settings").at(0).at("source") == "flag");
  CHECK(json.at("libraries").at("LMDB") == "0.9.24");
  CHECK(json.at("not_tested").size() == 1);
  REQUIRE(json.at("engines").size() == 2);
  const Json& rocksdb = json.at("engines").at(0);
  CHECK(rocksdb.at("contract").at("flush_survives") == "power cut");
  CHECK(rocksdb.at("kills").at("confirmed") == 1'001);
  CHECK(rocksdb.at("kills").at("by_kind").at("recovery-timer") == 0);
  CHECK(rocksdb.at("violations").at("count") == 1);
  CHECK(rocksdb.at("violations").at("first").at(0).at("where") == "lane 0 cycle 17");
  CHECK(rocksdb.at("violation_per_kill_upper_bound_95").is_null());
  const Json& lmdb = json.at("engines").at(1);
  CHECK(lmdb.at("violation_per_kill_upper_bound_95").get<double>() == 0.003);
  CHECK(lmdb.at("recovery_us").at("max") == 700 + 100 + 999);
  CHECK(lmdb.at("replay_entries").at("p50") == 599);
  CHECK(lmdb.at("checks").at("state.prefix") == 1'000);
}

TEST_CASE("result.json names the zero cells") {
  CampaignReport report = sample::pass();
  report.engines[0].steps_expected.push_back("during-checkpoint");
  const Json kills = Json::parse(render_json(report)).at("engines").at(0).at("kills");
  CHECK(kills.at("ordered_by_step").at("during-checkpoint") == 0);
  CHECK(kills.at("never_hit") == Json::array({"during-checkpoint"}));
}

TEST_CASE("result.json tells the self-test, fault by fault") {
  CampaignReport report = sample::pass();
  report.self_test = {{.fault = "a",
                       .seed = UINT64_MAX,
                       .found = true,
                       .invariant = "log.acked",
                       .kills_until_found = 4,
                       .kills = 4},
                      {.fault = "b", .found = false, .kills = 200}};
  const Json json = Json::parse(render_json(report));
  CHECK(json.at("verdict") == "inconclusive");
  CHECK(json.at("inconclusive").size() == 1);
  CHECK(json.at("self_test").at(0).at("kills_until_found") == 4);
  CHECK(json.at("self_test").at(0).at("seed") == "0xffffffffffffffff");
  CHECK(json.at("self_test").at(1).at("invariant").is_null());
}

TEST_CASE("junit.xml has a passing case for each engine and each kind of kill that landed") {
  pugi::xml_document document;
  const XmlCounts counts = check_junit(sample::pass(), &document);
  CHECK(counts == XmlCounts{.tests = 27, .failures = 0, .errors = 0, .skipped = 10});  // no recovery kills
  const pugi::xml_node timer =
      test_named(document, "timer kills, commit survives nothing, flush survives power cut");
  CHECK(std::string(timer.attribute("classname").value()) == "chaosgate.rocksdb");
  CHECK(!timer.first_child());
  CHECK(test_named(document, "recovery-step kills").child("skipped"));
}

TEST_CASE("junit.xml has the same cases whatever was found and whatever the seed, which is a property") {
  const auto names = [](const CampaignReport& report) {
    pugi::xml_document document;
    check_junit(report, &document);
    std::vector<std::string> all;
    for (const pugi::xml_node suite : document.child("testsuites").children("testsuite")) {
      CHECK(std::string(suite.attribute("timestamp").value()) == "2025-01-01T01:01:01");
      const pugi::xml_node property = suite.child("properties").first_child();
      CHECK(std::string(property.attribute("name").value()) == "seed");
      CHECK(std::string(property.attribute("value").value()) == seed_text(report.seed));
      for (const pugi::xml_node test : suite.children("testcase")) {
        all.push_back(std::string(test.attribute("classname").value()) + "." +
                      test.attribute("name").value());
        CHECK(!contains(all.back(), "0x"));
        CHECK(!contains(all.back(), "cycle"));
      }
    }
    return all;
  };
  CampaignReport other = sample::with_violation();
  other.seed = 77;
  other.engines[1].abnormal = {"lane 0 cycle 9: signal 6"};
  CHECK(names(sample::pass()) == names(other));
}

TEST_CASE("junit.xml fails the kinds of kill that a violation followed, and its invariant's case") {
  pugi::xml_document document;
  const XmlCounts counts = check_junit(sample::with_violation(), &document);
  CHECK(counts.failures == 2);
  CHECK(counts.errors == 0);
  CHECK(test_named(document, "timer kills, commit survives nothing").child("failure"));
  CHECK(!test_named(document, "step kills, commit survives nothing").child("failure"));
  const pugi::xml_node violation = test_named(document, "state.prefix");
  CHECK(contains(violation.child("failure").text().get(), "data/k\\x01\\xff<&  expected 12 bytes"));
  CHECK(contains(violation.child("failure").text().get(), "chaosgate replay"));
}

TEST_CASE("junit.xml keeps counts and names right when more violations were found than kept") {
  CampaignReport report = sample::with_violation();
  report.engines[0].violations.push_back(report.engines[0].violations[0]);
  report.engines[0].violation_count = 40;
  pugi::xml_document document;
  CHECK(check_junit(report, &document).failures == 3);
  CHECK(contains(test_named(document, "no violation but these").child("failure").attribute("message").value(),
                 "38 more violations"));
}

TEST_CASE("junit.xml reports harness faults and abnormal deaths as errors, doubt as skipped") {
  CampaignReport report = sample::pass();
  SECTION("a harness fault") {
    report.harness_fault = "disk full";
    pugi::xml_document document;
    CHECK(check_junit(report, &document).errors == 1);
    CHECK(test_named(document, "the campaign runs").child("error"));
  }
  SECTION("an abnormal death") {
    CycleEvent event = sample::cycle(0);
    event.crash.outcome = Outcome::died;
    report.engines[0].tally.add(event);
    report.engines[0].abnormal = {"lane 0 cycle 9: signal 6"};
    pugi::xml_document document;
    CHECK(check_junit(report, &document).errors == 2);
    CHECK(test_named(document, "timer kills, commit survives nothing").child("error"));
  }
  SECTION("an inconclusive engine and a planted fault that was not found") {
    report.engines[0].inconclusive = {"a step was never hit"};
    report.self_test = {{.fault = "a", .found = true, .kills = 1}, {.fault = "b", .kills = 9}};
    pugi::xml_document document;
    const XmlCounts counts = check_junit(report, &document);
    CHECK(counts.failures + counts.errors == 0);
    CHECK(counts.skipped == 10 + 2 + 1 + 1);  // rocksdb, lmdb's recovery kinds, fault b, the campaign
  }
}

TEST_CASE("no writer lets hostile bytes through") {
  const CampaignReport report = hostile();
  pugi::xml_document document;
  check_junit(report, &document);
  CHECK(Json::parse(render_json(report)).at("harness_fault").get<std::string>().ends_with("end"));
  for (const std::string& text : {render_junit(report), render_html(report), render_markdown(report),
                                  render_terminal(report, false), render_github_errors(report)}) {
    CHECK(valid_utf8(text) == text);
    CHECK(std::none_of(text.begin(), text.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t';
    }));
    CHECK(!contains(text, "\xef\xbf\xbe"));  // U+FFFE, which XML 1.0 forbids
  }
  CHECK(!contains(render_html(report), "<b>|"));

  // JSON is ASCII: a terminal may obey control characters of more than one byte, too.
  CampaignReport other = report;
  other.harness_fault =
      "\xc2\x9b"
      "31m";
  const std::string json = render_json(other);
  CHECK(std::all_of(json.begin(), json.end(), [](char c) { return static_cast<unsigned char>(c) < 0x7f; }));
  CHECK(Json::parse(json).at("harness_fault") == other.harness_fault);
}

TEST_CASE("junit.xml has one case for a planted fault and for a correct configuration, whatever the seeds") {
  CampaignReport report = sample::pass();
  const FaultResult found{.fault = "f",
                          .layer = "log",
                          .engine = "lmdb",
                          .protocol = "sidecar",
                          .seed = 1,
                          .found = true,
                          .kills = 9};
  FaultResult missed = found;
  missed.seed = 2;
  missed.found = false;
  report.self_test = {found, found};
  report.controls = {{"lmdb", "sidecar", 1, 100, {}}, {"lmdb", "sidecar", 2, 100, {}}};
  pugi::xml_document passed;
  check_junit(report, &passed);
  CHECK(!test_named(passed, "f is found").child("skipped"));
  CHECK(!test_named(passed, "lmdb, sidecar stays clean").child("failure"));
  report.self_test.push_back(missed);
  report.controls.push_back({"lmdb", "sidecar", 3, 100, {"cycle 2: state.prefix"}});
  pugi::xml_document failed;
  check_junit(report, &failed);
  CHECK(contains(test_named(failed, "f is found").child("skipped").attribute("message").value(),
                 "with seed 0x2"));
  CHECK(test_named(failed, "lmdb, sidecar stays clean").child("failure"));
}

TEST_CASE("report.html loads nothing and shows zero cells and violations") {
  CampaignReport report = sample::with_violation();
  report.engines[1].steps_expected.push_back("during-checkpoint");
  const std::string text = render_html(report);
  CHECK(text.starts_with("<!DOCTYPE html>"));
  CHECK(!contains(text, "http://"));
  CHECK(!contains(text, "https://"));
  CHECK(!contains(text, "<script"));
  CHECK(contains(text, "prefers-color-scheme: dark"));
  CHECK(contains(text, "Never hit: <b class=\"doubt\">during-checkpoint</b>"));
  CHECK(contains(text, "<td class=\"n zero\">0</td>"));
  CHECK(contains(text, "data/k\\x01\\xff&lt;&amp;  expected 12 bytes"));
  CHECK(contains(text, "power cuts: the tap needs seccomp user notification"));
  for (const char* element : {"table", "div", "h2", "p", "tr", "pre", "ul"}) {
    const auto count = [&text](const std::string& part) {
      std::size_t found = 0;
      for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
      }
      return found;
    };
    INFO(element);
    CHECK(count(std::string("<") + element + ">") + count(std::string("<") + element + " ") ==
          count(std::string("</") + element + ">"));
  }
}

TEST_CASE("summary.md tells the verdict, the engines and the violation") {
  const std::string text = render_markdown(sample::with_violation());
  CHECK(contains(text, "chaosgate: violation"));
  CHECK(contains(text, "| lmdb LMDB 0.9.24 | pass | 1,000 of 1,000 |"));
  CHECK(contains(text, "### rocksdb: state.prefix (lane 0 cycle 17)"));
  CHECK(contains(text, "```sh\nchaosgate replay"));
}

TEST_CASE("summary.md keeps every row of a table on one line whatever its cells hold") {
  const std::string text = render_markdown(hostile());
  for (const std::string& line : lines(text)) {
    if (line.starts_with("| rocksdb ")) {
      std::size_t bars = 0;
      for (std::size_t i = 0; i < line.size(); ++i) {
        bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
      }
      CHECK(bars == 10);
    }
  }
}

TEST_CASE("summary.md stays within its bound and says what it left out") {
  CampaignReport report = sample::with_violation();
  ViolationEvent huge = sample::violation();
  huge.detail = std::string(50'000, '`');
  huge.explanation.clear();
  for (int i = 0; i < 10'000; ++i) {
    huge.explanation += "\xe2\x82\xac|";
  }
  for (int i = 0; i < 100; ++i) {
    report.engines[0].violations.emplace_back("lane 0 cycle " + std::to_string(i), huge);
  }
  const std::string text = render_markdown(report);
  CHECK(text.size() <= 900 * 1024);
  CHECK(text.size() > 500 * 1024);
  CHECK(contains(text, "left out for size"));
  CHECK(valid_utf8(text) == text);
  CHECK(contains(text, "### Not tested"));  // small parts still fit after a large one did not
  for (const std::size_t bytes_max : {0, 10, 100, 300, 2'000, 20'000}) {
    CHECK(render_markdown(report, bytes_max).size() <= bytes_max);
  }
}

TEST_CASE("the terminal summary fits 100 columns and ends with one command to copy") {
  CampaignReport report = sample::with_violation();
  report.engines[1] = sample::section("lmdb-nosync", 900);
  report.engines[1].kills_wanted = 1'000;
  report.engines[1].steps_expected.push_back("during-checkpoint");
  report.not_tested = {
      "something that takes very many words to explain, so many that they cannot stand on one "
      "line of a terminal that is a hundred columns wide"};
  const std::string text = render_terminal(report, false);
  const std::vector<std::string> all = lines(text);
  for (const std::string& line : all) {
    INFO(line);
    CHECK(characters(line) <= 100);
    CHECK(!line.ends_with(' '));
  }
  CHECK(all.front() == "VIOLATION: 1 violation in 1,901 kills");
  CHECK(all.back() == sample::violation().command);
  CHECK(contains(text, "never hit:     during-checkpoint"));
  CHECK(contains(text, "inconclusive   900 of 1,000 kills were confirmed"));
  CHECK(contains(text, "VIOLATION rocksdb: state.prefix  lane 0 cycle 17"));
  CHECK(!contains(text, "\x1b"));
}

TEST_CASE("the terminal summary of a pass asks for no command") {
  const std::string text = render_terminal(sample::pass(), false);
  CHECK(text.starts_with("PASS: every recovery after 2,000 kills brought back the expected state\n"));
  CHECK(!contains(text, "Reproduce"));
  CHECK(contains(text, "1,000/1,000"));
  CHECK(contains(text, "0.30 %"));
}

TEST_CASE("colours come only when asked for, and change nothing else") {
  const std::string plain = render_terminal(sample::with_violation(), false);
  std::string colored = render_terminal(sample::with_violation(), true);
  CHECK(contains(colored, "\x1b[1;31mVIOLATION\x1b[0m"));
  for (std::size_t at = colored.find('\x1b'); at != std::string::npos; at = colored.find('\x1b')) {
    colored.erase(at, colored.find('m', at) - at + 1);
  }
  CHECK(colored == plain);
}

TEST_CASE("empty and unfinished campaigns can be rendered, too") {
  for (const bool sections : {false, true}) {
    CampaignReport report;
    if (sections) {
      report.engines.resize(1);
    }
    CHECK(Json::parse(render_json(report)).at("verdict") == "nothing-ran");
    pugi::xml_document document;
    CHECK(check_junit(report, &document).failures == 0);
    CHECK(contains(render_html(report), "nothing ran"));
    CHECK(contains(render_markdown(report), "nothing ran"));
    CHECK(render_terminal(report, false).starts_with("NOTHING RAN: "));
    CHECK(render_github_errors(report).starts_with("::error::"));
  }
}

TEST_CASE("every report tells of power cuts: images, causes, profiles, and what was never promised") {
  const CampaignReport report = sample::with_power_cuts();
  CHECK(report.verdict() == Verdict::violation);
  for (const std::string& text :
       {render_terminal(report, false), render_markdown(report, 1 << 20), render_html(report)}) {
    INFO(text);
    CHECK(contains(text, "1,234 disk images judged under profile xfs"));
    CHECK(contains(text, "a.tmp"));
    CHECK(contains(text, "btrfs"));
    CHECK(contains(text, "engine.opens"));
    CHECK(contains(text, "199 images a second and core"));
    CHECK(contains(text, "812"));  // after how many images the second one came
  }
  CHECK(contains(render_terminal(report, false), "not promised"));
  CHECK(contains(render_terminal(report, false),
                 "VIOLATION: 4 violations in 2,000 kills and 1,234 disk images"));
  const nlohmann::json json = nlohmann::json::parse(render_json(report));
  const nlohmann::json& power = json["engines"][1]["power_cuts"];
  CHECK(json["engines"][0]["power_cuts"].is_null());
  CHECK(power["images_judged"] == 1'234);
  CHECK(power["strategies"]["tear"]["skipped_as_much_like_others"] == 60);
  CHECK(power["cuts"]["rename"]["cut_behind"] == 9);
  CHECK(power["findings"][1]["promised"] == false);
  const std::string junit = render_junit(report);
  CHECK(contains(junit, "power cuts, profile xfs"));
  CHECK(contains(junit, "4 of 1,234 disk images broke a promise"));
}

TEST_CASE("findings of power cuts are one when they differ in numbers only, and keep the weakest profile") {
  PowerTally tally;
  tally.add(PowerFinding{"log.acked", "write of bytes 1..2 of a", "xfs", "", "", 1, 40, true, "", "", ""});
  tally.add(
      PowerFinding{"log.acked", "write of bytes 30..4444 of a", "btrfs", "", "", 2, 12, true, "", "", ""});
  tally.add(PowerFinding{"log.acked", "write of bytes 1..2 of b", "strict", "", "", 5, 3, false, "", "", ""});
  REQUIRE(tally.findings.size() == 2);
  CHECK(tally.findings[0].images == 3);
  CHECK(tally.findings[0].profile == "btrfs");
  CHECK(tally.findings[0].after_images == 12);
  CHECK(tally.violations() == 3);
  CHECK(weaker_profile("prefix", "strict") == "prefix");
  CHECK(weaker_profile("strict+fdatasync-drops-size", "strict") == "strict");
}

TEST_CASE("classes of files that were seen and never hit are named") {
  EngineTally tally;
  tally.cells_seen = {"after sst.datasync/flush", "before sst.write/flush", "before wal.write/apply"};
  tally.kills_by_cell = {{"after sst.datasync/flush", 3}};
  CHECK(tally.zero_classes() == std::vector<std::string>{"wal"});
}

TEST_CASE("every report tells what happened between replicas") {
  CampaignReport report = sample::pass();
  GroupTally tally;
  tally.replicas = {"0 rocksdb in-batch", "1 lmdb sidecar"};
  tally.cycles = 7;
  tally.snapshots_installed = {{"lmdb -> rocksdb", 3}, {"rocksdb -> lmdb", 2}};
  tally.snapshots_damaged = {{"flipped", 4}};
  tally.states_compared = 14;
  report.group = tally;
  report.group->add(tally);
  CHECK(report.group->installed() == 10);
  CHECK(report.group->damaged() == 8);
  for (const std::string& text :
       {render_terminal(report, false), render_markdown(report, 1 << 20), render_html(report)}) {
    CAPTURE(text);
    CHECK(contains(text, "10 installed"));
    CHECK(contains(text, "8 snapshots, all refused: flipped 8"));
    CHECK(contains(text, "28 states"));
  }
  CHECK(contains(render_json(report), "\"states_compared\": 28"));
}

}  // namespace chaosgate::report
