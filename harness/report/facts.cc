#include "harness/report/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace chaosgate::report {
namespace {

std::uint64_t checks_of(const CampaignReport& report) {
  std::uint64_t count = 0;
  for (const Conformance& each : report.conformance) {
    count += each.checks.size();
  }
  return count;
}

std::uint64_t damages_of(const CampaignReport& report) {
  std::uint64_t count = 0;
  for (const Damage& each : report.damage) {
    count += each.tally.judged();
  }
  return count;
}

// "1,000 kills", "600 disk images from power cuts", or several such.
std::string tried_text(const CampaignReport& report) {
  std::vector<std::string> parts;
  const auto add = [&parts](std::uint64_t count, const char* noun, const char* more) {
    if (count > 0) {
      parts.push_back(plural(count, noun) + more);
    }
  };
  add(report.kills(), "kill", "");
  add(report.images(), "disk image", " from power cuts");
  add(checks_of(report), "conformance check", "");
  add(damages_of(report), "damaged file", "");
  add(report.controls.size(), "correct configuration", "");
  return parts.empty() ? "0 kills" : joined(parts, " and ");
}

std::string pass_sentence(const CampaignReport& report) {
  std::vector<std::string> parts;
  if (report.kills() > 0 || report.images() > 0) {
    parts.push_back(report.engines.empty()
                        ? "every migration under " + tried_text(report) +
                              " ended with the content of its source"
                        : "every recovery after " + tried_text(report) + " brought back the expected state");
  }
  if (const std::uint64_t checks = checks_of(report); checks > 0) {
    parts.push_back(plural(checks, "conformance check") + " passed");
  }
  if (const std::uint64_t damages = damages_of(report); damages > 0) {
    parts.push_back("no promise was broken by " + plural(damages, "damaged file"));
  }
  if (!report.controls.empty()) {
    parts.push_back(plural(report.controls.size(), "correct configuration") + " stayed clean");
  }
  if (!report.self_test.empty()) {
    parts.push_back(report.self_test.size() == 1
                        ? "the planted fault was found"
                        : "all " + plural(report.self_test.size(), "planted fault") + " were found");
  }
  return joined(parts, "; ");
}

}  // namespace

