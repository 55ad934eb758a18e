#include "harness/cli/seed_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/power_campaign.h"
#include "harness/cli/plan_checksum.h"

namespace chaosgate::cli {

const std::vector<std::string>& seed_target_keys() {
  static const std::vector<std::string> keys = {
      "engine",       "workload", "protocol",      "crash", "faults",  "images",
      "loads",        "profile",  "lanes",         "plan",  "recrash", "maintenance",
      "timer-us-max", "fault",    "segment-bytes", "dir",   "worker",  "hang-ms"};
  return keys;
}

void add_seed_target(CLI::App& app, SeedTarget* target) {
  app.add_option("--cycle", target->cycle,
                 "from a seed: the cycle to run up to" +
                     (target->cycle.empty() ? "" : " (default " + target->cycle + ")"))
      ->type_name("N");
  app.add_option(
         "--load", target->load,
         "from a seed: instead of a cycle, the load of a campaign of power cuts, as findings cite it; needs "
         "that campaign's --images, --lanes, --profile and so on")
      ->type_name("N");
  app.add_option("--lane", target->lane, "from a seed: its lane (default 0)")->type_name("N");
  app.add_flag("--as-planned", target->as_planned,
               "from a seed: run earlier cycles with their timers and free-running maintenance, which no "
               "seed repeats");
  add_plan_checksum(app, &target->plan_checksum);
}

namespace {

void check_load(const SeedTarget& target, const CLI::App& app, const Settings& settings,
                const campaign::CampaignConfig& config) {
  parse_number("--load", target.load, 0, 10'000'000);
  refuse_flags(app, {"--cycle", "--as-planned"}, "does nothing with --load");
  settings.refuse({"crash", "plan", "recrash", "timer-us-max"}, "does nothing with --load");
  if (settings.source("faults") != "default" && !config.power) {
    throw UsageError(fmt::format("--load: --faults {} has no power cuts", settings.value("faults")));
  }
  const std::uint64_t lane = parse_number("--lane", target.lane, 0, 255);
  if (lane >= campaign::power_lanes(config)) {
    throw UsageError(fmt::format("--lane {}: there are {} (--lanes), counted from 0", lane,
                                 campaign::power_lanes(config)));
  }
}

void check_cycle(const SeedTarget& target, const Settings& settings, const campaign::CampaignConfig& config) {
  settings.refuse({"images", "loads", "profile", "lanes"}, "does nothing without --load");
  if (config.power || !config.kill) {
    throw UsageError(
        fmt::format("--faults {}: a cycle is of kills, with or without io; power cuts are of a --load",
                    settings.value("faults")));
  }
  const std::uint64_t lane = parse_number("--lane", target.lane, 0, 255);
  const std::uint64_t cycle = parse_number("--cycle", target.cycle, 0, 10'000'000);
  if (!config.plans.empty() &&
      std::none_of(config.plans.begin(), config.plans.end(),
                   [&](const crash::CyclePlan& plan) { return plan.lane == lane && plan.cycle <= cycle; })) {
    throw UsageError(fmt::format("--plan {}: no plan of lane {} up to cycle {} is in it",
                                 config.plan_file.string(), lane, cycle));
  }
}

}  // namespace

void check_seed_target(const SeedTarget& target, const CLI::App& app, const Settings& settings,
                       const campaign::CampaignConfig& config, const std::string& seed_name) {
  const std::string command = app.get_name();
  if (config.engines.size() != 1 || settings.source("engine") == "default") {
    throw UsageError(fmt::format("{} of a seed needs --engine with exactly one engine", command));
  }
  if (target.cycle.empty() && target.load.empty()) {
    throw UsageError(fmt::format("{} of a seed needs --cycle or --load", command));
  }
  parse_number(seed_name, target.seed, 0, UINT64_MAX);
  if (target.load.empty()) {
    check_cycle(target, settings, config);
  } else {
    check_load(target, app, settings, config);
  }
}

SeedCycle seed_cycle(const SeedTarget& target, campaign::CampaignConfig config) {
  SeedCycle cycle;
  campaign::SeedReplay& replay = cycle.replay;
  const std::uint64_t lane = parse_number("--lane", target.lane, 0, 255);
  replay.cycle = parse_number("--cycle", target.cycle, 0, 10'000'000);
  config.lanes = 1;
  cycle.hello = campaign::resolve_engines(config.worker, &config.engines);
  campaign::validate(config, cycle.hello);
  static_cast<campaign::LaneTarget&>(replay) =
      campaign::lane_target(config, campaign::require_engine(cycle.hello, config.engines.front()),
                            campaign::lane_protocol(config.protocol, lane), lane);
  replay.key.seed = parse_number("seed", target.seed, 0, UINT64_MAX);
  replay.as_planned = target.as_planned;
  replay.given = campaign::plans_of_lane(config.plans, lane);
  cycle.plan = campaign::plan_checksum(replay.key, replay.protocol, replay.lane, replay.cycle + 1);
  campaign::require_plan(target.plan_checksum, cycle.plan, replay.key.seed);
  return cycle;
}

SeedLoad seed_load(const SeedTarget& target, campaign::CampaignConfig config) {
  SeedLoad load;
  campaign::LoadReplay& replay = load.replay;
  config.kill = false;
  config.power = true;
  config.key.seed = parse_number("seed", target.seed, 0, UINT64_MAX);
  const wire::Hello hello = campaign::resolve_engines(config.worker, &config.engines);
  campaign::validate(config, hello);
  replay.engine = campaign::require_engine(hello, config.engines.front());
  replay.lane = parse_number("--lane", target.lane, 0, 255);
  replay.load = parse_number("--load", target.load, 0, 10'000'000);
  replay.config = std::move(config);
  load.plan = campaign::load_checksum(replay.config, replay.lane, replay.load);
  campaign::require_plan(target.plan_checksum, load.plan, replay.config.key.seed);
  return load;
}

}  // namespace chaosgate::cli
