// The summary on stdout: what a person reads first and copies from. It fits 100 columns as long as an
// engine's name is no longer than 11 characters; texts that come from engines are made harmless first.
#include <fmt/format.h>

#include <algorithm>

#include "harness/report/facts.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kViolationsShown = 3;
constexpr std::size_t kDetailLinesShown = 30;
constexpr std::size_t kLinesShown = 6;  // of any other list
constexpr std::size_t kLabelWidth = 13;
constexpr std::size_t kIndent = 2 + kLabelWidth + 2;  // where the text beside a label begins

enum class Ink { plain, bold, dim, good, bad, doubtful };

Ink ink_of(Verdict verdict) {
  if (verdict == Verdict::pass) {
    return Ink::good;
  }
  return exit_status(verdict) == ExitStatus::violation || verdict == Verdict::harness_fault ? Ink::bad
                                                                                            : Ink::doubtful;
}

// Characters, not bytes; good enough for what we print.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string blanks(width - std::min(width, width_of(text)), ' ');
  return right ? blanks + text : text + blanks;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

std::vector<std::string> words_of(const std::string& text) { return split(text, ' '); }

class Page {
 public:
  explicit Page(bool color) : color_(color) {}

  std::string ink(Ink ink, const std::string& text) const {
    static constexpr std::array<const char*, 6> kCodes = {"", "1", "2", "1;32", "1;31", "1;33"};
    const char* code = kCodes.at(static_cast<std::size_t>(ink));
    return color_ && *code != '\0' ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : text;
  }

  void line(const std::string& text = {}) { text_ += text + "\n"; }

  // "  label         first words ...", continued under the first word. What is given is made printable.
  void labelled(const std::string& label, const std::vector<std::string>& pieces, std::string_view gap = " ",
                Ink how = Ink::plain) {
    std::string current;
    std::string head = "  " + ink(Ink::dim, padded(printable_line(label), kLabelWidth, false)) + "  ";
    const auto flush = [&] {
      line(head + ink(how, current));
      head = std::string(kIndent, ' ');
      current.clear();
    };
    for (const std::string& given : pieces) {
      const std::string piece = printable_line(given);
      if (!current.empty() && kIndent + width_of(current) + gap.size() + width_of(piece) > kColumns) {
        current.erase(current.find_last_not_of(' ') + 1);
        flush();
      }
      current += (current.empty() ? "" : std::string(gap)) + piece;
    }
    flush();
  }

  // Words, made printable, wrapped and indented: only a first line may begin at the left border, so that no
  // text that came from elsewhere can look like a line of ours.
  void paragraph(std::size_t indent, const std::string& text, Ink how = Ink::plain) {
    std::string current;
    const auto flush = [&] {
      line(std::string(indent, ' ') + ink(how, current));
      current.clear();
      indent = std::max<std::size_t>(indent, 2);
    };
    for (const std::string& word : words_of(printable_line(text))) {
      if (!current.empty() && indent + width_of(current) + 1 + width_of(word) > kColumns) {
        flush();
      }
      current += (current.empty() ? "" : " ") + word;
    }
    flush();
  }

  void sentence(const std::string& label, const std::string& text, Ink how = Ink::plain) {
    labelled(label, words_of(printable_line(text)), " ", how);
  }

  // One labelled entry per line of text; the label stands beside the first.
  void sentences(const std::string& label, const std::vector<std::string>& lines, Ink how = Ink::plain) {
    for (std::size_t i = 0; i < lines.size() && i < kLinesShown; ++i) {
      sentence(i == 0 ? label : "", lines[i], how);
    }
    if (lines.size() > kLinesShown) {
      sentence("", fmt::format("... and {} more; result.json has all", lines.size() - kLinesShown));
    }
  }

  std::string take() { return std::move(text_); }

 private:
  bool color_;
  std::string text_;
};

struct Cell {
  std::string text;
  Ink ink = Ink::plain;
};

// Two lines of header, a rule, rows; all but the first two columns are numbers and stand right. REQUIRES: the
// cells are printable.
void write_table(Page& page, const std::vector<std::vector<Cell>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i].text));
    }
  }
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string text = padded(rows[r][i].text, widths[i], i >= 2);
      line += (i == 0 ? "" : "  ") + page.ink(r < 2 ? Ink::dim : rows[r][i].ink, text);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    page.line(line);
    if (r == 1) {
      std::size_t total = 2 * (widths.size() - 1);
      for (const std::size_t width : widths) {
        total += width;
      }
      page.line(page.ink(Ink::dim, std::string(total, '-')));
    }
  }
}

