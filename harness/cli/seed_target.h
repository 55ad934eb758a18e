// SeedTarget is one cycle of one lane of a seed, or one load of its power cuts, as the command lines of
// `replay` and `trace` name it.
#pragma once

#include <string>
#include <vector>

#include "harness/campaign/replay.h"
#include "harness/cli/settings.h"

namespace chaosgate::cli {

struct SeedTarget {
  std::string seed;
  std::string lane = "0";
  std::string cycle;
  std::string load;  // instead of a cycle; empty: a cycle
  bool as_planned = false;
  std::string plan_checksum;  // empty: any
};

// Adds --lane, --cycle, --load, --as-planned and --plan-checksum.
void add_seed_target(CLI::App& app, SeedTarget* target);

// The settings that decide what such a cycle, or load, is.
const std::vector<std::string>& seed_target_keys();

// Throws UsageError for a number that cannot be, for a flag that does nothing, or unless exactly one engine
// was named; starts nothing. `seed_name` is what an error calls the seed.
void check_seed_target(const SeedTarget& target, const CLI::App& app, const Settings& settings,
                       const campaign::CampaignConfig& config, const std::string& seed_name);

struct SeedCycle {
  campaign::SeedReplay replay;
  wire::Hello hello;  // of its worker program
  std::string plan;   // checksum
};
struct SeedLoad {
  campaign::LoadReplay replay;
  std::string plan;  // checksum
};

// What to run for it; `config.worker` is known, and the target was checked. Throws UsageError like
// validate(), and OtherPlanError.
SeedCycle seed_cycle(const SeedTarget& target, campaign::CampaignConfig config);
// The same, with a load.
SeedLoad seed_load(const SeedTarget& target, campaign::CampaignConfig config);

}  // namespace chaosgate::cli
