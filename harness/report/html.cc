// report.html
#include <fmt/format.h>

#include <algorithm>

#include "harness/report/facts.h"
#include "harness/report/html_page.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

std::string mood(Verdict verdict) {
  if (verdict == Verdict::pass) {
    return "good";
  }
  return exit_status(verdict) == ExitStatus::violation || verdict == Verdict::harness_fault ? "bad" : "doubt";
}

std::string banner(const CampaignReport& report) {
  const Verdict verdict = report.verdict();
  std::string out =
      fmt::format("<h1>chaosgate</h1>\n<div class=\"banner {}\"><strong>{}</strong><span>{}.</span></div>\n",
                  mood(verdict), words(verdict), html(verdict_sentence(report)));
  out += "<p class=\"quiet\">" + html(origin(report)) + "</p>\n";
  const std::string command = command_to_copy(report);
  return command.empty()
             ? out
             : out + fmt::format("<p>Reproduce with</p><pre class=\"command\">{}</pre>\n", html(command));
}

std::string verdicts(const CampaignReport& report) {
  if (report.engines.empty()) {
    return {};
  }
  Table table({"engine", "verdict", "#kills", "#wanted", "#in load", "#in recovery", "#violations",
               "#at-risk cycles", "#operations acknowledged", "#95 % bound"});
  for (const EngineSection& section : report.engines) {
    const EngineTally& tally = section.tally;
    const Verdict verdict = section.verdict();
    table.row(
        {fmt::format("{}<br><span class=\"quiet\">{}</span>", html(engine_title(section)),
                     html(section.version)),
         fmt::format("<b class=\"{}\">{}</b>", mood(verdict), words(verdict)), thousands(tally.kills),
         thousands(section.kills_wanted), thousands(tally.kills_in_load), thousands(tally.kills_in_recovery),
         section.violations_found() == 0
             ? "0"
             : fmt::format("<b class=\"bad\">{}</b>", thousands(section.violations_found())),
         percentage(tally.at_risk_cycles, tally.cycles), thousands(tally.operations), bound_text(section)});
  }
  return "<h2>Engines</h2>\n" + table.take() +
         "<p class=\"quiet\">95 % bound: without a violation in n kills, the probability of one per kill is "
         "below 3 / n with 95 % confidence.</p>\n";
}

std::string inconclusive(const CampaignReport& report) {
  std::vector<std::string> all = report.reasons();
  for (const EngineSection& section : report.engines) {
    for (const std::string& reason : section.reasons()) {
      all.push_back(section.engine + ": " + reason);
    }
  }
  return all.empty() ? "" : "<h2>Why it is inconclusive</h2>\n" + html_list(all);
}

std::string violations(const CampaignReport& report) {
  std::string out;
  for (const EngineSection& section : report.engines) {
    for (const auto& [where, violation] : section.violations) {
      out += fmt::format(
          "<div class=\"violation\"><h3>{}: {} <span class=\"quiet\">{}</span></h3><p>{}</p>\n",
          html(section.engine), html(violation.invariant), html(where), html(violation.explanation));
      if (!violation.detail.empty()) {
        out += "<pre>" + html(violation.detail) + "</pre>\n";
      }
      if (!violation.bundle.empty()) {
        out += "<p class=\"quiet\">Bundle " + html(violation.bundle) + "</p>\n";
      }
      if (!violation.command.empty()) {
        out += "<pre class=\"command\">" + html(violation.command) + "</pre>\n";
      }
      if (!violation.seed_command.empty()) {
        out += "<p class=\"quiet\">From the seed</p>\n<pre class=\"command\">" +
               html(violation.seed_command) + "</pre>\n";
      }
      out += "</div>\n";
    }
    const std::uint64_t more = section.violations_found() - section.violations.size();
    if (more > 0) {
      out += fmt::format("<p>{}: {}; events.jsonl has them all.</p>\n", html(section.engine),
                         plural(more, "more violation"));
    }
    if (!section.abnormal.empty()) {
      out += fmt::format("<h3>{}: deaths that nobody ordered ({})</h3>\n", html(section.engine),
                         thousands(section.abnormal_found())) +
             html_list(section.abnormal);
    }
    if (const std::vector<std::string> lines = abnormal_not_reproduced(section); !lines.empty()) {
      out += fmt::format("<h3>{}: not reproduced</h3>\n", html(section.engine)) + html_list(lines);
    }
  }
  return out.empty() ? "" : "<h2>Findings</h2>\n" + out;
}