std::vector<Cell> engine_row(const EngineSection& section) {
  const EngineTally& tally = section.tally;
  const std::uint64_t violations = section.violations_found();
  const std::string kills = section.kills_wanted == 0
                                ? thousands(tally.kills)
                                : thousands(tally.kills) + "/" + thousands(section.kills_wanted);
  return {
      {printable_line(section.engine), Ink::bold},
      {section.verdict() == Verdict::abnormal_death ? "died" : words(section.verdict()),
       ink_of(section.verdict())},
      {kills, tally.kills < section.kills_wanted ? Ink::doubtful : Ink::plain},
      {thousands(tally.kills_in_load) + "/" + thousands(tally.kills_in_recovery)},
      {thousands(violations), violations > 0 ? Ink::bad : Ink::plain},
      {percentage(tally.at_risk_cycles, tally.cycles)},
      {thousands(tally.operations)},
      {fmt::format("{}/{}/{}", milliseconds(tally.recovery_us.percentile(50)),
                   milliseconds(tally.recovery_us.percentile(99)), milliseconds(tally.recovery_us.max()))},
      {bound_text(section)}};
}

void write_verdicts(Page& page, const CampaignReport& report) {
  if (report.engines.empty()) {
    return;
  }
  std::vector<std::vector<Cell>> rows = {
      {{""}, {""}, {"kills"}, {"in load/"}, {""}, {"at"}, {"operations"}, {"recovery ms"}, {"95 %"}},
      {{"engine"},
       {"verdict"},
       {"done/wanted"},
       {"recovery"},
       {"violations"},
       {"risk"},
       {"acked"},
       {"p50/p99/max"},
       {"bound"}}};
  for (const EngineSection& section : report.engines) {
    rows.push_back(engine_row(section));
  }
  write_table(page, rows);
  page.line();
}

// Lines of as many columns as fit, read downwards, each as wide as its own longest name.
std::vector<std::string> in_columns(const std::vector<std::pair<std::string, std::string>>& cells,
                                    std::size_t width_max) {
  static constexpr std::string_view kGap = "   ";
  for (std::size_t columns = std::min<std::size_t>(4, cells.size()); columns > 0; --columns) {
    const std::size_t height = (cells.size() + columns - 1) / columns;
    std::vector<std::string> lines(height);
    for (std::size_t begin = 0; begin < cells.size(); begin += height) {
      const std::size_t end = std::min(begin + height, cells.size());
      std::size_t name = 0;
      std::size_t count = 0;
      for (std::size_t i = begin; i < end; ++i) {
        name = std::max(name, width_of(cells[i].first));
        count = std::max(count, width_of(cells[i].second));
      }
      for (std::size_t i = begin; i < end; ++i) {
        lines[i - begin] += (begin == 0 ? "" : std::string(kGap)) + padded(cells[i].first, name, false) +
                            " " + padded(cells[i].second, count, true);
      }
    }
    if (columns == 1 || width_of(lines.front()) <= width_max) {
      return lines;
    }
  }
  return {};
}

void write_steps(Page& page, const EngineSection& section) {
  std::vector<std::pair<std::string, std::string>> cells;
  for (const StepRow& row : step_rows(section)) {
    if (row.ordered > 0) {
      cells.emplace_back(printable_line(row.step), thousands(row.ordered));
    }
  }
  std::string label = "kills by step";
  for (const std::string& line : in_columns(cells, kColumns - kIndent)) {
    page.labelled(label, {line});
    label.clear();
  }
  const std::size_t expected = section.steps_expected.size();
  const std::vector<std::string> holes = section.never_hit();
  if (expected > 0) {
    page.sentence("coverage",
                  fmt::format("{} of {} steps hit; {} missed and not counted", expected - holes.size(),
                              expected, plural(section.tally.missed, "planned crash point")));
  }
  if (!holes.empty()) {
    page.sentence("never hit:", joined(holes), Ink::doubtful);
  }
}

void write_cells(Page& page, const EngineTally& tally) {
  if (tally.cells_seen.empty()) {
    return;
  }
  const std::vector<std::string> zero = tally.zero_cells();
  page.sentence(
      "storage calls",
      fmt::format("{} of {} places hit (before, after or inside a call, by class of file and phase):",
                  tally.cells_seen.size() - zero.size(), tally.cells_seen.size()));
  for (const CellRow& row : cell_rows(tally)) {
    std::vector<std::string> phases;
    for (const auto& [phase, count] : row.phases) {
      phases.push_back(fmt::format("{} {}/{}", phase, count.hit, count.seen));
    }
    page.labelled("  " + row.file_class, phases, "  ");
  }
  page.sentences("never hit:", zero, Ink::doubtful);
}

