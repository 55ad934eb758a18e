#include "harness/campaign/plans.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/hash.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/migrate_gate.h"
#include "harness/campaign/power_campaign.h"
#include "harness/crash/group_plan.h"
#include "harness/crash/load_plan.h"
#include "harness/crash/migration_plan.h"
#include "workloads/generator.h"

namespace chaosgate::campaign {
namespace {

// Enough entries that a changed generator shows.
constexpr std::uint64_t kSampleEntries = 256;

std::string sum_of(const std::string& text) { return fmt::format("{:016x}", hash64(text)); }

std::uint64_t quotient_up(std::uint64_t all, std::uint64_t parts) {
  return all / parts + (all % parts != 0 ? 1 : 0);
}

std::string sample_of(const std::string& workload, std::uint64_t seed) {
  std::string text;
  const workloads::Generator generator(workload, seed);
  for (std::uint64_t i = 0; i < kSampleEntries; ++i) {
    text += generator.payload(1 + i % 7, 1 + i * 37);
  }
  return text;
}

std::string load_line(const PlanKey& key, std::uint64_t lane, std::uint64_t load) {
  return fmt::format("# power workload={} {}", key.workload,
                     crash::to_string(crash::plan_load(key.plan, key.seed, lane, key.workload, load)));
}

std::string group_line(const PlanKey& key, const std::vector<wire::Protocol>& members, std::uint64_t group,
                       std::uint64_t cycle) {
  return fmt::format("# group={} {}", group,
                     crash::to_string(crash::plan_group(key.plan, members, key.seed, group, cycle)));
}

// The loads that a lane has over its i-th workload, if each has all its images.
std::uint64_t loads_of(const CampaignConfig& config, std::uint64_t lane, std::size_t i) {
  const std::uint64_t lanes = power_lanes(config);
  const std::size_t workloads = config.power_workloads.size();
  if (config.loads_max > 0) {
    return share(share(config.loads_max, lane, lanes), i, workloads);
  }
  return quotient_up(share(share(config.images, lane, lanes), i, workloads), images_per_load(config));
}

PlanKey with_workload(PlanKey key, const std::string& workload) {
  key.workload = workload;
  return key;
}

void take_kills(const CampaignConfig& config, const std::function<void(const std::string&)>& take) {
  for (std::uint64_t lane = 0; lane < config.lanes; ++lane) {
    const std::map<std::uint64_t, crash::CyclePlan> given = plans_of_lane(config.plans, lane);
    for (std::uint64_t cycle = 0; cycle < quotient_up(config.kills, config.lanes); ++cycle) {
      const auto at = given.find(cycle);
      take(crash::to_string(at != given.end()
                                ? at->second
                                : crash::plan_cycle(config.key.plan, lane_protocol(config.protocol, lane),
                                                    config.key.seed, lane, cycle)));
    }
  }
}

void take_loads(const CampaignConfig& config, const std::function<void(const std::string&)>& take) {
  for (std::uint64_t lane = 0; lane < power_lanes(config); ++lane) {
    for (std::size_t i = 0; i < config.power_workloads.size(); ++i) {
      const PlanKey key = with_workload(config.key, config.power_workloads[i]);
      for (std::uint64_t load = 0; load < loads_of(config, lane, i); ++load) {
        take(load_line(key, lane, load));
      }
    }
  }
}

// Each of them kills every replica once, or records a load of each.
void take_groups(const CampaignConfig& config, const std::function<void(const std::string&)>& take) {
  const std::uint64_t kills = config.kill ? quotient_up(config.kills, config.lanes) : 0;
  const std::uint64_t loads =
      config.power ? quotient_up(quotient_up(config.images, config.lanes), images_per_load(config)) : 0;
  for (std::uint64_t group = 0; group < config.lanes; ++group) {
    const std::vector<wire::Protocol> members =
        group_protocols(config.protocol, config.engines.size(), group);
    for (std::uint64_t cycle = 0; cycle < std::max(kills, loads); ++cycle) {
      take(group_line(config.key, members, group, cycle));
    }
  }
}

}  // namespace

void require_plan(const std::string& wanted, const std::string& planned, std::uint64_t seed) {
  if (!wanted.empty() && wanted != planned) {
    throw OtherPlanError(fmt::format(
        "this build plans something else for seed {}: plan checksum {} instead of {}; nothing was run",
        seed_text(seed), planned, wanted));
  }
}

std::vector<wire::Protocol> group_protocols(ProtocolChoice choice, std::size_t members, std::uint64_t group) {
  std::vector<wire::Protocol> protocols;
  for (std::size_t i = 0; i < members; ++i) {
    protocols.push_back(lane_protocol(choice, i + group));
  }
  return protocols;
}

void for_each_plan(const CampaignConfig& config, const std::function<void(const std::string&)>& take) {
  if (config.replicas > 0) {
    take_groups(config, take);
    return;
  }
  if (config.kill) {
    take_kills(config, take);
  }
  if (config.power) {
    take_loads(config, take);
  }
}

std::string campaign_checksum(const CampaignConfig& config) {
  std::string text = nlohmann::json(config.key).dump() + std::string(to_string(config.protocol));
  for_each_plan(config, [&](const std::string& line) { text += line; });
  text += sample_of(config.key.workload, config.key.seed);
  if (config.power) {
    for (const std::string& workload : config.power_workloads) {
      text += sample_of(workload, config.key.seed);
    }
  }
  return sum_of(text);
}

std::string again_with_plan(const CampaignConfig& config) {
  const std::string& again = config.invocation.again;
  return again.empty() ? "" : fmt::format("{} --plan-checksum {}", again, campaign_checksum(config));
}

std::string plan_checksum(const PlanKey& key, wire::Protocol protocol, std::uint64_t lane,
                          std::uint64_t cycles) {
  std::string text = nlohmann::json(key).dump();
  text += wire::to_string(protocol);
  for (std::uint64_t cycle = 0; cycle < cycles; ++cycle) {
    text += crash::to_string(crash::plan_cycle(key.plan, protocol, key.seed, lane, cycle));
  }
  return sum_of(text + sample_of(key.workload, key.seed));
}

// Not of the whole key: kills that the campaign had besides change nothing.
std::string loads_checksum(const PlanKey& key, wire::Protocol protocol, std::uint64_t lane,
                           std::uint64_t loads) {
  std::string text =
      fmt::format("{} {} {} {}", key.seed, key.fault, key.segment_bytes, wire::to_string(protocol));
  for (std::uint64_t load = 0; load < loads; ++load) {
    text += load_line(key, lane, load);
  }
  return sum_of(text + sample_of(key.workload, key.seed));
}

std::string group_checksum(const PlanKey& key, const std::vector<wire::Protocol>& members,
                           std::uint64_t group, std::uint64_t cycles) {
  std::string text = nlohmann::json(key).dump();
  for (std::uint64_t cycle = 0; cycle < cycles; ++cycle) {
    text += group_line(key, members, group, cycle);
  }
  return sum_of(text + sample_of(key.workload, key.seed));
}

std::string load_checksum(const CampaignConfig& config, std::uint64_t lane, std::uint64_t load) {
  std::string text;
  for (const std::string& workload : config.power_workloads) {
    text += loads_checksum(with_workload(config.key, workload), lane_protocol(config.protocol, lane), lane,
                           load + 1);
  }
  return sum_of(text);
}

std::string migration_checksum(const CampaignConfig& config) {
  std::string text = config.key.fault;
  for (const std::string& from : config.engines) {
    for (const std::string& to : config.engines) {
      if (from == to) {
        continue;
      }
      for (std::uint64_t i = 0; i < config.kills; ++i) {
        text += crash::to_string(crash::plan_killed_migration(config.key.seed, from, to, i));
      }
      for (std::uint64_t i = 0; i < quotient_up(config.images, kImagesPerTrace); ++i) {
        text += crash::to_string(crash::plan_recorded_migration(config.key.seed, from, to, i));
      }
    }
  }
  return sum_of(text + sample_of(config.power_workloads.front(), config.key.seed));
}

}  // namespace chaosgate::campaign
