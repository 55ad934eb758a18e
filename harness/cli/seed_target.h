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

// What to run for it. `command` and `seed_name` are what errors call them. Throws UsageError for a number
// that cannot be, or unless exactly one engine was named.
campaign::SeedReplay seed_replay(const SeedTarget& target, const Settings& settings,
                                 const campaign::CampaignConfig& config, const std::string& command,
                                 const std::string& seed_name);

}  // namespace chaosgate::cli
