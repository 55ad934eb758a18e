// SeedTarget is one cycle of one lane of a seed, as the command lines of `replay` and `trace` name it.
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
  bool as_planned = false;
};

// The settings that decide what such a cycle is.
const std::vector<std::string>& seed_target_keys();

// Throws UsageError for a number that cannot be, or unless exactly one engine was named; starts nothing.
void check_seed_target(const SeedTarget& target, const Settings& settings,
                       const campaign::CampaignConfig& config, const std::string& command,
                       const std::string& seed_name);

struct SeedCycle {
  campaign::SeedReplay replay;
  wire::Hello hello;  // of its worker program
};

// What to run for it; `config.worker` is known. `command` and `seed_name` are what errors call them. Throws
// UsageError like check_seed_target() and validate().
SeedCycle seed_cycle(const SeedTarget& target, const Settings& settings, campaign::CampaignConfig config,
                     const std::string& command, const std::string& seed_name);

}  // namespace chaosgate::cli
