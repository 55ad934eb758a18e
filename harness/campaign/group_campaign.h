// run_group() runs groups of replicas, one a lane, until each replica has had its kills, and its disk images
// from power cuts.
//
// Shared with run_campaign(), which makes the report's frame. Throws what a lane threw.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/campaign/campaign.h"
#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/journal.h"

namespace chaosgate::campaign {

// The members of a group; config.engines has one name for each. Protocols as config.protocol says: `both`
// alternates.
std::vector<LaneTarget> group_members(const CampaignConfig& config, const wire::Hello& hello,
                                      std::uint64_t group);

// REQUIRES: config.replicas == config.engines.size() and at least 2.
void run_group(const CampaignConfig& config, const wire::Hello& hello, const std::filesystem::path& work,
               StopSignal& stop, CampaignOutput& output, report::Journal& journal);

}  // namespace chaosgate::campaign
