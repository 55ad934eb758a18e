// junit.xml. Every campaign with the same settings has the same test cases, whatever it finds and whatever
// its seed, so that a CI system has a history of each: one per engine, crash kind and contract, one per
// invariant that is checked, one for deaths that nobody ordered. Seed and time are properties and attributes
// of the suites. `failure`: an invariant does not hold; `error`: the harness failed or a worker died unasked;
// `skipped`: it proves too little. The schema is Jenkins' (junit-10.xsd of its xUnit plugin).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <pugixml.hpp>
#include <set>
#include <sstream>

#include "harness/report/facts.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

struct Counts {
  std::uint64_t tests = 0, failures = 0, errors = 0, skipped = 0;

  void add(const Counts& other) {
    tests += other.tests;
    failures += other.failures;
    errors += other.errors;
    skipped += other.skipped;
  }
};

// The schema has no `skipped` on <testsuites>.
void write_counts(pugi::xml_node node, const Counts& counts, double seconds, bool of_suite) {
  node.append_attribute("tests") = static_cast<unsigned long long>(counts.tests);
  node.append_attribute("failures") = static_cast<unsigned long long>(counts.failures);
  node.append_attribute("errors") = static_cast<unsigned long long>(counts.errors);
  if (of_suite) {
    node.append_attribute("skipped") = static_cast<unsigned long long>(counts.skipped);
  }
  node.append_attribute("time") = fmt::format("{:.3f}", seconds).c_str();
}

// One <testsuite>, whose case names are made unique and whose counts are those of its children.
class Suite {
 public:
  Suite(pugi::xml_node parent, const CampaignReport& report, const std::string& name)
      : name_(name), node_(parent.append_child("testsuite")) {
    node_.append_attribute("name") = printable_line(name).c_str();
    if (!report.started.empty()) {  // UTC; the schema has no zone
      node_.append_attribute("timestamp") = report.started.substr(0, report.started.find('Z')).c_str();
    }
    if (!report.version.empty()) {
      pugi::xml_node properties = node_.append_child("properties");
      add_property(properties, "seed", seed_text(report.seed));
      add_property(properties, "chaosgate", report.version);
    }
  }

  void pass(const std::string& name, double seconds = 0) { add(name, seconds); }
  void fail(const std::string& name, const std::string& type, const std::string& message,
            const std::string& text) {
    ++counts_.failures;
    outcome(add(name, 0), "failure", type, message, text);
  }
  void error(const std::string& name, const std::string& type, const std::string& message) {
    ++counts_.errors;
    outcome(add(name, 0), "error", type, message, message);
  }
  void skip(const std::string& name, const std::string& message) {
    ++counts_.skipped;
    add(name, 0).append_child("skipped").append_attribute("message") = printable_line(message).c_str();
  }

  Counts finish(double seconds) {
    write_counts(node_, counts_, seconds, true);
    return counts_;
  }

 private:
  static void add_property(pugi::xml_node properties, const char* name, const std::string& value) {
    pugi::xml_node property = properties.append_child("property");
    property.append_attribute("name") = name;
    property.append_attribute("value") = printable_line(value).c_str();
  }

  pugi::xml_node add(const std::string& name, double seconds) {
    ++counts_.tests;
    std::string unique = printable_line(name);
    for (int number = 2; !names_.insert(unique).second; ++number) {
      unique = fmt::format("{} #{}", printable_line(name), number);
    }
    pugi::xml_node test = node_.append_child("testcase");
    test.append_attribute("classname") = printable_line(name_).c_str();
    test.append_attribute("name") = unique.c_str();
    test.append_attribute("time") = fmt::format("{:.3f}", seconds).c_str();
    return test;
  }

  static void outcome(pugi::xml_node test, const char* element, const std::string& type,
                      const std::string& message, const std::string& text) {
    pugi::xml_node node = test.append_child(element);
    node.append_attribute("message") = printable_line(message).c_str();
    node.append_attribute("type") = printable_line(type).c_str();
    node.text() = printable(text).c_str();
  }