std::string kind_table(const CampaignReport& report) {
  std::vector<std::string> headings = {"engine"};
  for (const std::string_view kind : kCrashKinds) {
    headings.push_back(fmt::format("#{}", kind));
  }
  headings.insert(headings.end(), {"#missed crash points", "#abnormal deaths", "#torn tails"});
  Table table(headings);
  for (const EngineSection& section : report.engines) {
    std::vector<std::string> cells = {html(section.engine)};
    for (const std::string_view kind : kCrashKinds) {
      const std::uint64_t count = count_of(section.tally.kills_by_kind, kind);
      cells.push_back(count == 0 ? "<td class=\"n zero\">0</td>" : thousands(count));
    }
    cells.push_back(thousands(section.tally.missed));
    cells.push_back(thousands(section.abnormal_found()));
    cells.push_back(thousands(section.tally.torn_tails));
    table.row(cells);
  }
  return table.take();
}

std::string step_table(const EngineSection& section) {
  const std::vector<StepRow> rows = step_rows(section);
  std::uint64_t most = 1;
  for (const StepRow& row : rows) {
    most = std::max(most, row.ordered);
  }
  Table table({"step", "#ordered there", "", "#timer kills, last step"}, "step");
  for (const StepRow& row : rows) {
    const bool hole = row.expected && row.ordered == 0;
    table.row({html(row.step), hole ? "<td class=\"n zero\">0</td>" : thousands(row.ordered),
               fmt::format("<td class=\"bar\"><i style=\"width:{:.1f}%\"></i></td>",
                           100.0 * static_cast<double>(row.ordered) / static_cast<double>(most)),
               thousands(row.timer)});
  }
  return table.take();
}

std::string coverage(const CampaignReport& report) {
  if (report.engines.empty()) {
    return {};
  }
  std::string out = "<h2>Where the kills landed</h2>\n" + kind_table(report);
  for (const EngineSection& section : report.engines) {
    const std::size_t expected = section.steps_expected.size();
    const std::vector<std::string> holes = section.never_hit();
    out += fmt::format("<h3>{} <span class=\"quiet\">{}; {}</span></h3>\n", html(section.engine),
                       html(joined(section.protocols, " and ")), html(contract(section)));
    out +=
        fmt::format("<p>{} of {} steps hit.{}</p>\n", expected - holes.size(), expected,
                    holes.empty() ? "" : " Never hit: <b class=\"doubt\">" + html(joined(holes)) + "</b>.");
    out += step_table(section);
  }
  return out;
}

std::vector<std::string> timing_row(const EngineSection& section, std::string_view what,
                                    const Distribution& values, std::string (*format)(std::uint64_t)) {
  return {html(section.engine),          std::string(what),
          thousands(values.count()),     format(values.percentile(50)),
          format(values.percentile(99)), format(values.max())};
}

std::string timings(const CampaignReport& report) {
  if (report.engines.empty()) {
    return {};
  }
  Table table({"engine", "what", "#count", "#p50", "#p99", "#max"});
  for (const EngineSection& section : report.engines) {
    const EngineTally& tally = section.tally;
    table.row(timing_row(section, "recovery (open and replay), ms", tally.recovery_us, milliseconds));
    table.row(timing_row(section, "entries replayed", tally.replay_entries, thousands));
    table.row(timing_row(section, "whole cycle, ms", tally.cycle_us, milliseconds));
  }
  return "<h2>Timings</h2>\n" + table.take();
}

