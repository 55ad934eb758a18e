#include "harness/campaign/subject.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/tap_setup.h"
#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::CycleEvent;
using report::Death;
using report::Outcome;
using wire::FlightRecorder;
using wire::Phase;

namespace {

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

Subject::Subject(const SubjectOptions& options, StopSignal* stop)
    : subject_(options),
      generator_(options.key.workload, options.key.seed),
      parent_(options.worker, plugins_of(options.plugin), make_directory(options.directory) / "worker.output",
              stop) {
  if (!parent_.hello().error.empty()) {
    throw UsageError(parent_.hello().error);
  }
  engine_ = &require_engine(parent_.hello(), subject_.engine);
}

Subject::~Subject() {
  std::error_code ignored;
  fs::remove_all(subject_.directory, ignored);
}

void Subject::begin_directory() {
  data_ = make_directory(subject_.directory / fmt::format("data-{}", generation_++));
  tap_.reset();
  oracle_ = std::make_unique<oracle::Oracle>(generator_);
  indexes_ = {};
  on_disk_ = 0;
  new_store_.reset();
  mirror_ =
      subject_.keep_images ? std::make_unique<ImageMirror>(data_, subject_.directory / "image") : nullptr;
}

void Subject::note_indexes() {
  const FlightRecorder& recorder = parent_.recorder();
  indexes_.appended = std::max(indexes_.appended, recorder.appended.load());
  indexes_.synced = std::max(indexes_.synced, recorder.synced.load());
  indexes_.applied = std::max(indexes_.applied, recorder.applied.load());
  indexes_.flushed = std::max(indexes_.flushed, recorder.flushed.load());
  if (engine_->commit_survives_kill) {
    // What this worker published: after lost pages the engine may hold less than one before it had applied.
    indexes_.flushed = std::max(indexes_.flushed, recorder.applied.load());
  }
  on_disk_ = std::max(on_disk_, kept_by_power_cut(*engine_, recorder.applied, recorder.flushed));
}

void Subject::keep_evidence(const wire::WorkerOrder& order,
                            const std::vector<oracle::Violation>& violations) {
  Evidence evidence;
  evidence.recovery.order = order;
  evidence.recovery.crash = marked_indexes_;
  evidence.recovery.violations = violations;
  evidence.plan = last_plan_;
  oracle_->save(&evidence.recovery.belief);
  evidence.image = mirror_ ? mirror_->path() : fs::path();
  evidence.output = subject_.directory / "worker.output";
  evidence_ = std::move(evidence);
}

void Subject::abandon_directory() {
  if (parent_.running()) {
    parent_.kill();
    parent_.reap();
  }
  std::error_code ignored;
  fs::remove_all(data_, ignored);
  data_.clear();
}

KeptState Subject::copy_state(const fs::path& image) const {
  CHECK(!parent_.running() && !data_.empty());
  KeptState state;
  state.image = image;
  copy_tree(data_, image);
  oracle_->mark();
  oracle_->save(&state.belief);
  state.indexes = indexes_;
  return state;
}

void Subject::put_back(const KeptState& state) {
  abandon_directory();
  begin_directory();
  fs::remove(data_);
  copy_tree(state.image, data_);
  oracle_ = belief_of(state);
  indexes_ = state.indexes;
  records_.clear();
}

std::unique_ptr<oracle::Oracle> Subject::belief_of(const KeptState& state) const {
  std::unique_ptr<oracle::Oracle> belief;
  const Status status = oracle::Oracle::load(state.belief, generator_, &belief);
  CHECK(status.ok(), "a belief that was just saved: {}", status.to_string());
  return belief;
}

tap::Trace Subject::take_trace() {
  CHECK(tap_ != nullptr);
  tap::Trace trace{tap_->trace().base, std::exchange(records_, {}), {}};
  trace.last = {indexes_.appended, indexes_.synced, indexes_.applied, parent_.recorder().flushed,
                parent_.recorder().term};
  return trace;
}

void Subject::note_calls(const std::vector<tap::StorageFault>& faults, Death* death) {
  const tap::TapEnd& end = parent_.tap_end();
  std::vector<tap::TraceRecord> records = tap_->take_records();
  coverage_.saw(records);
  indexes_.after_error = indexes_.after_error || !end.faulted.empty();
  death->errors = end.faulted.size();
  const bool lost_pages =
      death->errors > 0 && std::any_of(faults.begin(), faults.end(), [](const tap::StorageFault& fault) {
        return fault.action == tap::FaultAction::lost_sync;
      });
  if (lost_pages) {
    // No engine can keep what it never promised to have synced.
    indexes_.flushed = std::min(indexes_.flushed, on_disk_);
  }
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
  if (subject_.keep_records) {
    std::move(records.begin(), records.end(), std::back_inserter(records_));
  }
}

bool Subject::attempt(const wire::WorkerOrder& order, const crash::Recrash* recrash, CycleEvent* event) {
  Tapped tapped;
  if (order.tap) {
    // Anew for each worker, unless all are tapped: others have changed names since the last.
    if (tap_ == nullptr || !subject_.watch) {
      tap::TapOptions tap = tap_options(*engine_, data_);
      tap.keep_payloads = subject_.keep_payloads;
      tap.sync_disk = !subject_.keep_payloads;
      tap.hand_over_only = subject_.hand_over_only;
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
                                       subject_.hang_ms, tapped);
  const FlightRecorder& recorder = parent_.recorder();
  const Outcome outcome = blamed(driven.outcome);
  if (outcome == Outcome::failed || outcome == Outcome::died) {
    check_room(subject_.directory, parent_.tap_end().faulted.empty() ? driven.detail : "");
  }
  note_indexes();
  if (!new_store_) {
    new_store_ = judge.space();
  }
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
      report::add_once(&event->checked, name);
    }
    if (recrash != nullptr || outcome != Outcome::killed) {
      death.detail = driven.detail.empty() ? judge.abnormal() : driven.detail;
      event->recrashes.push_back(std::move(death));
    }
    for (report::ViolationEvent& violation : judge.violation_events()) {
      event->violations.push_back(std::move(violation));
    }
  }
  const bool found = !judge.violations().empty() || !judge.abnormal().empty() || report::is_abnormal(outcome);
  if (found && outcome != Outcome::stopped && parent_.tap_end().faulted.empty()) {
    for (const oracle::Violation& violation : judge.violations()) {
      check_room(subject_.directory, violation.explanation);
    }
  }
  const bool fine = !found && outcome != Outcome::stopped && outcome != Outcome::outside;
  if (found && outcome != Outcome::stopped) {
    keep_evidence(order, judge.violations());
  }
  return fine;
}

