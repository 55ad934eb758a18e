// PowerLane puts an engine through power cuts: it records the storage calls of a load, of its death and of
// the recovery after that, builds disk images that a power cut somewhere in between may legally leave,
// recovers from each, and judges it.
//
// A recording starts on a data directory whose content counts as durable: at first a new one, later what a
// recovery from one of the images, or from the kill, left. Nothing is really synced; what a sync is worth is
// for disk::Order to say. Of some images the recovery is recorded in turn and explored the same way, and once
// more of one of those: power cuts during recovery, two levels deep.
//
// With scheduled maintenance the same options give the same images. One thread for its whole life. Throws
// EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/base/rng.h"
#include "harness/campaign/image_judge.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/power_case.h"
#include "harness/disk/explore.h"
#include "harness/disk/profile.h"
#include "harness/report/power_tally.h"

namespace chaosgate::campaign {

struct PowerOptions : LaneTarget {
  disk::Profile profile = disk::named_profile("strict");
  std::uint64_t images_per_load = 120;
  bool stop_at_first = false;        // broken promise
  std::uint32_t explained_max = 12;  // failing images of each invariant that are reduced to their cause
  bool in_recovery = true;           // power cuts during recovery
  std::filesystem::path directory;   // made by the lane, must not exist; removed with it
};

// An image that failed.
struct PowerFailure {
  RecoveryCase recovery;
  PowerCase power;
  crash::CyclePlan plan;     // of the load
  report::CycleEvent event;  // what was found, as of a cycle
  report::PowerFinding finding;
  std::filesystem::path image;  // a new copy of it; good until the callback returns
};

class PowerLane {
 public:
  // `stop` may be null. Throws UsageError when the engine is not there or cannot be tapped.
  PowerLane(const PowerOptions& options, StopSignal* stop);
  ~PowerLane();
  PowerLane(const PowerLane&) = delete;
  PowerLane& operator=(const PowerLane&) = delete;

  // Records one load and judges up to `images` images of it. False when there is nothing to go on with: the
  // data directory cannot even be made, a kill alone broke something, or enough was found.
  bool run_load(std::uint64_t images);

  const report::PowerTally& tally() const { return tally_; }
  // A kill of a recorded load was followed by a failing recovery: not a matter of power cuts.
  const std::optional<report::CycleEvent>& broken_by_kill() const { return broken_by_kill_; }
  const wire::Hello& hello() const { return lane_->hello(); }
  // The engine, the seed and so on of a bundle; `failure` fills in the rest.
  Bundle bundle(const PowerFailure& failure) const;

  // Called with the first failure of each cause, before run_load() goes on. Sets bundle and command.
  std::function<void(const PowerFailure&, report::PowerFinding*)> on_failure;
  // Called after each image.
  std::function<void()> on_image;

 private:
  struct Experiment;

  crash::CyclePlan draw_plan() const;
  bool prepare();
  std::optional<Experiment> record();
  void explore(const Experiment& experiment, std::uint64_t images, std::uint32_t depth);
  std::optional<Experiment> record_recovery(const Experiment& from, Orders& orders, disk::Imager& imager,
                                            const disk::ImageSpec& spec, const std::string& name);
  RecoveryCase recovery_case(const Experiment& experiment, const disk::History& history,
                             const disk::ImageSpec& spec) const;
  void fail(const Experiment& experiment, Orders& orders, disk::Imager& imager, const disk::ImageSpec& spec,
            const ImageJudge::Verdict& verdict, const std::string& description);
  bool is_promised(const ImageJudge::Verdict& verdict) const;
  std::filesystem::path fresh(const std::string& name) const;
  bool enough() const;

  PowerOptions options_;
  std::optional<Lane> lane_;
  std::optional<ImageJudge> judge_;
  StopSignal* stop_;
  Rng rng_;
  LaneState start_;
  std::uint64_t loads_ = 0;
  std::map<std::string, std::uint32_t> explained_;  // invariant -> images
  std::set<std::uint64_t> recoveries_;              // signatures of what recoveries did
  std::set<std::uint64_t> images_;                  // hashes of all that were judged
  std::optional<LaneState> next_;                   // where an image's recovery ended
  report::PowerTally tally_;
  std::optional<report::CycleEvent> broken_by_kill_;
};

}  // namespace chaosgate::campaign
