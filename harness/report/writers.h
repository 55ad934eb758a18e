// The writers render a CampaignReport. Each returns text; write_results() puts them in a result directory.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/report/campaign_report.h"
#include "harness/report/event.h"

namespace chaosgate::report {

std::string render_json(const CampaignReport& report);   // result.json, schema_version first
std::string render_junit(const CampaignReport& report);  // junit.xml
// summary.md. Never longer than `bytes_max`: parts that do not fit are left out and counted.
inline constexpr std::size_t kMarkdownBytesMax = 900 * 1024;  // GitHub refuses a step summary over 1 MiB
std::string render_markdown(const CampaignReport& report, std::size_t bytes_max = kMarkdownBytesMax);
std::string render_html(const CampaignReport& report);  // report.html: one file, no scripts from elsewhere

// The verdict table and what belongs beside it, for people on a terminal. `color`: ANSI colours. On anything
// but a pass, the last line is one complete command that reproduces it.
std::string render_terminal(const CampaignReport& report, bool color);

// Writes all of them into `directory` (which exists), each by temporary file and rename, adds the Markdown to
// the file named by GITHUB_STEP_SUMMARY when that is set, and points `<directory>/../latest` at the
// directory. Throws EnvironmentError; what was written before stays.
void write_results(const CampaignReport& report, const std::filesystem::path& directory);

// "::error::" lines for GitHub Actions: at most 9 and a line that says how many more. Empty on a pass.
std::string render_github_errors(const CampaignReport& report);

// events.jsonl: a line per cycle, handed to the kernel as it happens, so that a campaign that is killed keeps
// all but the line it was writing. Not thread-safe.
class EventLog {
 public:
  // Throws EnvironmentError when the file cannot be made.
  explicit EventLog(const std::filesystem::path& path);
  // Throws EnvironmentError when the line cannot be written whole; the log is not usable after that.
  void write(const CycleEvent& event);

 private:
  std::filesystem::path path_;
  UniqueFd file_;
};

// Reads an events.jsonl back. A line that is not an event is a UsageError naming file and line. The last line
// may be torn, as an interrupted campaign leaves it: it is left out, and `note` says so. `note` is empty when
// there is nothing to say.
std::vector<CycleEvent> read_events(const std::filesystem::path& path, std::string* note = nullptr);

// A report with what events alone can tell: no contracts, no settings, and nothing of what was wanted.
CampaignReport report_from_events(const std::vector<CycleEvent>& events);

// Live progress on stderr: a line rewritten in place on a terminal, otherwise one plain line every 30 s.
// Thread-safe.
class Progress {
 public:
  struct State {
    std::string label;  // "rocksdb"
    std::uint64_t kills = 0, kills_wanted = 0, violations = 0;
    // What is counted, in the singular. Violations are counted beside kills only.
    std::string unit = "kill";
  };

  struct Options {
    int fd = 2;                                                  // not owned
    std::optional<bool> terminal;                                // nullopt: ask isatty() and TERM
    std::function<std::chrono::steady_clock::time_point()> now;  // empty: the steady clock
  };

  explicit Progress(bool enabled);
  explicit Progress(Options options);
  ~Progress();  // leaves the line clean
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(const State& state);
  // Removes the line so that something else can be printed.
  void clear();

 private:
  class Impl;  // null when not enabled
  std::unique_ptr<Impl> impl_;
};

}  // namespace chaosgate::report