void write_power(Page& page, const PowerTally& power) {
  page.sentence("power cuts",
                fmt::format("{} judged under profile {}, from {} with {}; {} of them from cuts "
                            "during recovery; recoveries went {} ways",
                            plural(power.judged, "disk image"), power.profile, loads_text(power),
                            plural(power.calls, "storage call"), thousands(power.in_recovery),
                            thousands(power.recoveries_distinct)));
  if (power.exhausted) {
    page.sentence("", fmt::format("{} were asked for; there are no more", thousands(power.wanted)),
                  Ink::doubtful);
  }
  std::vector<std::string> strategies;
  for (const auto& [name, tally] : power.strategies) {
    strategies.push_back(fmt::format("{} {}", name, thousands(tally.judged)));
  }
  page.labelled("  by strategy", strategies, "   ");
  page.sentence("  skipped", skipped_text(power));
  std::vector<std::string> cuts;
  for (const auto& [kind, coverage] : power.cuts) {
    cuts.push_back(fmt::format("{} {}/{}", kind, thousands(coverage.cut), thousands(coverage.seen)));
  }
  page.labelled("  cut behind", cuts, "   ");
  page.sentence("  speed", speed_text(power));
  for (const PowerFinding& finding : power.findings) {
    page.sentence(finding.promised ? "  broken" : "  not promised",
                  fmt::format("{} in {}, the first after {}, weakest profile {}: {}", finding.invariant,
                              plural(finding.images, "image"), thousands(finding.after_images),
                              finding.profile, finding.cause),
                  finding.promised ? Ink::bad : Ink::doubtful);
  }
}

void write_engine(Page& page, const EngineSection& section) {
  const EngineTally& tally = section.tally;
  std::string title = engine_title(section);
  std::string about = section.version;
  if (!section.protocols.empty()) {
    about += (about.empty() ? "" : ", ") + joined(section.protocols, " and ");
  }
  about += (about.empty() ? "" : "; ") + contract(section);
  page.line(page.ink(Ink::bold, printable_line(title)) + "  " + printable_line(about));
  std::vector<std::string> kinds;
  for (const std::string_view kind : kCrashKinds) {
    if (const std::uint64_t count = count_of(tally.kills_by_kind, kind); count > 0) {
      kinds.push_back(fmt::format("{} {}", kind, thousands(count)));
    }
  }
  if (tally.kills > 0 || section.kills_wanted > 0) {
    page.labelled("kills by kind", kinds, "   ");
    write_steps(page, section);
  }
  write_cells(page, tally);
  if (tally.errors > 0) {
    page.sentence("I/O errors", fmt::format("{} happened as ordered; {} gave up after one, as they may",
                                            thousands(tally.errors), plural(tally.refused, "worker")));
  }
  if (section.power) {
    write_power(page, *section.power);
  }
  if (const Distribution& replay = tally.replay_entries; replay.count() > 0) {
    page.sentence("replay", fmt::format("p50 {}, p99 {}, max {} entries", thousands(replay.percentile(50)),
                                        thousands(replay.percentile(99)), thousands(replay.max())));
  }
  page.sentences("inconclusive", section.reasons(), Ink::doubtful);
  page.sentences("abnormal", section.abnormal, Ink::bad);
  page.sentences("not reproduced", abnormal_not_reproduced(section), Ink::doubtful);
  page.line();
}

void write_self_test(Page& page, const CampaignReport& report) {
  if (report.self_test.empty()) {
    return;
  }
  const auto found = static_cast<std::size_t>(std::count_if(
      report.self_test.begin(), report.self_test.end(), [](const FaultResult& each) { return each.found; }));
  page.line(page.ink(Ink::bold, "self-test") +
            fmt::format("  {} of {} found", found, plural(report.self_test.size(), "planted fault")));
  std::size_t width = 0;
  for (const FaultResult& result : report.self_test) {
    width = std::max(width, width_of(result.fault));
  }
  for (const FaultResult& result : report.self_test) {
    const std::string where =
        fmt::format("{} {}, seed {}", result.engine, result.protocol, seed_text(result.seed));
    const std::string what = result.found
                                 ? fmt::format("{} after {}{}", result.invariant, tries_text(result),
                                               result.by_power_cut ? ", profile " + result.profile : "")
                                 : fmt::format("not found in {}", tries_text(result));
    page.line(fmt::format("  {}  {}  {}", padded(printable_line(result.fault), width, false),
                          page.ink(result.found ? Ink::good : Ink::doubtful, what),
                          page.ink(Ink::dim, printable_line(where))));
  }
  page.line();
}