std::string checks(const CampaignReport& report) {
  Table table({"engine", "invariant", "#checked", "#violated"});
  bool any = false;
  for (const EngineSection& section : report.engines) {
    std::map<std::string, std::uint64_t> all = section.tally.checks;
    for (const auto& [invariant, count] : section.tally.violations) {
      all.try_emplace(invariant, count);
    }
    for (const auto& [invariant, checked] : all) {
      any = true;
      const std::uint64_t violated = count_of(section.tally.violations, invariant);
      table.row({html(section.engine), html(invariant), thousands(checked),
                 violated == 0 ? "0" : fmt::format("<b class=\"bad\">{}</b>", thousands(violated))});
    }
  }
  return any ? "<h2>Invariants</h2>\n" + table.take() : "";
}

std::string power_cuts(const CampaignReport& report) {
  Table strategies({"engine", "strategy", "#judged", "#same image", "#much like others", "#not legal"});
  Table findings({"engine", "invariant", "#images", "#first after", "weakest profile", "promised", "cause"});
  std::string about;
  bool any = false;
  for (const EngineSection& section : report.engines) {
    if (!section.power) {
      continue;
    }
    const PowerTally& power = *section.power;
    about += fmt::format("<p>{}: {} judged under profile {}, from {}. {}.</p>\n", html(section.engine),
                         plural(power.judged, "disk image"), html(power.profile), loads_text(power),
                         speed_text(power));
    for (const auto& [name, tally] : power.strategies) {
      strategies.row({html(section.engine), html(name), thousands(tally.judged), thousands(tally.duplicate),
                      thousands(tally.grouped), thousands(tally.illegal)});
    }
    for (const PowerFinding& finding : power.findings) {
      any = true;
      findings.row({html(section.engine), html(finding.invariant), thousands(finding.images),
                    thousands(finding.after_images), html(finding.profile),
                    finding.promised ? "<b class=\"bad\">yes</b>" : "no", html(finding.cause)});
    }
  }
  return about.empty() ? ""
                       : "<h2>Power cuts</h2>\n" + about + strategies.take() + (any ? findings.take() : "");
}

std::string self_test(const CampaignReport& report) {
  if (report.self_test.empty()) {
    return {};
  }
  Table table({"planted fault", "layer", "engine", "protocol", "seed", "result", "after", "published as"});
  for (const FaultResult& result : report.self_test) {
    table.row({html(result.fault), html(result.layer), html(result.engine), html(result.protocol),
               seed_text(result.seed),
               result.found ? "<span class=\"good\">" + html(result.invariant) + "</span>"
                            : "<b class=\"doubt\">not found</b>",
               html(tries_text(result)), html(result.published_as)});
  }
  return "<h2>Planted faults</h2>\n" + table.take();
}

std::string settings(const CampaignReport& report) {
  Table table({"setting", "value", "from"});
  for (const SettingLine& line : report.settings) {
    table.row({html(line.key), html(line.value), html(line.source)});
  }
  for (const auto& [name, version] : report.libraries) {
    table.row({html(name), html(version), "library"});
  }
  return "<h2>Settings and versions</h2>\n" + table.take();
}

}  // namespace

std::string render_html(const CampaignReport& report) {
  std::string out = page_head(words(report.verdict()));
  out += banner(report) + verdicts(report) + violations(report) + inconclusive(report) + coverage(report) +
         power_cuts(report) + timings(report) + checks(report) + self_test(report);
  if (report.group) {
    Table table({"replicas of one log", ""});
    for (const auto& [label, text] : group_facts(*report.group)) {
      table.row({html(label), html(text)});
    }
    out += "<h2>Replicas</h2>\n" + table.take();
  }
  for (const Part& part : further_parts(report)) {
    out += "<h2>" + html(part.name) + "</h2>\n" + html_list(part.lines);
  }
  if (!report.not_tested.empty()) {
    out += "<h2>Not tested</h2>\n" + html_list(report.not_tested);
  }
  out += settings(report);
  return out + page_end("report.html",
                        fmt::format("schema version {}; result.json holds the same numbers", kSchemaVersion),
                        report.version);
}

}  // namespace chaosgate::report
