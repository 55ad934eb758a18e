#include "harness/campaign/lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/campaign/drive.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/tap_setup.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::CycleEvent;
using report::Outcome;

namespace {

// A steered load has come to what it was steered to long before, or never will.
constexpr std::uint32_t kSteeredEntriesMax = 600;
// The same in chores that are forced to come to a place: a compaction may cost more than all else together.
constexpr std::uint32_t kSteeredChoresMax = 24;

// What a sync of a chore loses shows until that chore is done again: the load dies between the first two.
void die_behind(std::uint64_t number, crash::CyclePlan* plan) {
  constexpr std::uint32_t kApart = 160;  // entries between two chores, more than two groups
  crash::reach_phase(plan->error->site.phase, number, &plan->schedule);
  if (plan->schedule.forced == wire::Chore::none) {
    return;  // it is lost all the time
  }
  plan->error->site.occurrence = 1;
  plan->schedule.forced_every = kApart;
  plan->kind = crash::CrashKind::step;
  plan->point = {.step = Step::after_log_append,
                 .occurrence = kApart + crash::kLongSyncGroup + 1 + Rng(number).fork("behind").below(32)};
}

}  // namespace

std::uint64_t recovery_term(std::uint64_t cycle, std::uint64_t attempt) {
  constexpr std::uint64_t kStartsPerCycle = kRecoveriesMax + 2;
  return 1 + cycle * kStartsPerCycle + attempt;
}
std::uint64_t create_term(std::uint64_t cycle) { return recovery_term(cycle, kRecoveriesMax); }
std::uint64_t opening_term(std::uint64_t cycle) { return recovery_term(cycle, kRecoveriesMax + 1); }

Lane::Lane(const LaneOptions& options, StopSignal* stop) : Subject(options, stop), options_(options) {}

crash::CyclePlan Lane::plan(std::uint64_t cycle) const {
  if (const auto given = options_.given.find(cycle); given != options_.given.end()) {
    return given->second;
  }
  crash::PlanOptions allowed = options_.key.plan;
  if (cycle < options_.pinned_before) {
    allowed = crash::pinned(allowed);
  }
  return crash::plan_cycle(allowed, options_.protocol, options_.key.seed, options_.lane, cycle);
}

std::optional<tap::StorageFault> Lane::seldom_hit(std::uint64_t steer, bool recovery) {
  constexpr std::uint64_t kAsDrawnOneIn = 4;
  return Rng(steer).fork("as-drawn").chance(1, kAsDrawnOneIn) ? std::nullopt
                                                              : coverage_.choose(steer, recovery);
}

crash::CyclePlan Lane::steered(crash::CyclePlan plan) {
  if (plan.error) {
    const std::uint64_t number = hash64(to_string(plan));
    // Half of the errors go where the fewest went, the others where a load comes to them by itself; of
    // recorded loads, which are few, most.
    const auto aimed = Rng(number).fork("aimed").chance(options_.keep_payloads ? 7 : 4, 8)
                           ? coverage_.choose_error(number)
                           : std::nullopt;
    plan.error = aimed.value_or(*plan.error);
    coverage_.place(number, &*plan.error);
    if (plan.error->action == tap::FaultAction::lost_sync) {
      // See plan_cycle(); and what becomes of the pages of a recorded load is for disk::Order to say.
      plan.schedule.sync_group_max = std::max(plan.schedule.sync_group_max, crash::kLongSyncGroup);
      if (options_.keep_payloads) {
        plan.error->action = tap::FaultAction::error;
        plan.error->error = EIO;
      } else if (aimed && options_.key.plan.step) {
        die_behind(number, &plan);
      }
    }
    if (plan.schedule.forced == wire::Chore::none) {
      crash::reach_phase(plan.error->site.phase, number, &plan.schedule);
    }
  }
  if (plan.kind != crash::CrashKind::call || plan.steer == 0) {
    return plan;
  }
  if (const auto fault = seldom_hit(plan.steer, false)) {
    plan.call = *fault;
    crash::reach_phase(fault->site.phase, plan.steer, &plan.schedule);
  }
  plan.steer = 0;
  // A place may have been seen under other maintenance only, and never be reached: give up early.
  std::uint32_t entries = kSteeredEntriesMax;
  if (plan.schedule.forced != wire::Chore::none) {
    entries = std::min(entries, std::max(plan.schedule.forced_every, 1U) * kSteeredChoresMax);
  }
  plan.schedule.entries_max = std::min(plan.schedule.entries_max, entries);
  return plan;
}

