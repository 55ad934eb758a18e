#include "harness/campaign/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/campaign/engines.h"
#include "harness/campaign/work_directory.h"
#include "harness/crash/load_plan.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kOftenOneIn = 8;  // some in every load

}  // namespace

PowerLane::PowerLane(const PowerOptions& options, StopSignal* stop) : options_(options), stop_(stop) {
  make_directory(options_.directory);
  options_.key.segment_bytes = std::min<std::uint64_t>(options_.key.segment_bytes, kPowerSegmentBytesMax);
  LaneOptions lane{options_};
  lane.keep_images = options_.keep_images;
  lane.directory = options_.directory / "lane";
  lane.watch = lane.keep_records = lane.keep_payloads = true;
  lane_.emplace(lane, stop);
  require_tap(lane_->hello());
  needs_compaction_ =
      !options_.key.fault.empty() && require_fault(lane_->hello(), options_.key.fault).needs_compaction;
  PowerOptions exploring = options_;
  exploring.directory = options_.directory / "images";
  explorer_.emplace(exploring, lane_->engine(), stop);
}

PowerLane::~PowerLane() {
  explorer_.reset();
  lane_.reset();
  std::error_code ignored;
  fs::remove_all(options_.directory, ignored);
}

crash::CyclePlan PowerLane::plan() const {
  crash::CyclePlan plan =
      crash::plan_load(options_.key.plan, options_.key.seed, options_.lane, options_.key.workload, loads_);
  plan.cycle = start_.cycle;
  if (needs_compaction_) {
    plan.schedule.compact_one_in = kOftenOneIn;
  }
  return plan;
}

bool PowerLane::prepare() {
  std::vector<report::CycleEvent> failed;
  const bool fine = lane_->prepare(&failed);
  for (const report::CycleEvent& event : failed) {
    note_outside(event);
  }
  if (!fine) {
    if (lane_->evidence()) {
      broken_by_kill_ = failed.back();  // with no power cut, and no kill either
    }
    return false;
  }
  start_ = lane_->keep_state(options_.directory / "start");
  return true;
}

void PowerLane::note_outside(const report::CycleEvent& event) {
  if (event.ended_from_outside()) {
    explorer_->tally().not_reproduced.push_back(
        {fmt::format("power cut, lane {} load {}, while it was recorded: {}; it did not come again",
                     options_.lane, loads_, event.last_death().detail),
         true});
  }
}

std::optional<PowerRecording> PowerLane::record() {
  report::PowerTally& tally = explorer_->tally();
  const Stopwatch watch(&tally.record_us);
  PowerRecording recording;
  recording.plan = plan();
  report::CycleEvent event;
  do {  // again, when somebody else ended it
    lane_->go_back(start_, recording.plan);
    event = lane_->run_cycle(true);
    if (!lane_->evidence()) {
      note_outside(event);
    }
  } while (event.ended_from_outside() && !lane_->evidence());
  if (!event.recovered) {
    if (lane_->evidence()) {
      broken_by_kill_ = event;
    }
    return std::nullopt;
  }
  recording.trace = modelled(lane_->take_trace());
  recording.base = start_.image;
  recording.indexes = start_.indexes;
  recording.term = recovery_term(start_.cycle + 1, 1);
  recording.belief = lane_->belief_before_recovery();
  recording.number = loads_;
  recording.error = event.crash.errors > 0 ? event.crash.error : "";
  ++tally.loads;
  tally.loads_with_errors += event.crash.errors > 0 ? 1 : 0;
  tally.calls += recording.trace.records.size();
  return recording;
}

bool PowerLane::go_on() {
  if (start_.image.empty()) {
    return false;
  }
  std::error_code ignored;
  fs::remove_all(start_.image, ignored);
  start_ = {};
  broken_by_kill_.reset();
  ++loads_;
  return true;
}

Bundle PowerLane::bundle() const {
  Bundle bundle = lane_->bundle(*broken_by_kill_);
  bundle.plan_checksum.clear();  // its plan is none that the seed gives a cycle
  return bundle;
}

bool PowerLane::run_load(std::uint64_t images) {
  if (start_.image.empty() && !prepare()) {
    return false;
  }
  const std::optional<PowerRecording> recording = record();
  if (!recording) {
    return false;
  }
  if (on_recording) {
    on_recording(*recording);
  }
  const std::uint64_t before = tally().judged;
  explorer_->explore(*recording, std::min(images, options_.images_per_load));
  std::error_code ignored;
  fs::remove_all(start_.image, ignored);
  ++loads_;
  // Every other load goes on from the kill, the others from a power cut.
  std::optional<KeptState> next = explorer_->take_continuation();
  if (next && loads_ % 2 == 1) {
    start_ = {std::move(*next), start_.cycle + 1};
  } else {
    if (next) {
      fs::remove_all(next->image, ignored);
    }
    start_ = lane_->keep_state(options_.directory / fmt::format("kept-{}", loads_));
  }
  return tally().judged > before && !explorer_->enough();
}

}  // namespace chaosgate::campaign
