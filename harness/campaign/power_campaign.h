// The part of a campaign that judges disk images from power cuts: lanes side by side, one engine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/campaign/campaign.h"
#include "harness/campaign/power.h"
#include "harness/report/event.h"
#include "harness/report/power_tally.h"

namespace chaosgate::campaign {

using WhereAndWhat = std::pair<std::string, report::ViolationEvent>;

struct PowerResult {
  report::PowerTally tally;
  // Where ("lane 0 load 3"), and what: one for each cause that the contract does not allow, and what a kill
  // alone broke.
  std::vector<WhereAndWhat> violations;
  std::vector<std::string> inconclusive;  // why it proves too little
};

// Writes the bundle of a failure, called `id`, below output.directory, says so in the log, and completes the
// finding. What is to be reported, of `where`; nothing when the contract allows it. Not thread-safe.
std::optional<WhereAndWhat> keep_power_failure(const PowerExplorer& explorer, const PowerFailure& failure,
                                               const std::string& id, const std::string& where,
                                               const CampaignConfig& config, CampaignOutput& output,
                                               report::PowerFinding* finding);
// Why images that broke nothing prove too little; `io`: loads were to have I/O errors.
std::vector<std::string> power_weaknesses(const report::PowerTally& tally, bool io);

// Works in `work`, which exists; bundles go to output.directory. Throws what a lane throws.
PowerResult run_power(const CampaignConfig& config, const wire::EngineDescription& engine,
                      const std::filesystem::path& work, StopSignal& stop, CampaignOutput& output);

}  // namespace chaosgate::campaign
