#include "harness/campaign/group_member.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/campaign/work_directory.h"
#include "workloads/observation.h"

namespace chaosgate::campaign {

using report::CycleEvent;
using report::Outcome;
using wire::Message;

std::uint64_t LeaderLog::term_at(std::uint64_t index) const {
  const auto at = std::lower_bound(runs_.begin(), runs_.end(), index,
                                   [](const Run& run, std::uint64_t wanted) { return run.last < wanted; });
  CHECK(at != runs_.end(), "entry {} of a leader that has {}", index, last_);
  return at->term;
}

void LeaderLog::propose(std::uint64_t entries, std::uint64_t term) {
  CHECK(term >= runs_.back().term);
  last_ += entries;
  if (term == runs_.back().term) {
    runs_.back().last = last_;
  } else {
    runs_.push_back({last_, term});
  }
}

void LeaderLog::teach(std::uint64_t last, oracle::Oracle* oracle) const {
  for (const Run& run : runs_) {
    oracle->learn(std::min(run.last, last), run.term);
  }
}

GroupMember::GroupMember(const SubjectOptions& options, const LeaderLog& leader, StopSignal* stop)
    : Subject(options, stop), leader_(leader) {}

std::string GroupMember::name() const { return fmt::format("{} ({})", subject_.lane, subject_.engine); }

bool GroupMember::create() {
  abandon_directory();
  begin_directory();
  late.clear();
  events_.clear();
  evidence_.reset();
  failed_ = failure_taken_ = false;
  death_.reset();
  term_ = 0;
  indexes_.appended = generator_.preload_entries();
  last_ = applied_ = generator_.preload_entries();
  wire::WorkerOrder create = worker_order(subject_, {}, data_);
  create.create = true;
  create.term = ++term_;
  CycleEvent event = make_event(subject_, cycle_);
  failed_ = !attempt(create, nullptr, &event);
  if (failed_) {
    events_.push_back(std::move(event));
  }
  return !failed_;
}

void GroupMember::keep_death() {
  if (death_) {
    events_.push_back(std::move(*death_));
    death_.reset();
  }
}

void GroupMember::ended(const Driven& driven) {
  CycleEvent event = make_event(subject_, cycle_);
  event.plan = crash::to_string(living_);
  event.maintenance = living_.free_running ? "free-running" : "scheduled";
  const bool fine = note_load(driven, std::string(crash::to_string(living_.kind)), crash::crash_text(living_),
                              order_.tap, faults_, &event);
  if (report::is_abnormal(event.crash.outcome)) {
    keep_evidence(order_, {});
  }
  failed_ = failed_ || !fine;
  death_ = std::move(event);
  if (failed_) {
    keep_death();
  }
}

void GroupMember::kill() {
  if (alive()) {
    living_.kind = crash::CrashKind::timer;  // whatever was planned was not reached
    living_.timer_us = 0;
    ended(drive_kill(parent_));
  }
}

bool GroupMember::recover(const crash::CyclePlan* plan, bool follow,
                          const std::vector<tap::StorageFault>& faults) {
  const crash::CyclePlan idle;
  const crash::CyclePlan& life = plan != nullptr ? *plan : idle;
  const std::size_t recrashes = plan != nullptr && death_ ? plan->recrashes.size() : 0;
  CycleEvent opening = make_event(subject_, cycle_);  // of a new directory: nothing died before
  CycleEvent* const event = death_ ? &*death_ : &opening;
  last_plan_ = living_ = life;
  for (std::size_t i = 0; i <= recrashes; ++i) {
    wire::WorkerOrder order = worker_order(subject_, life, data_);
    order.term = ++term_;
    order.known_synced = indexes_.synced;
    order.check_backward = life.check_backward;
    order.check_integrity = life.check_integrity;
    order.check_reopen = life.check_reopen;
    order.flush_after_replay = life.flush_after_replay;
    const crash::Recrash* const recrash = i < recrashes ? &plan->recrashes[i] : nullptr;
    order.load = order.follow = follow || recrash != nullptr;
    if (recrash != nullptr && recrash->point) {
      order.recovery_crash = to_string(*recrash->point);
    }
    if (recrash == nullptr && life.kind == crash::CrashKind::step && plan != nullptr) {
      order.load_crash = to_string(life.point);
    }
    order.tap = subject_.watch || (recrash != nullptr ? recrash->call.has_value() : !faults.empty());
    leader_.teach(std::min(indexes_.appended, leader_.last()), oracle_.get());
    if (!attempt(order, recrash, event)) {
      failed_ = true;
      if (!death_) {
        death_ = std::move(opening);
      }
      keep_death();
      return false;
    }
    order_ = order;
  }
  faults_ = faults;
  indexes_.after_error = false;
  last_ = applied_ = oracle_->last_index();
  oracle_->forget(indexes_.flushed);
  event->recovered = true;
  event->last_index = last_;
  keep_death();
  return true;
}

bool GroupMember::live(const crash::CyclePlan* plan, const std::vector<tap::StorageFault>& faults) {
  kill();
  if (failed_ || !recover(plan, true, faults)) {
    return false;
  }
  parent_.go(faults);
  return true;
}

bool GroupMember::close() {
  kill();
  return !failed_ && recover(nullptr, false, {});
}

void GroupMember::begin_recording(const std::filesystem::path& base) {
  recorded_ = copy_state(base);
  tap_.reset();  // the next worker's begins with what is there
  records_.clear();
}

PowerRecording GroupMember::end_recording(const crash::CyclePlan& plan) {
  PowerRecording recording;
  recording.trace = modelled(take_trace());
  recording.base = recorded_.image;
  recording.indexes = recorded_.indexes;
  const std::unique_ptr<oracle::Oracle> belief = belief_of(recorded_);
  leader_.teach(leader_.last(), belief.get());
  belief->mark();
  belief->save(&recording.belief);
  recording.term = ++term_;
  recording.plan = plan;
  recording.number = cycle_;
  return recording;
}

void GroupMember::go_back(const KeptState& state) {
  death_.reset();
  put_back(state);
}

std::optional<Message> GroupMember::send(const Message& message, std::optional<std::uint32_t> timer_us) {
  CHECK(alive());
  try {
    parent_.network().send(wire::encode(message));
  } catch (const EnvironmentError&) {
    // It died before: the wait says how.
  }
  const Driven driven = drive_answer(parent_, timer_us, subject_.hang_ms);
  if (!driven.ready) {
    ended(driven);
    return std::nullopt;
  }
  const auto received = parent_.network().receive(0);
  Message answer;
  const Status status =
      received ? wire::decode(received->text, &answer) : Status::corruption("a replica hung up");
  if (!status.ok()) {
    throw EnvironmentError(fmt::format("replica {}: {}", name(), status.message()));
  }
  if (message.kind != wire::MessageKind::make_snapshot) {
    last_ = answer.index;
  }
  applied_ = answer.commit;
  return answer;
}

std::vector<oracle::Violation> GroupMember::check_reached(std::uint64_t index,
                                                          workloads::StateObservation* state) {
  workloads::Observations seen;
  const Status status = workloads::parse(parent_.observations(), &seen);
  if (!status.ok() || !seen.reached) {
    return {{oracle::Invariant::replica_equal, "the state cannot be read: " + status.message(), {}, 0}};
  }
  *state = *seen.reached;
  leader_.teach(index, oracle_.get());
  return oracle_->check_reached(*state, index);
}

void GroupMember::found(const std::vector<oracle::Violation>& violations) {
  kill();
  for (const oracle::Violation& violation : violations) {
    check_room(subject_.directory, violation.explanation);  // no I/O errors are ordered for a group
  }
  if (!death_) {
    death_ = make_event(subject_, cycle_);
  }
  CycleEvent& event = *death_;
  for (const oracle::Violation& violation : violations) {
    event.violations.push_back({std::string(oracle::to_string(violation.invariant)), violation.explanation,
                                oracle::describe(violation) + "\n", "", ""});
  }
  if (mirror_) {
    mirror_->sync();  // as it is: what was wrong before the kill is in it, or in what was not flushed
  }
  marked_indexes_ = indexes_;
  leader_.teach(std::min(indexes_.appended, leader_.last()), oracle_.get());
  oracle_->mark();
  oracle_->begin_term(++term_);
  wire::WorkerOrder order = worker_order(subject_, living_, data_);
  order.term = term_;
  order.known_synced = indexes_.synced;
  keep_evidence(order, violations);
  keep_death();
  failed_ = true;
}

Bundle GroupMember::bundle(const CycleEvent& event) const {
  CHECK(evidence_.has_value());
  return make_bundle(subject_, *engine_, evidence_->plan, evidence_->recovery, event);
}

}  // namespace chaosgate::campaign
