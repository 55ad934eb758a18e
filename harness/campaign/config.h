// CampaignConfig is everything a campaign is told, expanded: no defaults are applied behind it.
//
// What changes the plan or the load of a cycle is in PlanKey.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/base/command_line.h"
#include "harness/base/json.h"
#include "harness/crash/plan.h"
#include "harness/disk/profile.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

// Together with a lane and a cycle this decides what a seed means.
struct PlanKey {
  std::uint64_t seed = 0;
  std::string workload = "mixed";
  std::string fault;  // planted fault, or empty
  crash::PlanOptions plan;
  std::uint64_t segment_bytes = 24 << 10;  // of the log: small, so that cuts and truncations are frequent
};

inline constexpr std::uint32_t kTimerUsMin = 1;
inline constexpr std::uint32_t kTimerUsMax = 60'000'000;
inline constexpr std::uint64_t kSegmentBytesMin = 4096;
inline constexpr std::uint64_t kSegmentBytesMax = 1U << 30;

// What of a key cannot be planned from, in one line; empty: nothing.
std::string wrong_with(const PlanKey& key);

void to_json(nlohmann::json& json, const PlanKey& key);
// Throws nlohmann::json::exception also for a key that is wrong_with().
void from_json(const nlohmann::json& json, PlanKey& key);

// What everything that runs a lane is told of it.
struct LaneTarget {
  PlanKey key;
  std::string plugin;  // path of the one that has the engine; empty: a built-in one
  std::string engine;
  wire::Protocol protocol = wire::Protocol::in_batch;
  std::uint64_t lane = 0;
  std::filesystem::path worker;  // program
  std::uint32_t hang_ms = 60'000;
};

// What all orders of one data directory have in common, for a worker that will run the load of `plan`.
wire::WorkerOrder worker_order(const LaneTarget& target, const crash::CyclePlan& plan,
                               const std::filesystem::path& data);

// "timer,step,call": the kinds of crash that are allowed.
std::string crash_kinds_text(const crash::PlanOptions& plan);

// Plans from a file, one a line; blank lines and lines that begin with # are skipped. Throws UsageError
// naming file, line and what is wrong.
std::vector<crash::CyclePlan> read_plans(const std::filesystem::path& file);
std::map<std::uint64_t, crash::CyclePlan> plans_of_lane(const std::vector<crash::CyclePlan>& plans,
                                                        std::uint64_t lane);

// When the storage calls of workers go through the driver.
enum class TapUse : std::uint8_t {
  automatic,  // where a plan needs it
  always,     // also to say at which call timers and steps struck
  off,
};
std::string_view to_string(TapUse use);

enum class ProtocolChoice : std::uint8_t { in_batch, sidecar, both };
std::string_view to_string(ProtocolChoice choice);
// The protocol of a lane; `both` alternates, beginning with in-batch.
wire::Protocol lane_protocol(ProtocolChoice choice, std::uint64_t lane);

struct CampaignConfig {
  PlanKey key;
  std::vector<std::string> engines;  // selectors (engines.h), or names once they are resolved
  std::uint32_t replicas = 0;        // > 0: the engines are replicas of one log, one name for each
  bool kill = true;                  // kill workers ...
  std::uint64_t kills = 1000;        // ... so often, for each engine
  bool power = false;                // judge disk images from power cuts ...
  std::uint64_t images = 1000;       // ... so many, for each engine
  std::uint64_t loads_max = 0;       // from at most so many loads; 0: as many as it takes
  disk::Profile profile = disk::named_profile("ext4-ordered");
  // Power cuts: instead of key.workload, each for its share of the images.
  std::vector<std::string> power_workloads = {"small", "rollover"};
  std::uint32_t lanes = 2;
  ProtocolChoice protocol = ProtocolChoice::both;
  TapUse tap = TapUse::automatic;
  bool calls_asked = false;             // key.plan.call was asked for by name: it is not to be left out
  std::filesystem::path plan_file;      // where they came from
  std::vector<crash::CyclePlan> plans;  // instead of what the seed plans for those lanes and cycles
  std::string plan_checksum;            // that it must have (plans.h); empty: any
  std::filesystem::path directory;      // where the kills happen; empty: memory-backed storage if it has room
  std::filesystem::path results = "results";
  std::filesystem::path worker;            // the chaosgate-worker program
  std::uint32_t failures_max = 3;          // an engine's campaign ends after so many
  std::uint32_t hang_ms = 60'000;          // without progress for so long, a worker hangs
  std::uint32_t at_risk_percent_min = 10;  // of the cycles; fewer make the campaign inconclusive
  bool replay_regressions = true;
  bool self_test = false;
  Invocation invocation;    // of this program, for the commands that are printed
  bool keep_images = true;  // keep the disk image from before each recovery, for bundles
};

// A lane of a campaign.
LaneTarget lane_target(const CampaignConfig& config, const wire::EngineDescription& engine,
                       wire::Protocol protocol, std::uint64_t lane = 0);

// Of `all` pieces of work, those of lane `lane` of `lanes`.
std::uint64_t share(std::uint64_t all, std::uint64_t lane, std::uint64_t lanes);

}  // namespace chaosgate::campaign
