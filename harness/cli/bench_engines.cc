#include "harness/cli/bench_engines.h"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/work_directory.h"
#include "harness/report/facts.h"

namespace chaosgate::cli {
namespace {

using campaign::Comparison;
using campaign::EngineBenchResult;
using campaign::EngineRound;

nlohmann::json to_json(const EngineRound& round) {
  return {{"load", round.load},
          {"recovery", round.recovery},
          {"recovery_us", round.recovery_us},
          {"replay_entries", round.replay_entries},
          {"live_keys", round.live_keys},
          {"live_bytes", round.live_bytes},
          {"state_hash", fmt::format("{:016x}", round.state_hash)}};
}

nlohmann::json to_json(const EngineBenchResult& result, const std::string& seed, const std::string& storage) {
  nlohmann::json engines = nlohmann::json::array();
  for (const campaign::ComparedEngine& engine : result.engines) {
    nlohmann::json rounds = nlohmann::json::array();
    for (const EngineRound& round : engine.rounds) {
      rounds.push_back(to_json(round));
    }
    engines.push_back({{"name", engine.name},
                       {"version", engine.version},
                       {"commit_survives", engine.commit_survives},
                       {"flush_survives", engine.flush_survives},
                       {"rounds", rounds}});
  }
  nlohmann::json lines = nlohmann::json::object();
  for (const Comparison& line : result.comparisons()) {
    nlohmann::json ratios = nlohmann::json::array();
    for (const std::optional<double>& ratio : line.ratios) {
      ratios.push_back(ratio ? nlohmann::json(*ratio) : nlohmann::json());
    }
    lines[line.name] = {{"medians", line.medians}, {"ratios", ratios}};
  }
  return {{"seed", seed},
          {"workload", result.workload},
          {"protocol", result.protocol},
          {"maintenance", result.maintenance},
          {"storage", storage},
          {"engines", engines},
          {"comparisons", lines},
          {"violations", result.violations}};
}

std::string number_text(double value, int decimals) {
  return decimals == 0 ? report::thousands(static_cast<std::uint64_t>(std::llround(value)))
                       : fmt::format("{:.{}f}", value, decimals);
}

void print(const EngineBenchResult& result, const std::string& storage) {
  const EngineRound& round = result.engines.front().rounds.back();
  say("{}: {} entries with {} writes a load, {} live keys of {} KiB; {}, {}, on {}; {}\n\n", result.workload,
      report::thousands(round.load.entries), report::thousands(round.load.operations),
      report::thousands(round.live_keys), report::thousands(round.live_bytes / 1024), result.protocol,
      result.maintenance, storage, report::plural(result.engines.front().rounds.size(), "round"));
  say("{:<34}", "");
  for (const campaign::ComparedEngine& engine : result.engines) {
    say(" {:>16}", engine.name);
  }
  say("\n{:<34}", "commit survives");
  for (const campaign::ComparedEngine& engine : result.engines) {
    say(" {:>16}", engine.commit_survives);
  }
  say("\n");
  for (const Comparison& line : result.comparisons()) {
    say("{:<34}", line.text);
    for (std::size_t i = 0; i < line.medians.size(); ++i) {
      say(" {:>9} {:>6}", number_text(line.medians[i], line.decimals),
          line.ratios[i] ? fmt::format("{:.2f}", *line.ratios[i]) : "-");
    }
    say("\n");
  }
  say("\nBehind each number: its ratio to {}.\n", result.engines.front().name);
  if (result.violations.empty()) {
    say("All engines ended in the state that the oracle expected, in each round.\n");
  }
}

}  // namespace

report::ExitStatus run_engine_bench(campaign::CampaignConfig config,
                                    const campaign::EngineBenchOptions& options, bool json,
                                    const Globals& globals) {
  const wire::Hello hello = campaign::resolve_engines(config.worker, &config.engines);
  campaign::validate(config, hello);
  const campaign::WorkDirectory work(config.directory, config.engines, globals.stop,
                                     campaign::Storage::temporary);
  const std::string seed = campaign::seed_text(config.key.seed);
  log_line(fmt::format("seed {}, work directory on {}{}", seed, work.kind(),
                       work.kind() == "tmpfs" ? ", where syncs cost nothing" : ""));
  EngineBenchResult result;
  try {
    result = compare_engines(config, hello, options, work.path(), *globals.stop, log_line);
  } catch (const EnvironmentError&) {
    if (!globals.stop->requested()) {
      throw;
    }
    return static_cast<report::ExitStatus>(128 + globals.stop->signal());
  }
  if (json) {
    say_json(to_json(result, seed, work.kind()));
  } else {
    print(result, work.kind());
  }
  for (const std::string& violation : result.violations) {
    log_line("VIOLATION " + violation);
  }
  return result.violations.empty() ? report::ExitStatus::pass : report::ExitStatus::violation;
}

}  // namespace chaosgate::cli
