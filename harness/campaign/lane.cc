#include "harness/campaign/lane.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/campaign/drive.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/tap_setup.h"
#include "harness/campaign/versions.h"
#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::CycleEvent;
using report::Death;
using report::Outcome;
using wire::FlightRecorder;
using wire::Phase;

namespace {

// A steered load has come to what it was steered to long before, or never will.
constexpr std::uint32_t kSteeredEntriesMax = 600;
// The same in chores that are forced to come to a place: a compaction may cost more than all else together.
constexpr std::uint32_t kSteeredChoresMax = 24;

std::uint64_t phase_us(const FlightRecorder& recorder, Phase from, Phase to) {
  const std::uint64_t begin = recorder.phase_at_ns.at(static_cast<std::size_t>(from));
  const std::uint64_t end = recorder.phase_at_ns.at(static_cast<std::size_t>(to));
  return begin == 0 || end < begin ? 0 : (end - begin) / kNsPerUs;
}

std::uint64_t since_us(std::uint64_t begin_ns, const FlightRecorder& recorder, Phase phase) {
  const std::uint64_t at = recorder.phase_at_ns.at(static_cast<std::size_t>(phase));
  return at > begin_ns ? (at - begin_ns) / kNsPerUs : 0;
}

std::string kind_of(RecoveryEnd end) {
  switch (end) {
    case RecoveryEnd::ready:
      return "none";
    case RecoveryEnd::step:
      return "recovery-step";
    case RecoveryEnd::timer:
      return "recovery-timer";
    case RecoveryEnd::call:
      return "recovery-call";
  }
  return "unknown";
}

Death describe_death(const FlightRecorder& recorder, std::string kind, std::string planned) {
  Death death;
  death.kind = std::move(kind);
  death.planned = std::move(planned);
  death.phase = wire::to_string(recorder.phase);
  const std::uint32_t step = std::min<std::uint32_t>(recorder.step, kStepCount - 1);
  death.occurrence = recorder.step_count.at(step);
  death.step = death.occurrence == 0 ? "" : to_string(static_cast<Step>(step));
  death.term = recorder.term;
  death.appended = recorder.appended;
  death.synced = recorder.synced;
  death.applied = recorder.applied;
  death.flushed = recorder.flushed;
  death.durable = recorder.durable;
  death.witness = recorder.witness;
  death.entries = recorder.entries;
  death.operations = recorder.operations;
  return death;
}

}  // namespace

std::uint64_t recovery_term(std::uint64_t cycle, std::uint64_t attempt) {
  constexpr std::uint64_t kStartsPerCycle = kRecoveriesMax + 2;
  return 1 + cycle * kStartsPerCycle + attempt;
}
std::uint64_t create_term(std::uint64_t cycle) { return recovery_term(cycle, kRecoveriesMax); }
std::uint64_t opening_term(std::uint64_t cycle) { return recovery_term(cycle, kRecoveriesMax + 1); }

CycleEvent make_event(const LaneTarget& target, std::uint64_t cycle) {
  CycleEvent event;
  event.engine = target.engine;
  event.protocol = wire::to_string(target.protocol);
  event.workload = target.key.workload;
  event.fault = target.key.fault;
  event.lane = target.lane;
  event.cycle = cycle;
  return event;
}

Lane::Lane(const LaneOptions& options, StopSignal* stop)
    : options_(options),
      generator_(options.key.workload, options.key.seed),
      parent_(options.worker, plugins_of(options.plugin), make_directory(options.directory) / "worker.output",
              stop) {
  if (!parent_.hello().error.empty()) {
    throw UsageError(parent_.hello().error);
  }
  engine_ = &require_engine(parent_.hello(), options_.engine);
}

Lane::~Lane() {
  std::error_code ignored;
  fs::remove_all(options_.directory, ignored);
}

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

