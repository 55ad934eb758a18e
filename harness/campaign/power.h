// PowerLane puts an engine through power cuts: it records the storage calls of a load, of its death and of
// the recovery after that, and explores what a power cut somewhere in between may leave.
//
// A recording starts on a data directory whose content counts as durable: at first a new one, later what a
// recovery from one of the images, or from the kill, left. Nothing is really synced; what a sync is worth is
// for disk::Order to say.
//
// With scheduled maintenance the same options give the same images. One thread for its whole life. Throws
// EnvironmentError.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "harness/campaign/lane.h"
#include "harness/campaign/power_explorer.h"
#include "harness/report/power_tally.h"

namespace chaosgate::campaign {

class PowerLane {
 public:
  // `stop` may be null. Throws UsageError when the engine is not there or cannot be tapped.
  PowerLane(const PowerOptions& options, StopSignal* stop);
  ~PowerLane();
  PowerLane(const PowerLane&) = delete;
  PowerLane& operator=(const PowerLane&) = delete;

  // Records one load and judges up to `images` images of it. False when there is nothing to go on with:
  // broken_by_kill(), no image that is not like one before, or enough was found.
  bool run_load(std::uint64_t images);
  // The next load begins on a new data directory. False when that is what was broken. REQUIRES:
  // broken_by_kill()
  bool go_on();

  const report::PowerTally& tally() const { return explorer_->tally(); }
  // What the last load ended with, if it is no matter of power cuts: a new data directory could not even be
  // made, or the recovery after the kill of the load failed.
  const std::optional<report::CycleEvent>& broken_by_kill() const { return broken_by_kill_; }
  // What a bundle of that is made of. REQUIRES: broken_by_kill()
  const Subject::Evidence& evidence() const { return *lane_->evidence(); }
  Bundle bundle() const;
  const wire::Hello& hello() const { return lane_->hello(); }
  // What it is explored with, to listen to.
  PowerExplorer& explorer() { return *explorer_; }
  // Called with what was recorded of each load, before it is explored.
  std::function<void(const PowerRecording&)> on_recording;

 private:
  crash::CyclePlan plan() const;
  bool prepare();
  std::optional<PowerRecording> record();
  void note_outside(const report::CycleEvent& event);

  PowerOptions options_;
  std::optional<Lane> lane_;
  std::optional<PowerExplorer> explorer_;
  StopSignal* stop_;
  LaneState start_;
  std::uint64_t loads_ = 0;
  bool needs_compaction_ = false;  // for the planted fault to show
  std::optional<report::CycleEvent> broken_by_kill_;
};

}  // namespace chaosgate::campaign
