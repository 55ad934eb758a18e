// summary.md, for a pull request or GITHUB_STEP_SUMMARY. It is made of blocks, most important first; a block
// that does not fit is left out whole, so that no table or code fence is ever cut in two.
#include <fmt/format.h>

#include <algorithm>

#include "harness/report/facts.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

constexpr std::size_t kTextBytesMax = 8 * 1024;  // of one free text, before escapes
constexpr std::size_t kNoteBytes = 256;          // kept free for the last line

// Cut at a character boundary; says so.
std::string clipped(const std::string& text) {
  if (text.size() <= kTextBytesMax) {
    return text;
  }
  std::size_t end = kTextBytesMax;
  while (end > kTextBytesMax - 3 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return fmt::format("{} ... ({} bytes more)", std::string_view(text).substr(0, end),
                     thousands(text.size() - end));
}

// Text that stays text, in a table cell or a list.
std::string plain(const std::string& bytes) {
  std::string out;
  for (const char c : printable_line(clipped(bytes))) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '@') {
      out += "&#64;";  // GitHub would notify somebody
    } else {
      if (std::string_view("\\`*_{}[]|#~!").find(c) != std::string_view::npos) {
        out += '\\';
      }
      out += c;
    }
  }
  return out;
}

// A fence longer than any run of backticks inside.
std::string code_block(const std::string& text, std::string_view language) {
  const std::string body = printable(clipped(text));
  std::size_t longest = 2;
  std::size_t run = 0;
  for (const char c : body) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  return fmt::format("{}{}\n{}{}{}\n", fence, language, body, body.ends_with('\n') ? "" : "\n", fence);
}

std::string list(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) {
    out += "- " + plain(line) + "\n";
  }
  return out;
}

std::string percentiles(const Distribution& values, std::string (*format)(std::uint64_t)) {
  return fmt::format("{} / {} / {}", format(values.percentile(50)), format(values.percentile(99)),
                     format(values.max()));
}

std::string symbol(Verdict verdict) {
  if (verdict == Verdict::pass) {
    return "✅ ";
  }
  return exit_status(verdict) == ExitStatus::violation || verdict == Verdict::harness_fault ? "❌ "
                                                                                            : "⚠️ ";
}

std::string head(const CampaignReport& report) {
  const Verdict verdict = report.verdict();
  std::string out = fmt::format("## {}chaosgate: {}\n\n{}.\n\n", symbol(verdict), words(verdict),
                                plain(verdict_sentence(report)));
  out += plain(origin(report)) + "\n\n";
  const std::string command = command_to_copy(report);
  return command.empty() ? out : out + "Reproduce with:\n\n" + code_block(command, "sh") + "\n";
}

std::string verdict_table(const CampaignReport& report) {
  if (report.engines.empty()) {
    return {};
  }
  std::string out =
      "| engine | verdict | kills | in load / in recovery | violations | at-risk cycles | operations "
      "acknowledged | recovery ms p50 / p99 / max | 95 % upper bound |\n"
      "|---|---|--:|--:|--:|--:|--:|--:|--:|\n";
  for (const EngineSection& section : report.engines) {
    const EngineTally& tally = section.tally;
    out += fmt::format(
        "| {} {} | {} | {} of {} | {} / {} | {} | {} | {} | {} | {} |\n", plain(engine_title(section)),
        plain(section.version), words(section.verdict()), thousands(tally.kills),
        thousands(section.kills_wanted), thousands(tally.kills_in_load), thousands(tally.kills_in_recovery),
        thousands(section.violations_found()), percentage(tally.at_risk_cycles, tally.cycles),
        thousands(tally.operations), percentiles(tally.recovery_us, milliseconds), bound_text(section));
  }
  return out + "\n";
}

std::string reasons(const CampaignReport& report) {
  std::string out = list(report.reasons());
  for (const EngineSection& section : report.engines) {
    for (const std::string& reason : section.reasons()) {
      out += fmt::format("- {}: {}\n", plain(section.engine), plain(reason));
    }
  }
  return out.empty() ? out : "### Why it is inconclusive\n\n" + out + "\n";
}

std::string violation_block(const EngineSection& section, const std::string& where,
                            const ViolationEvent& violation) {
  std::string out = fmt::format("### {}: {} ({})\n\n{}\n\n", plain(section.engine),
                                plain(violation.invariant), plain(where), plain(violation.explanation));
  if (!violation.detail.empty()) {
    out += code_block(violation.detail, "text") + "\n";
  }
  if (!violation.bundle.empty()) {
    out += "Bundle: " + plain(violation.bundle) + "\n\n";
  }
  if (!violation.command.empty()) {
    out += code_block(violation.command, "sh") + "\n";
  }
  return violation.seed_command.empty()
             ? out
             : out + "From the seed:\n\n" + code_block(violation.seed_command, "sh") + "\n";
}

std::string abnormal_block(const EngineSection& section) {
  return section.abnormal.empty() ? ""
                                  : fmt::format("### {}: deaths that nobody ordered\n\n{}\n",
                                                plain(section.engine), list(section.abnormal));
}

std::string not_reproduced_block(const EngineSection& section) {
  const std::vector<std::string> lines = abnormal_not_reproduced(section);
  return lines.empty() ? ""
                       : fmt::format("### {}: not reproduced\n\n{}\n", plain(section.engine), list(lines));
}