crash::CyclePlan Lane::steered(crash::CyclePlan plan) {
  if (plan.error) {
    const std::uint64_t number = hash64(to_string(plan));
    coverage_.place(number, &*plan.error);
    if (plan.schedule.forced == wire::Chore::none) {
      crash::reach_phase(plan.error->site.phase, number, &plan.schedule);
    }
  }
  if (plan.kind != crash::CrashKind::call || plan.steer == 0) {
    return plan;
  }
  if (const auto fault = coverage_.choose(plan.steer, false)) {
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

void Lane::begin_directory() {
  data_ = make_directory(options_.directory / fmt::format("data-{}", generation_++));
  tap_.reset();
  mirror_ =
      options_.keep_images ? std::make_unique<ImageMirror>(data_, options_.directory / "image") : nullptr;
}

bool Lane::create(CycleEvent* event) {
  begin_directory();
  oracle_ = std::make_unique<oracle::Oracle>(generator_);
  indexes_ = {};
  indexes_.appended = generator_.preload_entries();
  wire::WorkerOrder create = order(plan(cycle_));
  create.create = true;
  create.term = create_term(cycle_);
  return attempt(create, nullptr, event);
}

void Lane::note_indexes() {
  const FlightRecorder& recorder = parent_.recorder();
  indexes_.appended = std::max(indexes_.appended, recorder.appended.load());
  indexes_.synced = std::max(indexes_.synced, recorder.synced.load());
  indexes_.applied = std::max(indexes_.applied, recorder.applied.load());
  indexes_.flushed = std::max(indexes_.flushed, recorder.flushed.load());
  if (engine_->commit_survives_kill) {
    indexes_.flushed = std::max(indexes_.flushed, indexes_.applied);
  }
}

void Lane::keep_evidence(const wire::WorkerOrder& order, const RecoveryJudge& judge) {
  Evidence evidence;
  evidence.recovery.order = order;
  evidence.recovery.crash = marked_indexes_;
  evidence.recovery.violations = judge.violations();
  evidence.plan = last_plan_;
  oracle_->save(&evidence.recovery.belief);
  evidence.image = mirror_ ? mirror_->path() : fs::path();
  evidence.output = options_.directory / "worker.output";
  evidence_ = std::move(evidence);
}

void Lane::abandon_directory() {
  ready_ = false;
  if (parent_.running()) {
    parent_.kill();
    parent_.reap();
  }
  std::error_code ignored;
  fs::remove_all(data_, ignored);
  data_.clear();
}

void Lane::note_calls(const std::vector<tap::StorageFault>& faults, Death* death) {
  const tap::TapEnd& end = parent_.tap_end();
  std::vector<tap::TraceRecord> records = tap_->take_records();
  coverage_.saw(records);
  indexes_.after_error = indexes_.after_error || !end.faulted.empty();
  death->errors = end.faulted.size();
  std::optional<crash::Cell> cell;
  if (end.killed_by) {
    cell = crash::cell_of(faults.at(*end.killed_by).action, *end.killed_call);
  } else if (death->outcome == Outcome::killed && !records.empty()) {
    cell = crash::cell_of(tap::FaultAction::kill_after, records.back());
  }
  if (cell) {
    coverage_.hit(*cell);
    death->cell = to_string(*cell);
  }
  if (options_.keep_records) {
    std::move(records.begin(), records.end(), std::back_inserter(records_));
  }
}

bool Lane::attempt(const wire::WorkerOrder& order, const crash::Recrash* recrash, CycleEvent* event) {
  Tapped tapped;
  if (order.tap) {
    // Anew for each worker, unless all are tapped: others have changed names since the last.
    if (tap_ == nullptr || !options_.watch) {
      tap::TapOptions tap = tap_options(*engine_, data_);
      tap.keep_payloads = options_.keep_payloads;
      tap.sync_disk = !options_.keep_payloads;
      tap_ = std::make_unique<tap::Tap>(std::move(tap));
    }
    tapped.tap = tap_.get();
    if (recrash != nullptr && recrash->call) {
      tapped.faults.push_back(*recrash->call);
    }
  }
  if (mirror_ && !order.create) {
    const std::uint64_t begin = wire::monotonic_ns();
    mirror_->sync();
    if (event != nullptr) {
      event->timings.mirror += (wire::monotonic_ns() - begin) / kNsPerUs;
    }
  }
  oracle_->mark();
  marked_indexes_ = indexes_;
  oracle_->begin_term(order.term);
  RecoveryJudge judge(*oracle_, order, indexes_);
  if (recrash != nullptr && recrash->call && !recrash->call->is_kill()) {
    judge.expect_errors();
  }
  const RecoveryEnd end = recrash == nullptr ? RecoveryEnd::ready
                          : recrash->point   ? RecoveryEnd::step
                          : recrash->call    ? RecoveryEnd::call
                                             : RecoveryEnd::timer;
  const Driven driven = drive_recovery(parent_, judge, end, recrash != nullptr ? recrash->timer_us : 0,
                                       options_.hang_ms, tapped);
  const FlightRecorder& recorder = parent_.recorder();
  const Outcome outcome = driven.outcome;
  if (outcome == Outcome::failed || outcome == Outcome::died) {
    check_room(options_.directory);
  }
  note_indexes();
  Death death = describe_death(recorder, kind_of(end), recrash == nullptr ? "" : crash::to_string(*recrash));
  death.outcome = outcome;
  if (recrash != nullptr && recrash->call && !recrash->call->is_kill()) {
    death.kind = "recovery-error";
    death.error = death.planned;
  }
  if (order.tap && !parent_.running()) {
    note_calls(tapped.faults, &death);
  }
  // It came through, or nothing happened to it: a survivor of an I/O error was killed when it was ready.
  if (death.errors > 0 && outcome == Outcome::missed) {
    death.outcome = Outcome::killed;
  }
  if (event != nullptr) {
    event->timings.compare += driven.compare_ns / kNsPerUs;
    event->timings.start += since_us(driven.begin_ns, recorder, Phase::starting);
    event->timings.open += phase_us(recorder, Phase::starting, Phase::engine_opened);
    event->timings.dump_before += phase_us(recorder, Phase::engine_opened, Phase::observed_before);
    event->timings.replay += phase_us(recorder, Phase::observed_before, Phase::replayed);
    event->timings.dump_after += phase_us(recorder, Phase::replayed, Phase::observed_after);
    event->timings.checks += phase_us(recorder, Phase::observed_after, Phase::ready);
    event->replay_entries += recorder.replayed;
    event->torn_bytes += judge.torn_bytes();
    event->cut_entries += judge.cut_entries();
    event->live_keys = std::max(event->live_keys, judge.live_keys());
    for (const std::string& name : judge.checked()) {
      if (std::find(event->checked.begin(), event->checked.end(), name) == event->checked.end()) {
        event->checked.push_back(name);
      }
    }
    if (recrash != nullptr || outcome != Outcome::killed) {
      death.detail = driven.detail.empty() ? judge.abnormal() : driven.detail;
      event->recrashes.push_back(std::move(death));
    }
    for (report::ViolationEvent& violation : judge.violation_events()) {
      event->violations.push_back(std::move(violation));
    }
  }
  const bool fine = judge.violations().empty() && judge.abnormal().empty() && !report::is_abnormal(outcome) &&
                    outcome != Outcome::stopped;
  if (!fine && outcome != Outcome::stopped) {
    keep_evidence(order, judge);
  }
  return fine;
}

bool Lane::recover(const crash::CyclePlan* crashed, const crash::CyclePlan* next, CycleEvent* event) {
  const crash::CyclePlan idle;
  const crash::CyclePlan& load = next != nullptr ? *next : idle;
  const std::size_t recrashes = crashed != nullptr ? crashed->recrashes.size() : 0;
  for (std::size_t i = 0; i <= recrashes; ++i) {
    wire::WorkerOrder recovery = order(load);
    recovery.term = crashed != nullptr ? recovery_term(cycle_, i) : opening_term(cycle_);
    recovery.known_synced = indexes_.synced;
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
      const auto steered = recrash->steer != 0 ? coverage_.choose(recrash->steer, true) : std::nullopt;
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
  event->crash =
      describe_death(parent_.recorder(), std::string(crash::to_string(plan.kind)), crash::crash_text(plan));
  event->crash.outcome = driven.outcome;
  event->crash.detail = driven.detail;
  event->timings.load = (driven.dying_ns - driven.begin_ns) / kNsPerUs;
  event->timings.kill = (driven.end_ns - driven.dying_ns) / kNsPerUs;
  note_indexes();
  if (plan.error) {
    event->crash.error = to_string(*plan.error);
  }
  if (ready_order_.tap) {
    note_calls(faults, &event->crash);
  }
  event->at_risk = indexes_.synced > indexes_.flushed ? indexes_.synced - indexes_.flushed : 0;
  const bool abnormal = report::is_abnormal(driven.outcome);
  if (abnormal) {
    check_room(options_.directory);
    keep_evidence(ready_order_, RecoveryJudge(*oracle_, ready_order_, indexes_));
  }
  return !abnormal && driven.outcome != Outcome::stopped;
}

bool Lane::prepare() {
  CHECK(data_.empty());
  CycleEvent ignored;
  const bool fine = create(&ignored) && recover(nullptr, nullptr, &ignored);
  ++cycle_;  // its terms are used
  return fine;
}

std::string Lane::belief_before_recovery() const {
  std::string belief;
  oracle_->save(&belief);
  return belief;
}

LaneState Lane::keep_state(const fs::path& image) const {
  CHECK(!ready_ && !data_.empty());
  LaneState state;
  state.image = image;
  copy_tree(data_, image);
  oracle_->mark();
  oracle_->save(&state.belief);
  state.indexes = indexes_;
  state.cycle = cycle_;
  return state;
}

tap::Trace Lane::take_trace() {
  CHECK(tap_ != nullptr);
  tap::Trace trace{tap_->trace().base, take_records(), {}};
  trace.last = {indexes_.appended, indexes_.synced, indexes_.applied, parent_.recorder().flushed,
                parent_.recorder().term};
  return trace;
}

void Lane::go_back(const LaneState& state, crash::CyclePlan plan) {
  abandon_directory();
  begin_directory();
  fs::remove(data_);
  copy_tree(state.image, data_);
  const Status status = oracle::Oracle::load(state.belief, generator_, &oracle_);
  CHECK(status.ok(), "a belief that was just saved: {}", status.to_string());
  indexes_ = state.indexes;
  cycle_ = state.cycle;
  options_.given = {{cycle_, std::move(plan)}};
  records_.clear();
}

Bundle Lane::bundle(const CycleEvent& event) const {
  CHECK(evidence_.has_value());
  Bundle bundle = make_bundle(options_, *engine_, evidence_->plan, evidence_->recovery, event);
  bundle.plan_checksum =
      fmt::format("{:016x}", plan_checksum(options_.key, options_.protocol, event.lane, event.cycle + 1));
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
  for (report::ViolationEvent& violation : event.violations) {
    violation.detail += fmt::format("  the load: {}\n", report::position(event.crash));
  }
  if (!fine) {
    abandon_directory();
  }
  event.cells = coverage_.take_new();
  event.timings.total = (wire::monotonic_ns() - begin) / kNsPerUs;
  return event;
}

}  // namespace chaosgate::campaign
