// Settings resolves each setting of a command from, in this order: command-line flag, environment variable
// (CHAOSGATE_<KEY>), TOML file, default; and remembers where each value came from.
//
// A setting is declared once, in settings.cc, with the one parser that serves all sources, so that an error
// reads the same wherever the value stood. Unknown keys in a file are errors.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/report/campaign_report.h"

namespace chaosgate::cli {

class Settings {
 public:
  // `keys`: the settings that this command has; all must be declared. Adds a flag for each, and --config.
  Settings(CLI::App& app, const std::vector<std::string>& keys);
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  // Call after parsing. Throws UsageError for a value that cannot be used, naming key, value and source. The
  // result knows the commands to print, too.
  campaign::CampaignConfig resolve();
  // Each setting with its value and source, in the order of declaration. REQUIRES: resolve() was called.
  const std::vector<report::SettingLine>& lines() const { return lines_; }
  // "flag", "environment", "file" or "default". REQUIRES: resolve() was called.
  const std::string& source(const std::string& key) const;
  // The command that does the same again: every setting that is not a default, and the seed. REQUIRES:
  // resolve() was called.
  CommandLine again() const;

 private:
  Invocation invocation() const;

  std::string command_;
  std::vector<std::string> keys_;
  std::map<std::string, std::vector<std::string>> flags_;  // as given
  std::string file_;
  std::vector<report::SettingLine> lines_;
};

// Parses a decimal or 0x-hexadecimal number. Throws UsageError "<what> '<text>': ...".
std::uint64_t parse_number(const std::string& what, const std::string& text, std::uint64_t low,
                           std::uint64_t high);

}  // namespace chaosgate::cli