std::string coverage_block(const EngineSection& section) {
  const EngineTally& tally = section.tally;
  std::string out =
      fmt::format("### {}: where it was killed\n\n{}, replay from the log: {}\n\n", plain(section.engine),
                  plain(contract(section)), plain(joined(section.protocols)));
  std::vector<std::string> kinds;
  for (const std::string_view kind : kCrashKinds) {
    kinds.push_back(fmt::format("{} {}", kind, thousands(count_of(tally.kills_by_kind, kind))));
  }
  out += fmt::format("Kills: {}. ", joined(kinds));
  out += fmt::format("Entries replayed p50 / p99 / max: {}. Planned crash points never reached: {}.\n\n",
                     percentiles(tally.replay_entries, thousands), thousands(tally.missed));
  const std::vector<std::string> holes = section.never_hit();
  if (!holes.empty()) {
    out += fmt::format("**Never hit:** {}\n\n", plain(joined(holes)));
  }
  out += "<details><summary>kills by step</summary>\n\n| step | ordered there | timer kills, last step |\n";
  out += "|---|--:|--:|\n";
  for (const StepRow& row : step_rows(section)) {
    const bool hole = row.expected && row.ordered == 0;
    out += fmt::format("| {} | {} | {} |\n", plain(row.step), hole ? "**0**" : thousands(row.ordered),
                       thousands(row.timer));
  }
  out += "\n</details>\n\n";
  if (section.tally.cells_seen.empty()) {
    return out;
  }
  out += fmt::format(
      "Places at storage calls hit: {} of {}.\n\n<details><summary>by class of file and phase</summary>\n\n"
      "| class | phase | hit | seen |\n|---|---|--:|--:|\n",
      section.tally.cells_seen.size() - section.tally.zero_cells().size(), section.tally.cells_seen.size());
  for (const CellRow& row : cell_rows(section.tally)) {
    for (const auto& [phase, count] : row.phases) {
      out += fmt::format("| {} | {} | {} | {} |\n", plain(row.file_class), plain(phase), thousands(count.hit),
                         thousands(count.seen));
    }
  }
  return out + "\n</details>\n\n";
}

std::string power_block(const EngineSection& section) {
  if (!section.power) {
    return {};
  }
  const PowerTally& power = *section.power;
  std::string out =
      fmt::format("### {}: power cuts\n\n{} judged under profile {}, from {}; skipped: {}. {}.\n\n",
                  plain(section.engine), plural(power.judged, "disk image"), plain(power.profile),
                  loads_text(power), skipped_text(power), speed_text(power));
  if (power.exhausted) {
    out += fmt::format("{} were asked for; there are no more.\n\n", thousands(power.wanted));
  }
  if (power.findings.empty()) {
    return out;
  }
  out +=
      "| invariant | images | first after | weakest profile | promised | cause "
      "|\n|---|--:|--:|---|---|---|\n";
  for (const PowerFinding& finding : power.findings) {
    out += fmt::format("| {} | {} | {} | {} | {} | {} |\n", plain(finding.invariant),
                       thousands(finding.images), thousands(finding.after_images), plain(finding.profile),
                       finding.promised ? "yes" : "no", plain(finding.cause));
  }
  return out + "\n";
}

std::string self_test_block(const CampaignReport& report) {
  if (report.self_test.empty()) {
    return {};
  }
  std::string out =
      "### Planted faults\n\n| fault | layer | engine | protocol | seed | found | invariant | after |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const FaultResult& result : report.self_test) {
    out +=
        fmt::format("| {} | {} | {} | {} | `{}` | {} | {} | {} |\n", plain(result.fault), plain(result.layer),
                    plain(result.engine), plain(result.protocol), seed_text(result.seed),
                    result.found ? "found" : "**not found**", plain(result.invariant), tries_text(result));
  }
  return out + "\n";
}

std::string settings_block(const CampaignReport& report) {
  std::string out =
      "<details><summary>settings and versions</summary>\n\n| setting | value | from |\n|---|---|---|\n";
  for (const SettingLine& line : report.settings) {
    out += fmt::format("| {} | {} | {} |\n", plain(line.key), plain(line.value), plain(line.source));
  }
  for (const auto& [name, version] : report.libraries) {
    out += fmt::format("| {} | {} | library |\n", plain(name), plain(version));
  }
  return out + "\n</details>\n";
}

std::vector<std::string> blocks(const CampaignReport& report) {
  std::vector<std::string> all = {head(report), verdict_table(report), reasons(report)};
  for (const EngineSection& section : report.engines) {
    for (const auto& [where, violation] : section.violations) {
      all.push_back(violation_block(section, where, violation));
    }
    all.push_back(abnormal_block(section));
    all.push_back(not_reproduced_block(section));
  }
  for (const EngineSection& section : report.engines) {
    all.push_back(coverage_block(section));
    all.push_back(power_block(section));
  }
  if (report.group) {
    std::vector<std::string> lines;
    for (const auto& [label, text] : group_facts(*report.group)) {
      lines.push_back(label + ": " + text);
    }
    all.push_back("### One log, several replicas\n\n" + list(lines) + "\n");
  }
  for (const Part& part : further_parts(report)) {
    all.push_back(fmt::format("### {}\n\n{}\n", plain(part.name), list(part.lines)));
  }
  all.push_back(self_test_block(report));
  if (!report.not_tested.empty()) {
    all.push_back("### Not tested\n\n" + list(report.not_tested) + "\n");
  }
  all.push_back(settings_block(report));
  return all;
}

}  // namespace

std::string render_markdown(const CampaignReport& report, std::size_t bytes_max) {
  std::string out;
  std::size_t left_out = 0;
  for (const std::string& block : blocks(report)) {
    if (out.size() + block.size() + kNoteBytes <= bytes_max) {
      out += block;
    } else {
      ++left_out;
    }
  }
  if (left_out > 0) {
    const std::string note =
        fmt::format("\n_{} left out for size; report.html has everything._\n", plural(left_out, "part"));
    out += out.size() + note.size() <= bytes_max ? note : "";
  }
  return out;
}

}  // namespace chaosgate::report
