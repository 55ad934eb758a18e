// What a campaign draws from its seed before anything runs, as text, and checksums over it: a build that
// plans something else for a seed is told from one that repeats what was found.
//
// How many cycles and loads there will be is not known before: kills can miss, and images differ in number
// from load to load. The texts and sums cover as many as there are if none is missed.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

// This build plans something else than what a command was printed for. Nothing was run. Exit status 125.
class OtherPlanError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
// Throws OtherPlanError unless `wanted` is empty or `planned`.
void require_plan(const std::string& wanted, const std::string& planned, std::uint64_t seed);

// Calls take(line) for each plan of the campaign. Those that `--plan FILE` cannot carry out, of loads for
// power cuts and of groups, are comments there: they begin with '#'.
void for_each_plan(const CampaignConfig& config, const std::function<void(const std::string& line)>& take);

// Of these, and of what changes the load. 16 hexadecimal digits, like all that follow.
std::string campaign_checksum(const CampaignConfig& config);

// The command that repeats the campaign, refused where it would be another one. Empty when it is not known.
std::string again_with_plan(const CampaignConfig& config);

// Of the cycles [0, cycles) of a lane.
std::string plan_checksum(const PlanKey& key, wire::Protocol protocol, std::uint64_t lane,
                          std::uint64_t cycles);
// Of the loads [0, loads) that a lane has over key.workload, for power cuts.
std::string loads_checksum(const PlanKey& key, wire::Protocol protocol, std::uint64_t lane,
                           std::uint64_t loads);
// Of the cycles [0, cycles) of a group.
std::string group_checksum(const PlanKey& key, const std::vector<wire::Protocol>& members,
                           std::uint64_t group, std::uint64_t cycles);
// Of a lane up to that load, counted over all of the campaign's workloads for power cuts.
std::string load_checksum(const CampaignConfig& config, std::uint64_t lane, std::uint64_t load);
// Of a gate of migrations between all pairs of config.engines: key.seed, key.fault, kills, images and the
// first of power_workloads.
std::string migration_checksum(const CampaignConfig& config);

// The protocols of a group's members. `both`: they alternate, and begin differently in the next group.
std::vector<wire::Protocol> group_protocols(ProtocolChoice choice, std::size_t members, std::uint64_t group);

}  // namespace chaosgate::campaign
