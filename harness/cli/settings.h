// Settings resolves each setting of a command from, in this order: command-line flag, environment variable
// (CHAOSGATE_<KEY>), TOML file, default; and remembers where each value came from.
//
// A setting is declared once, in settings.cc, with the one parser that serves all sources, so that an error
// reads the same wherever the value stood. Unknown keys in a file are errors.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/report/campaign_report.h"

namespace chaosgate::cli {

class Settings {
 public:
  // `keys`: the settings that this command has; all must be declared. Adds a flag for each, and --config.
  // `defaults`: those that are others here, for --help; empty for none.
  Settings(CLI::App& app, const std::vector<std::string>& keys,
           const std::map<std::string, std::string>& defaults = {});
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  // Call after parsing. Throws UsageError for a value that cannot be used, naming key, value and source. The
  // result knows the commands to print, too.
  campaign::CampaignConfig resolve();
  // Each setting with its value and source, in the order of declaration. REQUIRES: resolve() was called.
  const std::vector<report::SettingLine>& lines() const { return lines_; }
  // "flag", "environment", "file" or "default". REQUIRES: resolve() was called.
  const std::string& source(const std::string& key) const { return line_of(key).source; }
  // As it was given, or the default. REQUIRES: resolve() was called.
  const std::string& value(const std::string& key) const { return line_of(key).value; }
  // Throws UsageError for the first of `keys` that the command line or the file of --config gives, because it
  // would do nothing; `why` ends the sentence. What is in the environment is for other commands, too.
  void refuse(const std::vector<std::string>& keys, const std::string& why) const;
  // Every setting as a line of TOML that --config reads, with its source; defaults are comments. Throws
  // UsageError for what TOML cannot hold.
  std::string toml() const;
  // The command that does the same again: every setting that is not a default, and the seed. REQUIRES:
  // resolve() was called.
  CommandLine again() const;

 private:
  Invocation invocation() const;
  const report::SettingLine& line_of(const std::string& key) const;

  std::string command_;
  std::vector<std::string> keys_;
  std::map<std::string, std::vector<std::string>> flags_;  // as given
  std::string file_;                                       // of --config, or empty
  std::vector<report::SettingLine> lines_;
};

// What the TOML file of --config says, by key. `file` is its name, for messages. Throws UsageError for what
// is no TOML, and for a key that is not one of `keys`.
std::map<std::string, std::string> parse_settings(const std::string& file, std::string_view text,
                                                  const std::vector<std::string>& keys);

// Throws UsageError for an environment variable CHAOSGATE_* that is no setting of any command.
void check_environment();

// Throws UsageError for the first of these flags that was given: it does nothing here; `why` ends the
// sentence.
void refuse_flags(const CLI::App& app, const std::vector<std::string>& flags, const std::string& why);

// Parses a decimal or 0x-hexadecimal number. Throws UsageError "<what> '<text>': ...".
std::uint64_t parse_number(const std::string& what, const std::string& text, std::uint64_t low,
                           std::uint64_t high);

}  // namespace chaosgate::cli
