#include "harness/crash/group_plan.h"

#include <fmt/format.h>

#include <array>

#include "harness/base/rng.h"
#include "harness/tap/file_table.h"

namespace chaosgate::crash {
namespace {

// Loads under a leader are short: places that come seldom in a long load are brought near.
constexpr std::uint32_t kForcedEvery = 24;
constexpr std::uint64_t kShortLoadCallsMax = 160;     // storage calls of a load
constexpr std::uint64_t kShortRecoveryCallsMax = 30;  // of a recovery
constexpr std::uint64_t kTransferCallsMax = 300;      // of taking and installing a snapshot

tap::StorageFault draw_kill(const Rng& stream, std::uint64_t calls_max) {
  constexpr std::array kActions = {tap::FaultAction::kill_before, tap::FaultAction::kill_after,
                                   tap::FaultAction::kill_inside};
  tap::StorageFault fault;
  fault.action = kActions.at(stream.fork("action").weighted({2, 2, 1}));
  if (fault.action == tap::FaultAction::kill_inside) {
    fault.site.call = tap::StorageCall::write;
    calls_max = 1 + calls_max / 4;
  }
  fault.site.occurrence = stream.fork("occurrence").between(1, calls_max);
  return fault;
}

// Most calls of a transfer write the new files; the few that put them in place are worth as much.
tap::StorageFault draw_transfer_kill(const Rng& stream) {
  struct Place {
    std::optional<tap::StorageCall> call;
    std::uint64_t occurrence_min;
    std::uint64_t occurrence_max;
    std::string_view file_class = tap::kAnyClass;
  };
  // The renames of directories are those of stores as a whole: one is made, the old one makes way, the new
  // one takes its place.
  static const std::array<Place, 6> kTransfers = {{{std::nullopt, 1, kTransferCallsMax},
                                                   {tap::StorageCall::rename, 1, 3, tap::kDirectoryClass},
                                                   {tap::StorageCall::rename, 3, 8},
                                                   {tap::StorageCall::sync, 1, 24},
                                                   {tap::StorageCall::unlink, 1, 24},
                                                   {tap::StorageCall::create, 1, 12}}};
  const Place& place = kTransfers.at(stream.fork("place").weighted({3, 6, 2, 2, 2, 1}));
  if (!place.call) {
    tap::StorageFault fault = draw_kill(stream, kTransferCallsMax);
    fault.site.occurrence = stream.fork("depth").log_between(1, kTransferCallsMax);
    return fault;
  }
  tap::StorageFault fault;
  fault.action =
      stream.fork("action").chance(1, 2) ? tap::FaultAction::kill_before : tap::FaultAction::kill_after;
  fault.site.file_class = place.file_class;
  fault.site.call = place.call;
  fault.site.occurrence = stream.fork("occurrence").between(place.occurrence_min, place.occurrence_max);
  return fault;
}

wire::Schedule busy_schedule(const wire::Schedule& base, const Rng& stream) {
  wire::Schedule schedule = base;
  schedule.flush_one_in = static_cast<std::uint32_t>(stream.fork("flush").between(20, 200));
  schedule.truncate_one_in = static_cast<std::uint32_t>(stream.fork("truncate").between(20, 200));
  schedule.compact_one_in = 600;
  schedule.checkpoint_one_in = 2000;
  schedule.forced_every = schedule.forced == wire::Chore::none ? 0 : kForcedEvery;
  return schedule;
}

std::uint64_t draw_step_occurrence(Step step, Rng rng) {
  switch (step) {
    case Step::before_log_append:
    case Step::after_log_append:
      return rng.between(1, 60);
    case Step::inside_log_append:
    case Step::before_log_sync:
    case Step::after_log_sync:
    case Step::before_apply:
    case Step::inside_apply:
    case Step::after_apply:
      return rng.between(1, 12);
    default:
      return 1;
  }
}

MemberPlan draw_member(CyclePlan cycle, bool calls, const Rng& stream) {
  MemberPlan plan;
  cycle.cut_suffix = false;  // what the leader has proposed stays
  cycle.error.reset();
  cycle.check_space = false;  // for single engines
  cycle.schedule = busy_schedule(cycle.schedule, stream.fork("schedule"));
  if (cycle.kind == CrashKind::step) {
    cycle.point.occurrence = draw_step_occurrence(cycle.point.step, stream.fork("step"));
  }
  if (cycle.kind == CrashKind::call) {
    cycle.call = draw_kill(stream.fork("call"), kShortLoadCallsMax);
    cycle.steer = 0;
  }
  if (cycle.kind == CrashKind::timer) {
    plan.kill_at_message = static_cast<std::uint32_t>(stream.fork("message").between(1, 24));
    cycle.timer_us = static_cast<std::uint32_t>(stream.fork("delay").log_between(1, 2000));
  }
  for (std::size_t i = 0; i < cycle.recrashes.size(); ++i) {
    Recrash& recrash = cycle.recrashes[i];
    if (recrash.call || recrash.steer != 0) {
      recrash.call = draw_kill(stream.fork("recrash").fork(i), kShortRecoveryCallsMax);
      recrash.steer = 0;
    } else if (recrash.point && recrash.point->step == Step::during_suffix_truncation) {
      recrash.point->step = Step::after_engine_open;  // no suffix is ever cut
    }
  }
  plan.cut_off = stream.fork("cut-off").chance(1, 4);
  plan.stays_down = stream.fork("down").chance(1, 2);
  plan.repeat_percent = static_cast<std::uint32_t>(stream.fork("repeat").below(30));
  plan.swap_percent = static_cast<std::uint32_t>(stream.fork("swap").below(30));
  plan.late_percent = static_cast<std::uint32_t>(stream.fork("late").below(20));
  if (calls && stream.fork("transfer").chance(5, 6)) {
    plan.transfer_kill = draw_transfer_kill(stream.fork("transfer-kill"));
  }
  plan.cycle = std::move(cycle);
  return plan;
}

}  // namespace

std::string_view to_string(StreamFault fault) {
  constexpr std::array<std::string_view, 5> kNames = {"none", "cut", "flipped", "repeated", "swapped"};
  const auto number = static_cast<std::size_t>(fault);
  return number < kNames.size() ? kNames.at(number) : "unknown";
}

GroupPlan plan_group(const PlanOptions& options, const std::vector<wire::Protocol>& members,
                     std::uint64_t seed, std::uint64_t group, std::uint64_t cycle) {
  const Rng stream = Rng(seed).fork("group").fork(group).fork(cycle);
  GroupPlan plan;
  plan.cycle = cycle;
  plan.entries = static_cast<std::uint32_t>(stream.fork("entries").between(30, 160));
  plan.group_max = static_cast<std::uint32_t>(stream.fork("group-max").log_between(1, 24));
  plan.kept = static_cast<std::uint32_t>(stream.fork("kept").chance(1, 2) ? stream.fork("few").below(24)
                                                                          : stream.fork("more").below(200));
  plan.uncommitted = static_cast<std::uint32_t>(
      stream.fork("uncommitted").chance(1, 2) ? stream.fork("held").between(1, 12) : 0);
  plan.stream = static_cast<StreamFault>(stream.fork("stream").weighted({5, 2, 4, 1, 1}));
  plan.stream_permille = static_cast<std::uint32_t>(stream.fork("stream-place").below(1000));
  for (std::size_t member = 0; member < members.size(); ++member) {
    const std::uint64_t lane = group * members.size() + member;
    plan.members.push_back(draw_member(plan_cycle(options, members[member], seed, lane, cycle), options.call,
                                       stream.fork("member").fork(member)));
  }
  if (const std::size_t all = members.size(); all > 1) {
    // Somebody has to be there to send a snapshot.
    plan.members[stream.fork("never-cut-off").below(all)].cut_off = false;
  }
  return plan;
}

std::string to_string(const MemberPlan& plan) {
  std::string text = crash::to_string(plan.cycle);
  if (plan.cut_off) {
    text += " cut-off";
  }
  if (plan.stays_down) {
    text += " stays-down";
  }
  if (plan.cycle.kind == CrashKind::timer) {
    text += fmt::format(" at-message={}", plan.kill_at_message);
  }
  text +=
      fmt::format(" repeat={}% swap={}% late={}%", plan.repeat_percent, plan.swap_percent, plan.late_percent);
  if (plan.transfer_kill) {
    text += " transfer=" + tap::to_string(*plan.transfer_kill);
  }
  return text;
}

std::string to_string(const GroupPlan& plan) {
  std::string text = fmt::format("cycle={} entries={} group={} kept={} stream={}", plan.cycle, plan.entries,
                                 plan.group_max, plan.kept, to_string(plan.stream));
  if (plan.stream != StreamFault::none) {
    text += fmt::format("@{}/1000", plan.stream_permille);
  }
  if (plan.uncommitted > 0) {
    text += fmt::format(" uncommitted={}", plan.uncommitted);
  }
  for (const MemberPlan& member : plan.members) {
    text += " | " + to_string(member);
  }
  return text;
}

}  // namespace chaosgate::crash
