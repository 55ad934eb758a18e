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

#include "harness/report/campaign_report.h"

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
// the file named by GITHUB_STEP_SUMMARY when that is set, and points `latest` at the directory. What cannot
// be written hinders nothing else: a line for each, empty when all was.
std::vector<std::string> write_results(const CampaignReport& report, const std::filesystem::path& directory);

// Points the link `<directory>/../latest` at the directory. Throws EnvironmentError; then a link to another
// one is gone, if it can be removed.
void point_latest(const std::filesystem::path& directory);

// "::error::" lines for GitHub Actions: at most 9 and a line that says how many more. Empty on a pass.
std::string render_github_errors(const CampaignReport& report);

// Live progress on stderr: a line rewritten in place on a terminal, otherwise one plain line every 30 s.
// Thread-safe.
class Progress {
 public:
  struct State {
    std::string label;                                       // "rocksdb"
    std::uint64_t done = 0, wanted = 0;                      // wanted 0: as many as it takes
    std::string unit;                                        // what is counted, in the singular
    std::optional<std::uint64_t> violations = std::nullopt;  // not said when there can be none
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
