#include "harness/cli/seed_target.h"

#include <fmt/format.h>

#include "harness/base/error.h"

namespace chaosgate::cli {

const std::vector<std::string>& seed_target_keys() {
  static const std::vector<std::string> keys = {
      "engine",      "workload",     "protocol", "crash",         "faults", "plan",   "recrash",
      "maintenance", "timer-us-max", "fault",    "segment-bytes", "dir",    "worker", "hang-ms"};
  return keys;
}

campaign::SeedReplay seed_replay(const SeedTarget& target, const Settings& settings,
                                 const campaign::CampaignConfig& config, const std::string& command,
                                 const std::string& seed_name) {
  if (config.engines.size() != 1 || settings.source("engine") == "default") {
    throw UsageError(fmt::format("{} of a seed needs --engine with exactly one engine", command));
  }
  if (target.cycle.empty()) {
    throw UsageError(fmt::format("{} of a seed needs --cycle", command));
  }
  campaign::SeedReplay replay;
  replay.key = config.key;
  replay.key.seed = parse_number(seed_name, target.seed, 0, UINT64_MAX);
  replay.engine = config.engines.front();
  replay.lane = parse_number("--lane", target.lane, 0, 255);
  replay.cycle = parse_number("--cycle", target.cycle, 0, 10'000'000);
  replay.protocol = campaign::lane_protocol(config.protocol, replay.lane);
  replay.worker = config.worker;
  replay.hang_ms = config.hang_ms;
  replay.as_planned = target.as_planned;
  replay.given = campaign::plans_of_lane(config.plans, replay.lane);
  return replay;
}

}  // namespace chaosgate::cli