wire::WorkerOrder Lane::order(const crash::CyclePlan& load) const {
  return worker_order(options_, load, data_);
}

bool Lane::create(CycleEvent* event) {
  begin_directory();
  indexes_.appended = generator_.preload_entries();
  wire::WorkerOrder create = order(plan(cycle_));
  create.create = true;
  create.term = create_term(cycle_);
  return attempt(create, nullptr, event);
}

bool Lane::recover(const crash::CyclePlan* crashed, const crash::CyclePlan* next, CycleEvent* event) {
  const crash::CyclePlan idle;
  const crash::CyclePlan& load = next != nullptr ? *next : idle;
  const std::size_t recrashes = crashed != nullptr ? crashed->recrashes.size() : 0;
  for (std::size_t i = 0; i <= recrashes; ++i) {
    wire::WorkerOrder recovery = order(load);
    recovery.term = crashed != nullptr ? recovery_term(cycle_, i) : opening_term(cycle_);
    recovery.known_synced = indexes_.synced;
    // A new store is looked at once, to have something to compare with; not where a load is recorded, which
    // begins with the store as it is made. Later not where the engine makes room as it does by default.
    recovery.check_space = crashed == nullptr ? !new_store_ && !options_.keep_payloads
                                              : crashed->check_space && !recovery.stock_tuning;
    if (recovery.check_space && new_store_) {
      recovery.new_store_files = new_store_->files;
      recovery.new_store_bytes = new_store_->bytes;
    }
    if (crashed != nullptr) {
      recovery.check_backward = crashed->check_backward;
      recovery.check_integrity = crashed->check_integrity;
      recovery.check_reopen = crashed->check_reopen;
      recovery.flush_after_replay = crashed->flush_after_replay;
      // Only the first recovery may discard a suffix: the ones after it may have applied it.
      if (crashed->cut_suffix && i == 0) {
        recovery.cut_suffix_from = indexes_.synced + 1;
      }
    }
    std::optional<crash::Recrash> recrash;
    if (i < recrashes) {
      recrash = crashed->recrashes[i];
      const auto steered = recrash->steer != 0 ? seldom_hit(recrash->steer, true) : std::nullopt;
      recrash->call = steered ? steered : recrash->call;
      recrash->steer = 0;
      last_plan_.recrashes.at(i) = *recrash;
    }
    recovery.load = recrash || next != nullptr;  // one that is to be killed in recovery waits there
    if (recrash && recrash->point) {
      recovery.recovery_crash = to_string(*recrash->point);
    }
    if (!recrash && next != nullptr && next->kind == crash::CrashKind::step) {
      recovery.load_crash = to_string(next->point);
    }
    recovery.tap =
        options_.watch || (recrash ? recrash->call.has_value() : next != nullptr && load_needs_tap(*next));
    if (!attempt(recovery, recrash ? &*recrash : nullptr, event)) {
      return false;
    }
    ready_order_ = recovery;
  }
  ready_ = next != nullptr;
  loading_ = load;
  indexes_.after_error = false;  // what was acknowledged before it has been found
  oracle_->forget(indexes_.flushed);
  return true;
}

