#include "harness/cli/seed_target.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"

namespace chaosgate::cli {

const std::vector<std::string>& seed_target_keys() {
  static const std::vector<std::string> keys = {
      "engine",      "workload",     "protocol", "crash",         "faults", "plan",   "recrash",
      "maintenance", "timer-us-max", "fault",    "segment-bytes", "dir",    "worker", "hang-ms"};
  return keys;
}

void check_seed_target(const SeedTarget& target, const Settings& settings,
                       const campaign::CampaignConfig& config, const std::string& command,
                       const std::string& seed_name) {
  if (config.engines.size() != 1 || settings.source("engine") == "default") {
    throw UsageError(fmt::format("{} of a seed needs --engine with exactly one engine", command));
  }
  if (target.cycle.empty()) {
    throw UsageError(fmt::format("{} of a seed needs --cycle", command));
  }
  if (config.power || !config.kill) {
    throw UsageError(
        fmt::format("--faults {}: a cycle is of kills, with or without io", settings.value("faults")));
  }
  parse_number(seed_name, target.seed, 0, UINT64_MAX);
  const std::uint64_t lane = parse_number("--lane", target.lane, 0, 255);
  const std::uint64_t cycle = parse_number("--cycle", target.cycle, 0, 10'000'000);
  if (!config.plans.empty() &&
      std::none_of(config.plans.begin(), config.plans.end(),
                   [&](const crash::CyclePlan& plan) { return plan.lane == lane && plan.cycle <= cycle; })) {
    throw UsageError(fmt::format("--plan {}: no plan of lane {} up to cycle {} is in it",
                                 config.plan_file.string(), lane, cycle));
  }
}

SeedCycle seed_cycle(const SeedTarget& target, const Settings& settings, campaign::CampaignConfig config,
                     const std::string& command, const std::string& seed_name) {
  check_seed_target(target, settings, config, command, seed_name);
  SeedCycle cycle;
  campaign::SeedReplay& replay = cycle.replay;
  const std::uint64_t seed = parse_number(seed_name, target.seed, 0, UINT64_MAX);
  const std::uint64_t lane = parse_number("--lane", target.lane, 0, 255);
  replay.cycle = parse_number("--cycle", target.cycle, 0, 10'000'000);
  config.lanes = 1;
  cycle.hello = campaign::resolve_engines(config.worker, &config.engines);
  campaign::validate(config, cycle.hello);
  static_cast<campaign::LaneTarget&>(replay) =
      campaign::lane_target(config, campaign::require_engine(cycle.hello, config.engines.front()),
                            campaign::lane_protocol(config.protocol, lane), lane);
  replay.key.seed = seed;
  replay.as_planned = target.as_planned;
  replay.given = campaign::plans_of_lane(config.plans, lane);
  return cycle;
}

}  // namespace chaosgate::cli