  std::string name_;
  pugi::xml_node node_;
  Counts counts_;
  std::set<std::string> names_;
};

void write_kind(Suite& suite, const EngineSection& section, std::string_view kind) {
  const EngineTally& tally = section.tally;
  const std::string name = fmt::format("{} kills, {}", kind, contract(section));
  const std::uint64_t kills = count_of(tally.kills_by_kind, kind);
  const std::uint64_t violations = count_of(tally.violations_by_kind, kind);
  const std::uint64_t abnormal = count_of(tally.abnormal_by_kind, kind);
  if (violations > 0) {
    const std::string message = fmt::format("{} in cycles with a {} kill, {} confirmed",
                                            plural(violations, "violation"), kind, thousands(kills));
    suite.fail(name, "violation", message, message);
  } else if (abnormal > 0) {
    suite.error(name, "abnormal death",
                fmt::format("{} that nobody ordered where a {} kill was planned",
                            plural(abnormal, "worker death"), kind));
  } else if (kills == 0) {
    const bool planned = std::find(section.kinds_expected.begin(), section.kinds_expected.end(), kind) !=
                         section.kinds_expected.end();
    suite.skip(name, planned ? fmt::format("no {} kill was confirmed", kind) : "none was planned");
  } else if (!section.reasons().empty()) {
    suite.skip(name, "inconclusive: " + joined(section.reasons(), "; "));
  } else {
    suite.pass(name, section.seconds * static_cast<double>(kills) / static_cast<double>(tally.kills));
  }
}

void write_power(Suite& suite, const EngineSection& section, const PowerTally& power) {
  const std::string name = fmt::format("power cuts, profile {}, {}", power.profile, contract(section));
  if (const std::uint64_t broken = power.violations(); broken > 0) {
    const std::string message =
        fmt::format("{} of {} broke a promise", thousands(broken), plural(power.judged, "disk image"));
    suite.fail(name, "violation", message, message);
  } else if (power.judged == 0) {
    suite.skip(name, "no disk image was judged");
  } else if (!section.reasons().empty()) {
    suite.skip(name, "inconclusive: " + joined(section.reasons(), "; "));
  } else {
    suite.pass(name, power.seconds);
  }
}

std::string violation_text(const std::string& where, const ViolationEvent& violation) {
  std::string text = fmt::format("{}\n{}\n{}", violation.explanation, where, violation.detail);
  if (!violation.bundle.empty()) {
    text += "\nbundle: " + violation.bundle;
  }
  if (!violation.command.empty()) {
    text += "\nreproduce with: " + violation.command;
  }
  if (!violation.seed_command.empty()) {
    text += "\nfrom the seed: " + violation.seed_command;
  }
  return text;
}

// A case for each invariant that was checked, or did not hold.
void write_invariants(Suite& suite, const EngineSection& section) {
  std::map<std::string, std::string> broken;  // invariant -> what is known of it
  for (const auto& [invariant, count] : section.tally.checks) {
    broken[invariant];
  }
  if (section.power) {
    for (const auto& [invariant, count] : section.power->checks) {
      broken[invariant];
    }
  }
  std::map<std::string, std::string> first;
  for (const auto& [where, violation] : section.violations) {
    first.try_emplace(violation.invariant, violation.explanation);
    std::string& text = broken[violation.invariant];
    text += (text.empty() ? "" : "\n\n") + violation_text(where, violation);
  }
  for (const auto& [invariant, count] : section.tally.violations) {
    if (count > 0 && broken[invariant].empty()) {
      first[invariant] = broken[invariant] = plural(count, "violation") + "; see events.jsonl";
    }
  }
  for (const auto& [invariant, text] : broken) {
    if (text.empty()) {
      suite.pass(invariant);
    } else {
      suite.fail(invariant, invariant, first[invariant], text);
    }
  }
  const std::uint64_t more = section.violations_found() - section.violations.size();
  const std::string name = "no violation but these";
  if (more > 0) {
    const std::string message = plural(more, "more violation") + "; see events.jsonl";
    suite.fail(name, "violation", message, message);
  } else {
    suite.pass(name);
  }
}