bool Lane::load(CycleEvent* event) {
  CHECK(ready_);
  ready_ = false;
  const crash::CyclePlan& plan = loading_;
  const std::vector<tap::StorageFault> faults = load_faults(plan);
  const bool timer = plan.kind == crash::CrashKind::timer;
  const Driven driven =
      drive_load(parent_, timer ? std::optional(plan.timer_us) : std::nullopt, options_.hang_ms, faults);
  const bool fine = note_load(driven, std::string(crash::to_string(plan.kind)), crash::crash_text(plan),
                              ready_order_.tap, faults, event);
  if (plan.error) {
    event->crash.error = to_string(*plan.error);
  }
  if (report::is_abnormal(event->crash.outcome)) {
    keep_evidence(ready_order_, {});
  }
  return fine;
}

bool Lane::prepare(std::vector<CycleEvent>* failed) {
  CHECK(data_.empty());
  for (;;) {
    CycleEvent event = make_event(options_, cycle_);
    const bool fine = create(&event) && recover(nullptr, nullptr, &event);
    ++cycle_;  // its terms are used
    const bool again = !fine && !evidence_ && event.ended_from_outside();
    if (!fine && failed != nullptr) {
      failed->push_back(std::move(event));
    }
    if (!again) {
      return fine;
    }
    abandon_directory();
  }
}

std::string Lane::belief_before_recovery() const {
  std::string belief;
  oracle_->save(&belief);
  return belief;
}

LaneState Lane::keep_state(const fs::path& image) const {
  CHECK(!ready_);
  return {copy_state(image), cycle_};
}

void Lane::go_back(const LaneState& state, crash::CyclePlan plan) {
  ready_ = false;
  put_back(state);
  cycle_ = state.cycle;
  options_.given = {{cycle_, std::move(plan)}};
}

Bundle Lane::bundle(const CycleEvent& event) const {
  CHECK(evidence_.has_value());
  Bundle bundle = make_bundle(options_, *engine_, evidence_->plan, evidence_->recovery, event);
  bundle.plan_checksum = plan_checksum(options_.key, options_.protocol, event.lane, event.cycle + 1);
  return bundle;
}

CycleEvent Lane::run_cycle(bool last) {
  const std::uint64_t begin = wire::monotonic_ns();
  evidence_.reset();
  const crash::CyclePlan current = plan(cycle_);
  CycleEvent event = make_event(options_, cycle_);
  event.plan = crash::to_string(current);
  event.maintenance = current.free_running ? "free-running" : "scheduled";
  bool fine = true;
  if (!ready_) {
    CycleEvent opening;  // what a clean start finds belongs to this cycle, its times and counts do not
    const crash::CyclePlan load = steered(current);
    fine = (!data_.empty() || create(&opening)) && recover(nullptr, &load, &opening);
    event.violations = opening.violations;
    if (!fine && !opening.recrashes.empty()) {
      event.crash = opening.recrashes.back();
    }
  }
  last_plan_ = fine ? loading_ : current;
  if (fine && load(&event)) {
    ++cycle_;
    const crash::CyclePlan next = steered(plan(cycle_));
    event.recovered = recover(&current, last ? nullptr : &next, &event);
    fine = event.recovered;
    event.last_index = oracle_->last_index();
  } else {
    ++cycle_;
    fine = false;
  }
  const std::string errors = report::injected_errors(event);
  for (report::ViolationEvent& violation : event.violations) {
    violation.explanation += errors.empty() ? "" : fmt::format(" (injected: {})", errors);
    violation.detail += fmt::format("  the load: {}\n", report::position(event.crash));
  }
  for (report::Death* death : event.deaths()) {
    if (report::is_abnormal(death->outcome) && !errors.empty()) {
      death->detail += fmt::format(" (injected: {})", errors);
    }
  }
  if (fine) {
    note_fine_cycle();
  } else {
    ready_ = false;
    abandon_directory();
  }
  event.cells = coverage_.take_new();
  event.timings.total = (wire::monotonic_ns() - begin) / kNsPerUs;
  return event;
}

}  // namespace chaosgate::campaign
