#include "harness/crash/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/rng.h"

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

CrashPoint draw_point(const std::vector<Step>& steps, const Rng& stream) {
  CrashPoint point;
  point.step = steps.at(stream.fork("step").below(steps.size()));
  Rng occurrence = stream.fork("occurrence");
  point.occurrence = draw_occurrence(point.step, occurrence);
  if (point.step == Step::inside_log_append) {
    point.permille = static_cast<std::uint32_t>(stream.fork("permille").below(1000));
  }
  if (is_span(point.step)) {
    point.delay_us = static_cast<std::uint32_t>(stream.fork("delay").log_between(0, span_us_max(point.step)));
  }
  return point;
}

// A death that leaves entries in the log that were never acknowledged: far into a long group, before its
// sync. Without them the next recovery has no suffix to discard, and a re-crash planned for that would be
// missed.
constexpr std::uint32_t kLongSyncGroup = 64;

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

std::vector<Recrash> draw_recrashes(const PlanOptions& options, const Rng& stream) {
  std::vector<Recrash> recrashes;
  if (!options.recrash || !stream.fork("whether").chance(1, 6)) {
    return recrashes;
  }
  const std::size_t count = 1 + stream.fork("count").weighted({6, 3, 1});
  static_assert(kRecrashesMax == 3);
  for (std::size_t i = 0; i < count; ++i) {
    const Rng each = stream.fork(i);
    Recrash recrash;
    if (options.step && (!options.timer || each.fork("kind").chance(3, 4))) {
      recrash.point = draw_point(recovery_steps(), each);
    } else {
      recrash.timer_us = static_cast<std::uint32_t>(each.fork("timer").log_between(50, options.timer_us_max));
    }
    recrashes.push_back(recrash);
  }
  return recrashes;
}

}  // namespace

std::string_view to_string(CrashKind kind) { return kind == CrashKind::timer ? "timer" : "step"; }

std::string to_string(const Recrash& recrash) {
  return recrash.point ? to_string(*recrash.point) : fmt::format("timer:{}us", recrash.timer_us);
}

PlanOptions pinned(PlanOptions options) {
  options.timer = false;
  options.step = true;
  options.free_running = false;
  options.scheduled = true;
  return options;
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
  CHECK(options.timer || options.step);
  CHECK(options.free_running || options.scheduled);
  const Rng stream = Rng(seed).fork("crash").fork(lane).fork(cycle);
  CyclePlan plan;
  plan.lane = lane;
  plan.cycle = cycle;
  plan.free_running = options.free_running && (!options.scheduled || stream.fork("maintenance").chance(1, 3));
  plan.stock_tuning = stream.fork("tuning").chance(1, 16);
  plan.recrashes = draw_recrashes(options, stream.fork("recrash"));
  const bool needs_tail = !plan.recrashes.empty() && plan.recrashes.front().point &&
                          plan.recrashes.front().point->step == Step::during_suffix_truncation;
  const bool by_timer = options.timer && (!options.step || stream.fork("kind").chance(2, 5)) && !needs_tail;
  plan.kind = by_timer ? CrashKind::timer : CrashKind::step;
  if (by_timer) {
    Rng timer = stream.fork("timer");
    plan.timer_us = static_cast<std::uint32_t>(draw_depth(timer, 0, options.timer_us_max));
  } else {
    plan.point = draw_point(load_steps(protocol), stream.fork("point"));
  }
  if (needs_tail) {
    plan.point = draw_tail_crash(stream.fork("tail"));
  }
  plan.schedule = draw_schedule(by_timer ? nullptr : &plan.point, stream.fork("schedule"));
  if (needs_tail) {
    plan.schedule.sync_group_max = kLongSyncGroup;
  }
  plan.cut_suffix = needs_tail || stream.fork("cut").chance(1, 2);
  plan.flush_after_replay = stream.fork("flush-after-replay").chance(1, 4);
  plan.check_reopen = stream.fork("check-reopen").chance(1, 16);
  plan.check_backward = stream.fork("check-backward").chance(1, 8);
  plan.check_integrity = stream.fork("check-integrity").chance(1, 16);
  return plan;
}

std::string to_string(const CyclePlan& plan) {
  std::string crash =
      plan.kind == CrashKind::timer ? fmt::format("timer:{}us", plan.timer_us) : to_string(plan.point);
  std::string recrashes;
  for (const Recrash& recrash : plan.recrashes) {
    recrashes += (recrashes.empty() ? "" : ",") + to_string(recrash);
  }
  const wire::Schedule& s = plan.schedule;
  return fmt::format(
      "lane={} cycle={} crash={} recrash={} maintenance={} tuning={} sync<={} apply<={} flush=1/{} "
      "truncate=1/{} "
      "compact=1/{} checkpoint=1/{} forced={}/{} entries<={} cut-suffix={:d} flush-after-replay={:d} "
      "reopen={:d} "
      "backward={:d} integrity={:d}",
      plan.lane, plan.cycle, crash, recrashes.empty() ? "none" : recrashes,
      plan.free_running ? "free-running" : "scheduled", plan.stock_tuning ? "stock" : "lean",
      s.sync_group_max, s.apply_group_max, s.flush_one_in, s.truncate_one_in, s.compact_one_in,
      s.checkpoint_one_in, nlohmann::json(s.forced).get<std::string>(), s.forced_every, s.entries_max,
      plan.cut_suffix, plan.flush_after_replay, plan.check_reopen, plan.check_backward, plan.check_integrity);
}

}  // namespace chaosgate::crash
