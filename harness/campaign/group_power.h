// GroupPower puts the replicas of a group through power cuts: each cycle of the group is recorded, replica by
// replica, and what a power cut somewhere in it may leave of one of them is explored. Those that took a
// snapshot are looked at most.
//
// After every other cycle one replica goes on from what its recovery from such an image left, the others from
// their kill.
//
// One thread for its whole life. Throws EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "harness/base/rng.h"
#include "harness/campaign/group.h"
#include "harness/campaign/power_explorer.h"

namespace chaosgate::campaign {

struct GroupPowerOptions : PowerExploration {  // images_per_load: of one that took a snapshot
  std::vector<LaneTarget> members;             // at least two
  std::uint64_t group = 0;                     // of a campaign that runs several, each with plans of its own
  std::filesystem::path directory;             // made by this, must not exist; removed with it
  bool keep_images = false;                    // what a kill alone broke gets a bundle
};

class GroupPower {
 public:
  // `stop` may be null. Throws UsageError when an engine is not there or cannot be tapped.
  GroupPower(const GroupPowerOptions& options, StopSignal* stop);
  ~GroupPower();
  GroupPower(const GroupPower&) = delete;
  GroupPower& operator=(const GroupPower&) = delete;

  // Runs the next cycle, and judges images of it until each replica has had `images` in all, or enough of
  // this cycle. False when there is nothing to go on with: broken_by_kill(), or enough was found, or it was
  // stopped. After broken_by_kill() the next one begins on new data directories.
  bool run_cycle(std::uint64_t images);

  Group& group() { return *group_; }
  // What a member is explored with.
  PowerExplorer& explorer(std::size_t member) { return *explorers_.at(member); }
  std::size_t size() const { return explorers_.size(); }
  // How often a replica was sent a snapshot and then tried on images of that.
  std::uint64_t sent_snapshots_judged() const { return sent_snapshots_judged_; }
  // How often a replica went on from an image.
  std::uint64_t continued() const { return continued_; }
  // The fewest images that a member has had.
  std::uint64_t judged_min() const;
  // Something was found with no power cut in the last cycle; the members have the events and the evidence.
  bool broken_by_kill() const { return broken_by_kill_; }

 private:
  bool enough() const;
  // The last cycle was given up because somebody else ended a worker; and takes that down.
  bool ended_from_outside();

  GroupPowerOptions options_;
  Rng rng_;
  std::unique_ptr<Group> group_;
  std::vector<std::unique_ptr<PowerExplorer>> explorers_;
  bool broken_by_kill_ = false;
  std::uint64_t sent_snapshots_judged_ = 0;
  std::uint64_t continued_ = 0;
};

}  // namespace chaosgate::campaign