void write_violation(Page& page, const EngineSection& section, const std::string& where,
                     const ViolationEvent& violation, const std::string& last_line) {
  page.line(page.ink(Ink::bad, "VIOLATION") + " " +
            page.ink(Ink::bold, printable_line(section.engine + ": " + violation.invariant)) + "  " +
            printable_line(where));
  page.paragraph(2, violation.explanation);
  std::vector<std::string> detail = split(printable(violation.detail), '\n');
  if (!detail.empty() && detail.front().starts_with(violation.invariant)) {
    detail.erase(detail.begin());  // says the same as the paragraph above
  }
  if (!detail.empty() && detail.back().empty()) {
    detail.pop_back();
  }
  for (std::size_t i = 0; i < detail.size() && i < kDetailLinesShown; ++i) {
    page.line("    " + detail[i]);
  }
  if (detail.size() > kDetailLinesShown) {
    page.line(fmt::format("    ... and {} more", plural(detail.size() - kDetailLinesShown, "line")));
  }
  if (!violation.bundle.empty()) {
    page.sentence("bundle", violation.bundle);
  }
  if (!violation.command.empty() && printable_line(violation.command) != last_line) {
    page.line("  command        " + printable_line(violation.command));  // whole, to be copied
  }
  if (!violation.seed_command.empty() && printable_line(violation.seed_command) != last_line) {
    page.line("  from the seed  " + printable_line(violation.seed_command));
  }
  page.line();
}

void write_violations(Page& page, const CampaignReport& report) {
  std::uint64_t found = 0;
  std::size_t shown = 0;
  for (const EngineSection& section : report.engines) {
    found += section.violations_found();
    for (std::size_t i = 0; i < section.violations.size() && shown < kViolationsShown; ++i, ++shown) {
      write_violation(page, section, section.violations[i].first, section.violations[i].second,
                      command_to_copy(report));
    }
  }
  if (found > shown) {
    page.line(fmt::format("{}; report.html and events.jsonl tell more.",
                          plural(found - shown, shown == 0 ? "violation" : "more violation")));
    page.line();
  }
}

// What it takes to run the same again.
void write_configuration(Page& page, const CampaignReport& report) {
  std::vector<std::string> settings;
  for (const SettingLine& setting : report.settings) {
    if (!setting.value.empty()) {
      settings.push_back(setting.key + "=" + setting.value);
    }
  }
  std::vector<std::string> versions;
  for (const auto& [name, version] : report.libraries) {
    versions.push_back(name + " " + version);
  }
  if (!settings.empty()) {
    page.labelled("settings", settings, "  ");
  }
  if (!versions.empty()) {
    page.labelled("versions", versions, "  ");
  }
}

}  // namespace

std::string render_terminal(const CampaignReport& report, bool color) {
  Page page(color);
  const Verdict verdict = report.verdict();
  std::string title = words(verdict);
  std::transform(title.begin(), title.end(), title.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  page.line(page.ink(ink_of(verdict), title) + ": " + printable_line(verdict_sentence(report)));
  if (const std::string known = origin(report); !known.empty()) {
    page.paragraph(0, known, Ink::dim);
  }
  page.line();
  write_verdicts(page, report);
  for (const EngineSection& section : report.engines) {
    write_engine(page, section);
  }
  if (report.group) {
    page.line("one log, several replicas");
    for (const auto& [label, text] : group_facts(*report.group)) {
      page.sentence(label, text);
    }
    page.line();
  }
  for (const Part& part : further_parts(report)) {
    page.line(printable_line(part.name));
    for (const std::string& line : part.lines) {
      page.paragraph(2, line);
    }
    page.line();
  }
  write_self_test(page, report);
  if (!report.not_tested.empty()) {
    page.sentences("not tested", report.not_tested);
  }
  if (!report.reasons().empty()) {
    page.sentences("inconclusive", report.reasons(), Ink::doubtful);
  }
  page.line();
  write_violations(page, report);
  if (verdict != Verdict::pass) {
    write_configuration(page, report);
  }
  std::string text = page.take();
  text.erase(text.find_last_not_of('\n') + 1);
  text += "\n";
  const std::string command = command_to_copy(report);
  if (!command.empty()) {
    text += "\nReproduce with:\n" + page.ink(Ink::bold, command) + "\n";
  }
  return text;
}

}  // namespace chaosgate::report
