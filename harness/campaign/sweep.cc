#include "harness/campaign/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "harness/base/error.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/threads.h"
#include "harness/tap/decider.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::CycleEvent;
using report::Outcome;
using tap::FaultAction;
using tap::StorageFault;
using tap::TraceRecord;

namespace {

struct Point {
  bool in_recovery = false;
  StorageFault fault;
  std::string call;   // "sst.write"
  std::string phase;  // of the protocol
};

crash::CyclePlan base_plan(const SweepOptions& options) {
  crash::CyclePlan plan;
  plan.kind = crash::CrashKind::call;
  plan.cut_suffix = true;
  plan.flush_after_replay = true;
  plan.check_backward = true;
  wire::Schedule& schedule = plan.schedule;
  schedule.sync_group_max = 4;
  schedule.apply_group_max = 4;
  schedule.flush_one_in = 25;
  schedule.truncate_one_in = 15;
  schedule.compact_one_in = 50;
  schedule.checkpoint_one_in = 50;
  schedule.entries_max = options.entries;
  return plan;
}

StorageFault kill(FaultAction action, std::uint64_t nth) {
  StorageFault fault;
  fault.action = action;
  fault.site.occurrence = nth;
  return fault;
}

// A place behind all others: the load comes to its end.
StorageFault never() { return kill(FaultAction::kill_before, 1'000'000'000); }

// All points of a sequence of calls.
void add_points(const std::vector<TraceRecord>& records, bool in_recovery, std::vector<Point>* points) {
  std::uint64_t nth = 0;
  std::uint64_t nth_split = 0;
  for (const TraceRecord& record : records) {
    const std::string call = record.file_class + "." + std::string(tap::to_string(record.call));
    ++nth;
    points->push_back({in_recovery, kill(FaultAction::kill_before, nth), call, record.phase});
    points->push_back({in_recovery, kill(FaultAction::kill_after, nth), call, record.phase});
    if (tap::bytes_of_pages(record, 1) != 0) {
      StorageFault inside = kill(FaultAction::kill_inside, ++nth_split);
      inside.site.call = tap::StorageCall::write;
      points->push_back({in_recovery, std::move(inside), call, record.phase});
    }
  }
}

class Sweep {
 public:
  Sweep(const SweepOptions& options, fs::path directory, fs::path failures, StopSignal& stop,
        report::Progress* progress)
      : options_(options),
        directory_(std::move(directory)),
        failures_(std::move(failures)),
        stop_(stop),
        progress_(progress) {}

  SweepResult run() {
    try {
      run_all();
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      result_.harness_fault = error.what();
      result_.complete = false;
    }
    return std::move(result_);
  }

 private:
  void run_all() {
    explore();
    result_.points = points_.size();
    for (const Point& point : points_) {
      ++result_.by_call[point.call];
      ++result_.by_phase[point.phase];
    }
    run_threads(
        options_.threads, [this](std::uint64_t i) { work(i); },
        [this] {
          const std::lock_guard lock(mutex_);
          next_ = points_.size();
        });
    result_.complete = next_ >= points_.size() && !stop_.requested();
  }

  LaneOptions lane_options(const std::string& name, bool watch) const {
    LaneOptions options{options_};
    options.directory = directory_ / name;
    options.watch = watch;
    options.keep_records = watch;
    return options;
  }

  // Runs the load once to its end, and one recovery, and takes down the calls. On a thread of its own: a lane
  // stays on one.
  void explore() {
    run_thread([this] {
      Lane lane(lane_options("explore", true), &stop_);
      if (!lane.hello().tap_unavailable.empty()) {
        throw UsageError("storage calls cannot be seen here: " + lane.hello().tap_unavailable);
      }
      std::vector<CycleEvent> failed;
      if (!lane.prepare(&failed)) {
        if (lane.evidence()) {
          keep(lane, failed.back(), {});  // nothing has died yet
        }
        return;
      }
      start_ = lane.keep_state(directory_ / "start");
      const std::vector<TraceRecord> load = calls(lane, never(), false);
      if (!result_.failures.empty()) {
        return;
      }
      result_.load_calls = load.size();
      add_points(load, false, &points_);
      // Two thirds into the load there is something to replay, and a tail to cut.
      mid_ = kill(FaultAction::kill_before, load.size() * 2 / 3);
      const std::vector<TraceRecord> recovery = calls(lane, mid_, true);
      result_.recovery_calls = recovery.size();
      add_points(recovery, true, &points_);
    });
  }

  // The calls of a load that dies at `fault`, or of the recovery after it. What is found there is kept.
  std::vector<TraceRecord> calls(Lane& lane, const StorageFault& fault, bool of_recovery) {
    crash::CyclePlan plan = base_plan(options_);
    plan.call = fault;
    lane.go_back(start_, plan);
    const CycleEvent event = lane.run_cycle(true);
    if (lane.evidence()) {
      keep(lane, event, {of_recovery, fault, "", ""});
    }
    std::vector<TraceRecord> wanted;
    bool load_seen = false;
    for (TraceRecord& record : lane.take_records()) {
      const bool recovery = crash::is_recovery_phase(record.phase) || record.phase == "end";
      load_seen = load_seen || !recovery;
      if (!record.informational && record.call != tap::StorageCall::refused &&
          (of_recovery ? load_seen && recovery && record.phase != "end" : !recovery)) {
        wanted.push_back(std::move(record));
      }
    }
    return wanted;
  }

  void work(std::uint64_t number) {
    Lane lane(lane_options(fmt::format("sweep-{}", number), false), &stop_);
    for (;;) {
      std::size_t mine = 0;
      {
        const std::lock_guard lock(mutex_);
        if (next_ >= points_.size() || stop_.requested() ||
            result_.failures.size() >= options_.failures_max) {
          return;
        }
        mine = next_++;
        if (progress_ != nullptr) {
          progress_->update(
              {"sweep " + options_.engine, mine, points_.size(), "point", result_.failures.size()});
        }
      }
      try_point(lane, points_[mine]);
    }
  }

  void try_point(Lane& lane, const Point& point) {
    crash::CyclePlan plan = base_plan(options_);
    plan.call = point.in_recovery ? mid_ : point.fault;
    if (point.in_recovery) {
      plan.recrashes.emplace_back().call = point.fault;
    }
    CycleEvent event;
    do {  // again, when somebody else ended it
      lane.go_back(start_, plan);
      event = lane.run_cycle(true);
    } while (event.ended_from_outside() && !lane.evidence());
    const std::lock_guard lock(mutex_);
    const report::Death& death =
        point.in_recovery && !event.recrashes.empty() ? event.recrashes.front() : event.crash;
    if (lane.evidence()) {
      keep(lane, event, point);
    } else if (death.outcome != Outcome::killed || (point.in_recovery && event.recrashes.empty())) {
      result_.missed.push_back(fmt::format("{} {} ({}, {})", point.in_recovery ? "recovery" : "load",
                                           to_string(point.fault), point.call, point.phase));
    } else if (event.recovered) {
      ++result_.judged;
    }
  }

  void keep(const Lane& lane, const CycleEvent& event, const Point& point) {
    const fs::path file =
        failures_ / fmt::format("{}-{}-{}.tar.zst", options_.engine, point.in_recovery ? "recovery" : "load",
                                result_.failures.size());
    result_.failures.push_back(event);  // outlives a bundle that cannot be written
    fs::create_directories(failures_);
    write_bundle(lane.bundle(event), lane.evidence()->image, lane.evidence()->output, file);
    result_.bundles.push_back(file);
  }

  const SweepOptions options_;
  const fs::path directory_;
  const fs::path failures_;
  StopSignal& stop_;
  report::Progress* progress_;
  LaneState start_;
  StorageFault mid_;
  std::vector<Point> points_;
  std::mutex mutex_;  // guards what follows
  std::size_t next_ = 0;
  SweepResult result_;
};

}  // namespace

SweepResult run_sweep(const SweepOptions& options, const fs::path& directory, const fs::path& failures,
                      StopSignal& stop, report::Progress* progress) {
  return Sweep(options, directory, failures, stop, progress).run();
}

}  // namespace chaosgate::campaign
