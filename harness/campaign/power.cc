#include "harness/campaign/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "harness/campaign/engines.h"
#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kOftenOneIn = 8;         // some in every load
constexpr std::uint32_t kSeldomOneIn = 1 << 20;  // in no load

// Most loads are short, and the few calls of each are explored well. A log that no flush empties for long has
// whole records behind any torn one, and what goes wrong at every n-th flush of a process needs many.
enum class Shape : std::uint8_t { brief, without_flush, many_flushes };

Shape draw_shape(const Rng& stream) {
  constexpr std::array kShapes = {Shape::brief, Shape::without_flush, Shape::many_flushes};
  return kShapes.at(stream.fork("shape").weighted({4, 1, 1}));
}

}  // namespace

PowerLane::PowerLane(const PowerOptions& options, StopSignal* stop)
    : options_(options), stop_(stop), rng_(power_stream(options)) {
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

crash::CyclePlan PowerLane::draw_plan() const {
  const Rng stream = rng_.fork("plan").fork(loads_);
  crash::CyclePlan plan;
  plan.lane = options_.lane;
  plan.kind = crash::CrashKind::call;
  // At a storage call that most loads come to; the others end by themselves. Both are fine. Half of them die
  // right after a write to the log: the recovery then finds a tail that is in the page cache only. Of the
  // others some die right after a rename: it then finds a name that is there only.
  const Shape shape = draw_shape(stream);
  const crash::PlanOptions& allowed = options_.key.plan;
  // Most loads: what goes wrong without an error shows in the others, and without I/O errors.
  const bool fails = allowed.io && (allowed.io_one_in == 1 || stream.fork("io").chance(7, 8));
  const std::uint64_t longer = shape != Shape::brief ? 6 : fails ? 3 : 1;  // it is to live until its error
  Rng death = stream.fork("death");
  if (death.chance(1, 2)) {
    plan.call.action = tap::FaultAction::kill_after;
    plan.call.site.file_class = "segment";
    plan.call.site.call = tap::StorageCall::write;
    plan.call.site.occurrence = death.between(2, 12 * longer);
  } else if (Rng young = stream.fork("young-name"); young.chance(1, 3)) {
    plan.call.action = tap::FaultAction::kill_after;
    plan.call.site.call = tap::StorageCall::rename;
    plan.call.site.occurrence = young.between(1, 6 * longer);
  } else {
    plan.call.action = tap::FaultAction::kill_before;
    plan.call.site.occurrence = death.between(20, 400 * longer);
  }
  plan.free_running = !allowed.scheduled || (allowed.free_running && stream.fork("mode").chance(1, 4));
  plan.stock_tuning = stream.fork("tuning").chance(1, 8);
  plan.border_sizes = stream.fork("border-sizes").chance(1, 4);
  Rng rates = stream.fork("rates");
  wire::Schedule& schedule = plan.schedule;
  schedule.sync_group_max = static_cast<std::uint32_t>(rates.log_between(2, 24));
  schedule.apply_group_max = static_cast<std::uint32_t>(rates.log_between(1, 12));
  // What a flush promises right after an engine's own thread began something is worth a look.
  schedule.flush_one_in =
      static_cast<std::uint32_t>(plan.free_running ? rates.log_between(1, 40) : rates.between(8, 40));
  schedule.truncate_one_in = static_cast<std::uint32_t>(rates.between(8, 40));
  schedule.compact_one_in = static_cast<std::uint32_t>(rates.between(15, 90));
  if (shape == Shape::without_flush) {
    schedule.flush_one_in = schedule.compact_one_in = kSeldomOneIn;
  } else if (shape == Shape::many_flushes) {
    schedule.flush_one_in = static_cast<std::uint32_t>(stream.fork("flushes").between(4, 12));
  }
  if (needs_compaction_) {
    schedule.compact_one_in = kOftenOneIn;
  }
  schedule.checkpoint_one_in = static_cast<std::uint32_t>(rates.between(60, 240));
  schedule.entries_max = static_cast<std::uint32_t>(rates.between(20, 80 * longer));
  plan.flush_after_replay = stream.fork("flush").chance(1, 2);
  if (fails) {
    plan.error = crash::draw_error(stream.fork("error"), crash::kErrorCallsMax);
    if (plan.error->action == tap::FaultAction::lost_sync) {
      // What becomes of its pages is for disk::Order to say: in the cache, where this load and the recovery
      // after its kill find them, they are whole.
      plan.error->action = tap::FaultAction::error;
      plan.error->site.call = tap::StorageCall::datasync;
      plan.error->error = EIO;
    }
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
  recording.plan = draw_plan();
  recording.plan.cycle = start_.cycle;
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
