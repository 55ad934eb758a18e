// The part of a campaign that judges disk images from power cuts: lanes side by side, one engine.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "harness/campaign/campaign.h"
#include "harness/campaign/power.h"
#include "harness/report/event.h"
#include "harness/report/power_tally.h"

namespace chaosgate::campaign {

struct PowerResult {
  report::PowerTally tally;
  // Where ("lane 0 load 3"), and what: one for each cause that the contract does not allow, and what a kill
  // alone broke.
  std::vector<std::pair<std::string, report::ViolationEvent>> violations;
  std::vector<std::string> inconclusive;  // why it proves too little
};

// Works in `work`, which exists; bundles go to output.directory. Throws what a lane throws.
PowerResult run_power(const CampaignConfig& config, const wire::EngineDescription& engine,
                      const std::filesystem::path& work, StopSignal& stop, CampaignOutput& output);

}  // namespace chaosgate::campaign