std::string thousands(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string milliseconds(std::uint64_t us) {
  const double ms = static_cast<double>(us) / 1000.0;
  if (us == 0) {
    return "0";
  }
  if (us < 995) {
    return fmt::format("{:.2f}", ms);
  }
  if (us < 9950) {
    return fmt::format("{:.1f}", ms);
  }
  return thousands(static_cast<std::uint64_t>(std::llround(ms)));
}

std::string percentage(double share) {
  const double percent = share * 100;
  if (percent >= 9.95 || percent == 0) {
    return fmt::format("{:.0f} %", percent);
  }
  if (percent >= 0.995) {
    return fmt::format("{:.1f} %", percent);
  }
  return fmt::format("{:.{}f} %", percent, percent >= 0.0995 ? 2 : 3);
}

std::string percentage(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "-"
                    : fmt::format("{:.0f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string duration(double seconds) {
  if (seconds < 9.95) {
    return fmt::format("{:.1f} s", std::max(seconds, 0.0));
  }
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 60) {
    return fmt::format("{} s", whole);
  }
  return whole < 3600 ? fmt::format("{} min {} s", whole / 60, whole % 60)
                      : fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string seed_text(std::uint64_t seed) { return fmt::format("{:#x}", seed); }

std::string plural(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", thousands(count), noun, count == 1 ? "" : "s");
}

std::string joined(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::uint64_t count_of(const std::map<std::string, std::uint64_t>& counts, std::string_view key) {
  const auto found = counts.find(std::string(key));
  return found == counts.end() ? 0 : found->second;
}

std::string contract(const EngineSection& section) {
  if (section.commit_survives.empty() && section.flush_survives.empty()) {
    return "contract unknown";
  }
  const auto or_unknown = [](const std::string& promise) {
    return promise.empty() ? std::string("unknown") : promise;
  };
  return fmt::format("commit survives {}, flush survives {}", or_unknown(section.commit_survives),
                     or_unknown(section.flush_survives));
}

std::string engine_title(const EngineSection& section) {
  return section.tally.fault.empty() ? section.engine
                                     : section.engine + " with planted fault " + section.tally.fault;
}

std::string bound_text(const EngineSection& section) {
  const bool applies = section.violations_found() == 0 && section.tally.kills > 0;
  return applies ? percentage(section.tally.upper_bound()) : "-";
}

std::string words(Verdict verdict) {
  std::string text(to_string(verdict));
  std::replace(text.begin(), text.end(), '-', ' ');
  return text;
}

std::string origin(const CampaignReport& report) {
  std::vector<std::string> parts;
  if (!report.version.empty()) {
    parts = {"chaosgate " + report.version, "seed " + seed_text(report.seed)};
  }
  if (!report.started.empty()) {
    parts.push_back(report.started);
  }
  if (report.seconds > 0) {
    parts.push_back(duration(report.seconds) +
                    (report.work_directory_kind.empty() ? "" : " on " + report.work_directory_kind));
  }
  if (!report.plan_checksum.empty()) {
    parts.push_back("plan " + report.plan_checksum);
  }
  if (!report.complete) {
    parts.emplace_back("NOT COMPLETE");
  }
  return printable_line(joined(parts));
}

std::string verdict_sentence(const CampaignReport& report) {
  std::uint64_t abnormal = 0;
  for (const EngineSection& section : report.engines) {
    abnormal += section.abnormal_found();
  }
  const std::string kills = tried_text(report);
  const std::string deaths = plural(abnormal, "worker death") + " that nobody ordered";
  switch (report.verdict()) {
    case Verdict::pass:
      return pass_sentence(report);
    case Verdict::violation:
      return plural(report.violations_found(), "violation") + " in " + kills +
             (abnormal > 0 ? ", and " + deaths : "");
    case Verdict::abnormal_death:
      return "no violation in " + kills + ", but " + deaths;
    case Verdict::harness_fault:
      return "the harness failed after " + kills + ": " + printable_line(report.harness_fault);
    case Verdict::interrupted:
      return "stopped by a signal after " + kills + "; no violation until then";
    case Verdict::nothing_ran:
      return "no kill was confirmed, so nothing was tested";
    case Verdict::inconclusive:
      return "no violation in " + kills + ", but that proves too little";
  }
  return {};
}

std::vector<std::string> abnormal_not_reproduced(const EngineSection& section) {
  std::vector<std::string> lines = section.not_reproduced();
  for (std::string& line : lines) {
    line.insert(0, "abnormal, not reproduced: ");
  }
  return lines;
}

std::string command_to_copy(const CampaignReport& report) {
  if (report.verdict() == Verdict::pass) {
    return {};
  }
  if (!report.command.empty()) {
    return printable_line(report.command);
  }
  for (const EngineSection& section : report.engines) {
    for (const auto& [where, violation] : section.violations) {
      if (!violation.command.empty()) {
        return printable_line(violation.command);
      }
    }
  }
  return {};
}

namespace {

Part part_of(const Conformance& conformance) {
  Part part{"conformance of " + conformance.engine, {}, {}};
  for (const ConformResult& check : conformance.checks) {
    part.cases.push_back(
        {check.check, check.passed() ? "" : printable_line(check.outcome + ": " + check.detail), ""});
    if (!check.passed()) {
      part.lines.push_back(printable_line(check.check) + ": " + part.cases.back().failure);
    } else if (!check.note.empty()) {
      part.lines.push_back(printable_line(check.check + ", noted: " + check.note));
    }
  }
  const std::uint64_t passed = conformance.checks.size() - conformance.violations();
  part.lines.push_back(fmt::format("{} of {} passed", passed, plural(conformance.checks.size(), "check")));
  return part;
}

Part part_of(const Damage& damage) {
  Part part{"damage of " + damage.engine, {}, {}};
  for (const auto& [file_class, counts] : damage.tally.by_class) {
    part.lines.push_back(
        printable_line(fmt::format("{}: {} detected, {} harmless, {} died, {} silently wrong", file_class,
                                   counts.detected, counts.harmless, counts.died, counts.silent)));
  }
  std::string wrong;
  for (const DamageFinding& finding : damage.tally.findings) {
    const bool broken = damage.breaks_promise(finding);
    const std::string where =
        finding.undamaged
            ? "without any damage"
            : fmt::format("of {} in {}", plural(finding.count, "damaged file"), finding.file_class);
    const std::string line = printable_line(fmt::format(
        "{}{} {} ({}): {}", broken ? "" : "not promised: ",
        finding.silent ? "silently wrong" : "the process died", where, finding.damage, finding.explanation));
    part.lines.push_back(line);
    wrong += broken ? line + "\n" : "";
    if (!finding.bundle.empty()) {
      part.lines.push_back("its bundle: " + printable_line(finding.bundle));
    }
  }
  for (const std::string& end : damage.tally.not_reproduced) {
    part.lines.push_back(printable_line("abnormal, not reproduced: " + end));
  }
  if (!damage.tally.harness_fault.empty()) {
    part.lines.push_back(printable_line("ended early: " + damage.tally.harness_fault));
  }
  part.cases.push_back({"damage at rest is detected or harmless", wrong, joined(damage.doubts(), "; ")});
  return part;
}

Part part_of(const MigrationTally& migration) {
  Part part{fmt::format("migration from {} to {}", migration.from, migration.to), {}, {}};
  std::istringstream text(migration_text(migration));
  for (std::string line; std::getline(text, line);) {
    part.lines.push_back(line);
  }
  part.cases.push_back({"every migration ends with the content of its source",
                        migration.findings.empty() ? "" : migration_text(migration),
                        joined(migration.doubts(), "; ")});
  return part;
}

// One case for each configuration, whatever the seeds.
Part part_of(const std::vector<ControlResult>& controls) {
  Part part{"correct configurations", {}, {}};
  for (const ControlResult& control : controls) {
    const std::string wrong = printable(joined(control.findings, "\n"));
    const std::string name = printable_line(control.engine + ", " + control.protocol);
    part.lines.push_back(fmt::format("{}, seed {}: {} in {}", name, seed_text(control.seed),
                                     wrong.empty() ? "clean" : printable_line(wrong),
                                     plural(control.kills, "kill")));
    const std::string stays = name + " stays clean";
    auto known = std::find_if(part.cases.begin(), part.cases.end(),
                              [&](const Part::Case& each) { return each.name == stays; });
    if (known == part.cases.end()) {
      known = part.cases.insert(known, {stays, "", ""});
    }
    known->failure += (known->failure.empty() || wrong.empty() ? "" : "\n") + wrong;
  }
  return part;
}

}  // namespace

std::vector<Part> further_parts(const CampaignReport& report) {
  std::vector<Part> parts;
  for (const Conformance& conformance : report.conformance) {
    parts.push_back(part_of(conformance));
  }
  for (const Damage& damage : report.damage) {
    parts.push_back(part_of(damage));
  }
  for (const MigrationTally& migration : report.migrations) {
    parts.push_back(part_of(migration));
  }
  if (!report.controls.empty()) {
    parts.push_back(part_of(report.controls));
  }
  return parts;
}

std::vector<StepRow> step_rows(const EngineSection& section) {
  std::vector<StepRow> rows;
  const auto row_of = [&rows](const std::string& step) -> StepRow& {
    const auto found =
        std::find_if(rows.begin(), rows.end(), [&step](const StepRow& row) { return row.step == step; });
    return found != rows.end() ? *found : rows.emplace_back(StepRow{.step = step});
  };
  for (const std::string& step : section.steps_expected) {
    row_of(step).expected = true;
  }
  for (const auto& [step, kills] : section.tally.kills_by_step) {
    row_of(step).ordered = kills;
  }
  for (const auto& [step, kills] : section.tally.timer_kills_by_step) {
    row_of(step).timer = kills;
  }
  return rows;
}

std::vector<CellRow> cell_rows(const EngineTally& tally) {
  std::map<std::string, CellRow> rows;
  for (const std::string& cell : tally.cells_seen) {
    // "after sst.datasync/flush"
    const std::size_t blank = cell.find(' ');
    const std::size_t dot = cell.rfind('.');
    const std::size_t slash = cell.rfind('/');
    if (blank == std::string::npos || dot == std::string::npos || slash == std::string::npos || dot < blank) {
      continue;
    }
    const std::string file_class = cell.substr(blank + 1, dot - blank - 1);
    CellRow& row = rows[file_class];
    row.file_class = file_class;
    CellRow::Count& count = row.phases[cell.substr(slash + 1)];
    ++count.seen;
    count.hit += count_of(tally.kills_by_cell, cell) > 0 ? 1 : 0;
  }
  std::vector<CellRow> list;
  for (auto& [file_class, row] : rows) {
    list.push_back(std::move(row));
  }
  return list;
}

std::string skipped_text(const PowerTally& power) {
  StrategyTally sum;
  for (const auto& [name, tally] : power.strategies) {
    sum.duplicate += tally.duplicate;
    sum.grouped += tally.grouped;
    sum.illegal += tally.illegal;
  }
  return fmt::format("{} as the same image, {} as much like others, {} as not legal",
                     thousands(sum.duplicate), thousands(sum.grouped), thousands(sum.illegal));
}

std::string loads_text(const PowerTally& power) {
  const std::string loads = plural(power.loads, "load");
  return power.loads_with_errors == 0
             ? loads
             : fmt::format("{} ({} with I/O errors)", loads, thousands(power.loads_with_errors));
}

std::string speed_text(const PowerTally& power) {
  const std::uint64_t total = power.busy_us();
  return fmt::format(
      "{:.0f} images a second and core; recovering {}, choosing {}, building {}, recording {}, explaining {}",
      power.images_per_second_and_core(), percentage(power.recover_us, total),
      percentage(power.explore_us, total), percentage(power.build_us, total),
      percentage(power.record_us, total), percentage(power.explain_us, total));
}

}  // namespace chaosgate::report
