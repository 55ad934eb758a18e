// A campaign runs cycles on one or more engines until each has had its kills, and says what was found.
//
// The lanes of an engine run in parallel, the engines one after the other. Every cycle, every disk image that
// fails, and every count becomes a line of events.jsonl as it happens, and the report is made of these lines
// alone (harness/report/journal.h). Every failure becomes a bundle, a line in
// <results>/regressions/<engine>.jsonl, and a command that replays it. Failures of earlier campaigns on the
// same engine are replayed first.
//
// Pass: every engine had its kills, each kill was confirmed, every invariant held. Violation: one did not, or
// a worker died or hung without an order. Inconclusive: nothing was found, but the campaign proves too
// little.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/campaign/record.h"
#include "harness/campaign/stop.h"
#include "harness/report/campaign_report.h"
#include "harness/report/writers.h"

namespace chaosgate::campaign {

struct CampaignOutput {
  // The result directory. Empty: run_campaign makes one in config.results, by time, engines and seed.
  std::filesystem::path directory;
  // For the report.
  std::vector<report::SettingLine> settings;
  std::string command;  // repeats the campaign
  report::Progress* progress = nullptr;
  LogLine log;  // one line for stderr; never null
};

// Throws UsageError, EnvironmentError or OtherPlanError before anything ran; afterwards failures of the
// machine are in the report.
report::CampaignReport run_campaign(const CampaignConfig& config, StopSignal& stop, CampaignOutput& output);

// Checks engines (names of configurations), workload, protocol and numbers before anything is written. Throws
// UsageError.
void validate(const CampaignConfig& config, const wire::Hello& hello);
// The same for an unknown workload or planted fault.
void validate_key(const PlanKey& key, const wire::Hello& hello);

// Adds what every replay of the key needs, where it is no default: fault, maintenance, size of segments.
CommandLine add_key_options(const PlanKey& key, CommandLine command);

// The command that replays one cycle from its seed. `engine` is a selector.
CommandLine seed_command(const Invocation& invocation, const PlanKey& key, const std::string& engine,
                         wire::Protocol protocol, std::uint64_t lane, std::uint64_t cycle);
// The command that replays the bundle in `file`. `plugin`: path of the engine's; empty: built in. It is named
// where choose_plugin() would ask for it.
std::string bundle_command(const Invocation& invocation, const std::filesystem::path& file,
                           const std::string& plugin);

}  // namespace chaosgate::campaign
