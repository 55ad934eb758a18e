#include "harness/report/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace chaosgate::report {
namespace {

std::uint64_t images_judged(const CampaignReport& report) {
  std::uint64_t images = 0;
  for (const EngineSection& section : report.engines) {
    images += section.power ? section.power->judged : 0;
  }
  return images;
}

// "1,000 kills", "600 disk images from power cuts", or both.
std::string tried_text(const CampaignReport& report) {
  const std::uint64_t images = images_judged(report);
  std::vector<std::string> parts;
  if (report.kills() > 0 || images == 0) {
    parts.push_back(plural(report.kills(), "kill"));
  }
  if (images > 0) {
    parts.push_back(plural(images, "disk image") + " from power cuts");
  }
  return joined(parts, " and ");
}

std::string pass_sentence(const CampaignReport& report) {
  const bool any = report.kills() > 0 || images_judged(report) > 0;
  const std::string recoveries =
      "every recovery after " + tried_text(report) + " brought back the expected state";
  const std::string faults = report.self_test.size() == 1
                                 ? "the planted fault was found"
                                 : "all " + plural(report.self_test.size(), "planted fault") + " were found";
  if (!any) {
    return faults;
  }
  return report.self_test.empty() ? recoveries : recoveries + "; " + faults;
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
  std::uint64_t violations = 0;
  std::uint64_t abnormal = 0;
  for (const EngineSection& section : report.engines) {
    violations += section.violations_found();
    abnormal += section.abnormal_found();
  }
  const std::string kills = tried_text(report);
  const std::string deaths = plural(abnormal, "worker death") + " that nobody ordered";
  switch (report.verdict()) {
    case Verdict::pass:
      return pass_sentence(report);
    case Verdict::violation:
      return plural(violations, "violation") + " in " + kills + (abnormal > 0 ? ", and " + deaths : "");
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