void write_abnormal(Suite& suite, const EngineSection& section) {
  const std::string name = "no worker dies that nobody killed";
  if (section.abnormal_found() == 0) {
    suite.pass(name);
  } else {
    suite.error(name, "abnormal death",
                section.abnormal.empty() ? plural(section.abnormal_found(), "worker death")
                                         : joined(section.abnormal, "\n"));
  }
}

void write_not_reproduced(Suite& suite, const EngineSection& section) {
  const std::string name = "every abnormal end comes again";
  const std::vector<std::string> lines = section.not_reproduced();
  if (lines.empty()) {
    suite.pass(name);
  } else {
    suite.skip(name, joined(lines, "\n"));
  }
}

Counts write_engine(pugi::xml_node root, const CampaignReport& report, const EngineSection& section) {
  Suite suite(root, report, "chaosgate." + section.engine);
  for (const std::string_view kind : kCrashKinds) {
    write_kind(suite, section, kind);
  }
  if (section.power) {
    write_power(suite, section, *section.power);
  }
  write_invariants(suite, section);
  write_abnormal(suite, section);
  write_not_reproduced(suite, section);
  return suite.finish(section.seconds);
}

Counts write_part(pugi::xml_node root, const CampaignReport& report, const Part& part) {
  Suite suite(root, report, "chaosgate." + part.name);
  for (const Part::Case& each : part.cases) {
    if (!each.failure.empty()) {
      suite.fail(each.name, "violation", each.failure.substr(0, each.failure.find('\n')), each.failure);
    } else if (!each.doubt.empty()) {
      suite.skip(each.name, "inconclusive: " + each.doubt);
    } else {
      suite.pass(each.name);
    }
  }
  return suite.finish(0);
}

// One case for each fault and place, whatever the seeds.
Counts write_self_test(pugi::xml_node root, const CampaignReport& report) {
  Suite suite(root, report, "chaosgate.self-test");
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> missed;  // name -> with which seeds
  for (const FaultResult& result : report.self_test) {
    const std::string name =
        fmt::format("{} is found on {}, {}", result.fault, result.engine, result.protocol);
    add_once(&names, name);
    if (!result.found) {
      missed[name].push_back(
          fmt::format("in {} with seed {}", plural(result.kills, "kill"), seed_text(result.seed)));
    }
  }
  for (const std::string& name : names) {
    if (missed.contains(name)) {
      suite.skip(name, "inconclusive: not found " + joined(missed[name], ", "));
    } else {
      suite.pass(name);
    }
  }
  return suite.finish(0);
}

Counts write_campaign(pugi::xml_node root, const CampaignReport& report) {
  Suite suite(root, report, "chaosgate.campaign");
  const std::string name = "the campaign runs to its end and proves something";
  if (!report.harness_fault.empty()) {
    suite.error(name, "harness fault", report.harness_fault);
  } else if (report.interrupted) {
    suite.skip(name, "interrupted by a signal");
  } else if (!report.reasons().empty()) {
    suite.skip(name, "inconclusive: " + joined(report.reasons(), "; "));
  } else if (report.verdict() == Verdict::nothing_ran) {
    suite.skip(name, "nothing ran");
  } else {
    suite.pass(name);
  }
  return suite.finish(report.seconds);
}

}  // namespace

std::string render_junit(const CampaignReport& report) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version") = "1.0";
  declaration.append_attribute("encoding") = "UTF-8";
  pugi::xml_node root = document.append_child("testsuites");
  root.append_attribute("name") = "chaosgate";
  Counts counts;
  for (const EngineSection& section : report.engines) {
    counts.add(write_engine(root, report, section));
  }
  for (const Part& part : further_parts(report)) {
    counts.add(write_part(root, report, part));
  }
  if (!report.self_test.empty()) {
    counts.add(write_self_test(root, report));
  }
  counts.add(write_campaign(root, report));
  write_counts(root, counts, report.seconds, false);
  std::ostringstream out;
  document.save(out, "  ", pugi::format_indent, pugi::encoding_utf8);
  return out.str();
}

}  // namespace chaosgate::report
