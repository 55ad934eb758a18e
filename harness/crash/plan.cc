#include "harness/crash/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include "harness/base/check.h"

namespace chaosgate::crash {
namespace {

using wire::Chore;

// The chore whose execution reaches the step; none for the steps that every load passes all the time.
Chore chore_of(Step step) {
  switch (step) {
    case Step::before_index_capture:
    case Step::after_index_capture:
    case Step::during_flush:
    case Step::after_flush:
    case Step::before_sidecar_rename:
    case Step::after_sidecar_rename:
      return Chore::flush;
    case Step::during_prefix_truncation:
      return Chore::truncate;
    case Step::during_compaction:
      return Chore::compact;
    case Step::during_checkpoint:
      return Chore::checkpoint;
    default:
      return Chore::none;
  }
}

// How far into a load to die. A third of the deaths come early, while what the last crash left unfinished is
// still there.
std::uint64_t draw_depth(Rng& rng, std::uint64_t low, std::uint64_t high) {
  return rng.chance(1, 3) ? rng.log_between(low, high) : rng.between(low, high);
}

// How often a load passes the step: decides which occurrences are worth drawing.
std::uint64_t draw_occurrence(Step step, Rng& rng) {
  switch (step) {
    case Step::before_log_append:
    case Step::after_log_append:
      return draw_depth(rng, 1, 2000);  // once per entry
    case Step::inside_log_append:
    case Step::before_log_sync:
    case Step::after_log_sync:
    case Step::before_apply:
    case Step::inside_apply:
    case Step::after_apply:
      return draw_depth(rng, 1, 120);  // once per group
    case Step::during_log_cut:
      return rng.between(1, 4);
    case Step::during_replay:
      return rng.chance(1, 2)
                 ? 1
                 : rng.log_between(1, 60);  // once per group; an engine that syncs has one or none
    case Step::during_suffix_truncation:
      return 1;
    case Step::during_prefix_truncation:
      return rng.between(1, 2);
    default:
      return 1 + rng.weighted({14, 4, 2});  // once per chore
  }
}

// The longest a span usually takes; a later delay fires when the call returns.
std::uint32_t span_us_max(Step step) {
  switch (step) {
    case Step::inside_apply:
      return 300;
    case Step::during_flush:
      return 6000;
    case Step::during_compaction:
      return 40000;
    default:
      return 8000;
  }
}

CrashPoint draw_point(const PlanOptions& options, const std::vector<Step>& steps, const Rng& stream) {
  CrashPoint point;
  point.step = steps.at(stream.fork("step").below(steps.size()));
  Rng occurrence = stream.fork("occurrence");
  point.occurrence = draw_occurrence(point.step, occurrence);
  if (point.step == Step::inside_log_append) {
    point.permille = static_cast<std::uint32_t>(stream.fork("permille").below(1000));
  }
  if (is_span(point.step) && (options.timer || options.free_running)) {
    point.delay_us = static_cast<std::uint32_t>(stream.fork("delay").log_between(0, span_us_max(point.step)));
  }
  return point;
}

// A death that leaves entries in the log that were never acknowledged: far into a long group, before its
// sync. Without them the next recovery has no suffix to discard, and a re-crash planned for that would be
// missed.
CrashPoint draw_tail_crash(const Rng& stream) {
  CrashPoint point;
  point.step = Step::after_log_append;
  point.occurrence = stream.fork("occurrence").between(20, 1000);
  return point;
}

wire::Schedule draw_schedule(const CrashPoint* point, const Rng& stream) {
  wire::Schedule schedule;
  schedule.sync_group_max = static_cast<std::uint32_t>(stream.fork("sync").log_between(1, 64));
  schedule.apply_group_max = static_cast<std::uint32_t>(stream.fork("apply").log_between(1, 64));
  schedule.flush_one_in = static_cast<std::uint32_t>(stream.fork("flush").between(250, 1200));
  schedule.truncate_one_in = static_cast<std::uint32_t>(stream.fork("truncate").between(150, 800));
  if (point != nullptr) {
    schedule.forced = chore_of(point->step);
    if (schedule.forced != Chore::none) {
      Rng forced = stream.fork("forced");
      schedule.forced_every = static_cast<std::uint32_t>(draw_depth(forced, 1, 700));
    }
  }
  return schedule;
}

// A place in the order of all calls, for a lane that has seen none yet.
tap::StorageFault draw_call(const Rng& stream, std::uint64_t calls_max) {
  tap::StorageFault fault;
  Rng occurrence = stream.fork("occurrence");
  fault.site.occurrence = draw_depth(occurrence, 1, calls_max);
  switch (stream.fork("when").weighted({4, 4, 2})) {
    case 0:
      fault.action = tap::FaultAction::kill_before;
      break;
    case 1:
      fault.action = tap::FaultAction::kill_after;
      break;
    default:
      fault.action = tap::FaultAction::kill_inside;
      fault.site.call = tap::StorageCall::write;
      fault.site.occurrence = 1 + occurrence.below(8);  // few writes are large
      break;
  }
  return fault;
}

constexpr std::uint64_t kLostSyncsMax = 24;

// How many storage calls a load, or a recovery, usually makes at most.
constexpr std::uint64_t kLoadCallsMax = 500;
constexpr std::uint64_t kRecoveryCallsMax = 60;

std::uint64_t draw_steer(const Rng& stream) { return stream.fork("steer").next() | 1; }

// Those that any death in recovery draws from; the rest is planned besides.
std::vector<Step> recrash_steps() {
  std::vector<Step> steps = recovery_steps();
  std::erase(steps, Step::before_probe);
  return steps;
}

Recrash draw_recrash(const PlanOptions& options, const Rng& stream) {
  Recrash recrash;
  if (options.io && stream.fork("io").chance(1, options.io_one_in)) {
    recrash.call = draw_error(stream.fork("error"), kRecoveryCallsMax);
    return recrash;
  }
  const std::uint32_t step_weight = options.step ? 6 : 0;
  const std::uint32_t timer_weight = options.timer ? 2 : 0;
  const std::uint32_t call_weight = options.call ? 4 : 0;
  switch (stream.fork("kind").weighted({step_weight, timer_weight, call_weight})) {
    case 0:
      recrash.point = draw_point(options, recrash_steps(), stream);
      break;
    case 1:
      recrash.timer_us =
          static_cast<std::uint32_t>(stream.fork("timer").log_between(50, options.timer_us_max));
      break;
    default:
      recrash.call = draw_call(stream.fork("call"), kRecoveryCallsMax);
      recrash.steer = draw_steer(stream);
      break;
  }
  return recrash;
}

std::vector<Recrash> draw_recrashes(const PlanOptions& options, const Rng& stream) {
  std::vector<Recrash> recrashes;
  if (!options.recrash || !stream.fork("whether").chance(1, 6)) {
    return recrashes;
  }
  const std::size_t count = 1 + stream.fork("count").weighted({6, 3, 1});
  static_assert(kRecrashesMax == 3);
  for (std::size_t i = 0; i < count; ++i) {
    recrashes.push_back(draw_recrash(options, stream.fork(i)));
  }
  return recrashes;
}

CrashKind draw_kind(const PlanOptions& options, const Rng& stream) {
  const std::uint32_t timer_weight = options.timer ? 3 : 0;
  const std::uint32_t step_weight = options.step ? 4 : 0;
  const std::uint32_t call_weight = options.call ? 3 : 0;
  constexpr std::array kKinds = {CrashKind::timer, CrashKind::step, CrashKind::call};
  return kKinds.at(stream.fork("kind").weighted({timer_weight, step_weight, call_weight}));
}

}  // namespace

tap::StorageFault draw_error(const Rng& stream, std::uint64_t calls_max) {
  using tap::FaultAction;
  using tap::StorageCall;
  struct Kind {
    FaultAction action;
    std::optional<StorageCall> call;
    int error;
  };
  static const std::vector<Kind> kinds = {
      {FaultAction::error, StorageCall::write, EIO},
      {FaultAction::error, StorageCall::write, ENOSPC},
      {FaultAction::error, StorageCall::rename, ENOSPC},
      {FaultAction::error, StorageCall::datasync, EIO},
      {FaultAction::error, StorageCall::sync, EIO},
      {FaultAction::error, StorageCall::create, ENOSPC},
      {FaultAction::error, StorageCall::rename, EIO},
      {FaultAction::error, StorageCall::unlink, EIO},
      {FaultAction::short_count, StorageCall::write, 0},
      {FaultAction::lost_sync, StorageCall::datasync, 0},
      {FaultAction::lost_sync, StorageCall::datasync, 0},
      {FaultAction::lost_sync, std::nullopt, 0},
      {FaultAction::full, std::nullopt, 0},
  };
  const Kind& kind = kinds.at(stream.fork("kind").below(kinds.size()));
  tap::StorageFault fault;
  fault.action = kind.action;
  fault.site.call = kind.call;
  fault.error = static_cast<std::uint32_t>(kind.error);
  // A load that loses pages has long groups, and so few syncs: see plan_cycle().
  fault.site.occurrence =
      stream.fork("occurrence")
          .log_between(1, fault.action == FaultAction::lost_sync ? kLostSyncsMax : calls_max);
  if (fault.action == FaultAction::short_count) {
    fault.permille = static_cast<std::uint32_t>(stream.fork("permille").below(1000));
  }
  Rng times = stream.fork("times");
  if (fault.action == FaultAction::short_count) {
    fault.site.times = times.between(1, 3);
  } else if (fault.action == FaultAction::error) {
    const std::size_t length = times.weighted({5, 2, 2});
    fault.site.times = length == 0 ? 1 : length == 1 ? times.between(2, 8) : kLastingErrors;
  }
  if (fault.action == FaultAction::full) {
    fault.site = {};
    fault.bytes = stream.fork("bytes").log_between(1, 512 << 10);
    fault.refusals =
        stream.fork("refusals").chance(1, 3) ? stream.fork("count").between(1, 8) : kLastingErrors;
  }
  return fault;
}

std::string_view to_string(CrashKind kind) {
  switch (kind) {
    case CrashKind::timer:
      return "timer";
    case CrashKind::step:
      return "step";
    case CrashKind::call:
      return "call";
  }
  return "unknown";
}

std::string to_string(const Recrash& recrash) {
  if (recrash.point) {
    return to_string(*recrash.point);
  }
  return recrash.call ? to_string(*recrash.call) : fmt::format("timer:{}us", recrash.timer_us);
}

PlanOptions pinned(PlanOptions options) {
  options.timer = false;
  options.step = true;
  options.call = false;
  options.io = false;
  options.free_running = false;
  options.scheduled = true;
  return options;
}

void reach_phase(std::string_view phase, std::uint64_t steer, wire::Schedule* schedule) {
  static const std::map<std::string_view, Chore> chores = {{"flush", Chore::flush},
                                                           {"index", Chore::flush},
                                                           {"truncation", Chore::truncate},
                                                           {"compaction", Chore::compact},
                                                           {"checkpoint", Chore::checkpoint}};
  if (const auto chore = chores.find(phase); chore != chores.end()) {
    Rng every = Rng(steer).fork("forced");
    schedule->forced = chore->second;
    schedule->forced_every = static_cast<std::uint32_t>(draw_depth(every, 1, 300));
  }
}

std::vector<Step> load_steps(wire::Protocol protocol) {
  std::vector<Step> steps;
  for (const Step step : all_steps()) {
    const bool sidecar_only = step == Step::before_sidecar_rename || step == Step::after_sidecar_rename;
    if (!is_recovery_step(step) && (!sidecar_only || protocol == wire::Protocol::sidecar)) {
      steps.push_back(step);
    }
  }
  return steps;
}

std::vector<Step> recovery_steps() {
  std::vector<Step> steps;
  std::copy_if(all_steps().begin(), all_steps().end(), std::back_inserter(steps), is_recovery_step);
  return steps;
}

CyclePlan plan_cycle(const PlanOptions& options, wire::Protocol protocol, std::uint64_t seed,
                     std::uint64_t lane, std::uint64_t cycle) {
  CHECK(options.timer || options.step || options.call);
  CHECK(options.free_running || options.scheduled);
  const Rng stream = Rng(seed).fork("crash").fork(lane).fork(cycle);
  CyclePlan plan;
  plan.lane = lane;
  plan.cycle = cycle;
  plan.free_running = options.free_running && (!options.scheduled || stream.fork("maintenance").chance(1, 3));
  plan.stock_tuning = stream.fork("tuning").chance(1, 16);
  plan.border_sizes = stream.fork("border-sizes").chance(1, 4);
  plan.recrashes = draw_recrashes(options, stream.fork("recrash"));
  const bool needs_tail = !plan.recrashes.empty() && plan.recrashes.front().point &&
                          plan.recrashes.front().point->step == Step::during_suffix_truncation;
  plan.kind = needs_tail ? CrashKind::step : draw_kind(options, stream);
  switch (plan.kind) {
    case CrashKind::timer: {
      Rng timer = stream.fork("timer");
      plan.timer_us = static_cast<std::uint32_t>(draw_depth(timer, 0, options.timer_us_max));
      break;
    }
    case CrashKind::step:
      plan.point = needs_tail ? draw_tail_crash(stream.fork("tail"))
                              : draw_point(options, load_steps(protocol), stream.fork("point"));
      break;
    case CrashKind::call:
      plan.call = draw_call(stream.fork("call"), kLoadCallsMax);
      plan.steer = draw_steer(stream.fork("call"));
      break;
  }
  if (options.io && stream.fork("io").chance(1, options.io_one_in)) {
    plan.error = draw_error(stream.fork("error"), kErrorCallsMax);
  }
  plan.schedule =
      draw_schedule(plan.kind == CrashKind::step ? &plan.point : nullptr, stream.fork("schedule"));
  // A page that is written again after the sync that lost it is whole again. Only a group that fills pages
  // leaves some behind that nothing writes again.
  const bool loses_pages = plan.error && plan.error->action == tap::FaultAction::lost_sync;
  if (needs_tail || loses_pages) {
    plan.schedule.sync_group_max = kLongSyncGroup;
  }
  plan.cut_suffix = needs_tail || stream.fork("cut").chance(1, 2);
  plan.flush_after_replay = stream.fork("flush-after-replay").chance(1, 4);
  // What the first recovery does about a torn write, the second one finds.
  const bool tears = plan.kind == CrashKind::step   ? plan.point.step == Step::inside_log_append
                     : plan.kind == CrashKind::call ? plan.call.action == tap::FaultAction::kill_inside
                                                    : false;
  plan.check_reopen = stream.fork("check-reopen").chance(tears ? 8 : 1, 16);
  plan.check_backward = stream.fork("check-backward").chance(1, 8);
  plan.check_integrity = stream.fork("check-integrity").chance(1, 16);
  plan.check_space = stream.fork("check-space").chance(1, 24);
  if (options.recrash && options.step && plan.recrashes.empty() &&
      stream.fork("before-probe").chance(1, 12)) {
    // What the engine's own check lost is seen before a new write brings it back.
    plan.check_integrity = true;
    plan.recrashes.emplace_back().point = CrashPoint{.step = Step::before_probe};
  }
  return plan;
}

}  // namespace chaosgate::crash