bool Subject::note_load(const Driven& driven, std::string kind, std::string planned, bool tapped,
                        const std::vector<tap::StorageFault>& faults, CycleEvent* event) {
  event->crash = describe_death(parent_.recorder(), std::move(kind), std::move(planned));
  const Outcome outcome = blamed(driven.outcome);
  event->crash.outcome = outcome;
  event->crash.detail = driven.detail;
  event->timings.load += (driven.dying_ns - driven.begin_ns) / kNsPerUs;
  event->timings.kill += (driven.end_ns - driven.dying_ns) / kNsPerUs;
  note_indexes();
  if (tapped) {
    note_calls(faults, &event->crash);
  }
  event->at_risk = indexes_.synced > indexes_.flushed ? indexes_.synced - indexes_.flushed : 0;
  const bool abnormal = report::is_abnormal(outcome);
  if (abnormal) {
    check_room(subject_.directory, parent_.tap_end().faulted.empty() ? driven.detail : "");
  }
  return !abnormal && outcome != Outcome::stopped && outcome != Outcome::outside;
}

Outcome Subject::blamed(Outcome outcome) {
  constexpr std::uint32_t kOutsideMax = 3;
  return outcome == Outcome::outside && ++outside_in_a_row_ >= kOutsideMax ? Outcome::died : outcome;
}

}  // namespace chaosgate::campaign
