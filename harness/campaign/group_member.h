// GroupMember is one replica of a group, as its leader sees it: it lives, is sent messages, dies at a place
// of its plan, and recovers; each recovery is judged like that of a lane.
//
// Each death with the recovery behind it is one event. Threading: as Subject.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "harness/campaign/power_case.h"
#include "harness/campaign/subject.h"
#include "harness/crash/group_plan.h"
#include "harness/wire/message.h"

namespace chaosgate::campaign {

// The leader's log, as far as terms and indexes go: content follows from them.
class LeaderLog {
 public:
  // The entries up to `last` are there on every replica from the begin, under term 1.
  explicit LeaderLog(std::uint64_t last = 0) : first_(last + 1), last_(last), runs_{{last, 1}} {}

  std::uint64_t first() const { return first_; }  // of those that can still be sent
  std::uint64_t last() const { return last_; }
  std::uint64_t term_at(std::uint64_t index) const;
  // REQUIRES: a term that is not below that of the last entry.
  void propose(std::uint64_t entries, std::uint64_t term);
  void truncate(std::uint64_t first) { first_ = std::max(first_, first); }
  // Tells an oracle who proposed the entries up to `last`.
  void teach(std::uint64_t last, oracle::Oracle* oracle) const;

 private:
  struct Run {
    std::uint64_t last;
    std::uint64_t term;
  };

  std::uint64_t first_;
  std::uint64_t last_;
  std::vector<Run> runs_;
};

class GroupMember : public Subject {
 public:
  GroupMember(const SubjectOptions& options, const LeaderLog& leader, StopSignal* stop);

  // A new, preloaded data directory. False, and evidence(), when something was found.
  bool create();
  // Ends the worker that is there, recovers from its death or that of the last, with the crashes that the
  // plan has for it, and leaves a worker that follows. `faults` will happen to it, and so will the death at a
  // step when the plan has one; null: nothing does. False, and evidence(), when something was found.
  bool live(const crash::CyclePlan* plan, const std::vector<tap::StorageFault>& faults);
  bool alive() const { return parent_.running(); }
  // Kills it where it is, if it lives.
  void kill();
  // The last death is recovered from and nothing follows: the engine is closed cleanly.
  bool close();

  // Sends a message and waits for the answer; nullopt when it died, as ordered or not: failed(). `timer_us`:
  // it is killed so long after the message.
  std::optional<wire::Message> send(const wire::Message& message,
                                    std::optional<std::uint32_t> timer_us = std::nullopt);
  // A worker died or failed without an order; evidence() says how, unless it was ended from outside.
  bool failed() const { return failed_; }
  using Subject::note_fine_cycle;

  // The leader sends entries up to `index`, or a snapshot of it: they may be there after a crash.
  void offer(std::uint64_t index) { indexes_.appended = std::max(indexes_.appended, index); }
  std::uint64_t last() const { return last_; }        // entry of its log, as it said
  std::uint64_t applied() const { return applied_; }  // as it said
  // What it showed last compared with the oracle at `index`; the states are good until it is started again.
  std::vector<oracle::Violation> check_reached(std::uint64_t index, workloads::StateObservation* state);
  // Something was found that no recovery showed. Kills the worker.
  void found(const std::vector<oracle::Violation>& violations);

  // What its workers do from here on can be cut off from power: what is there now is copied to `base`, which
  // must not exist. REQUIRES: options.keep_payloads; it is not alive.
  void begin_recording(const std::filesystem::path& base);
  // What they did, and what must hold after a power cut in it. REQUIRES: it is not alive, nothing was found.
  PowerRecording end_recording(const crash::CyclePlan& plan);
  // It goes on from another state of it, as if that was what its last worker left. REQUIRES: as before.
  void go_back(const KeptState& state);

  // The deaths that were recovered from, or in which something was found, since the last call.
  std::vector<report::CycleEvent> take_events() { return std::exchange(events_, {}); }
  const std::vector<report::CycleEvent>& events() const { return events_; }
  void begin_cycle(std::uint64_t cycle) { cycle_ = cycle; }
  // evidence() is dealt with.
  void take_failure() { failure_taken_ = true; }
  bool failure_taken() const { return failure_taken_; }
  Bundle bundle(const report::CycleEvent& event) const;
  const SubjectOptions& options() const { return subject_; }
  std::string name() const;  // "1 (lmdb)"

  std::deque<wire::Message> late;  // on their way for long

 private:
  // Recovers from what the last event's death left.
  bool recover(const crash::CyclePlan* plan, bool follow, const std::vector<tap::StorageFault>& faults);
  void ended(const Driven& driven);
  void keep_death();

  const LeaderLog& leader_;
  std::uint64_t term_ = 0;  // of its workers
  std::uint64_t cycle_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t applied_ = 0;
  bool failed_ = false;
  bool failure_taken_ = false;
  crash::CyclePlan living_;  // what was planned for the worker that is there
  wire::WorkerOrder order_;  // of it
  std::vector<tap::StorageFault> faults_;
  KeptState recorded_;                       // where the recording began
  std::optional<report::CycleEvent> death_;  // the last one, until it is recovered from
  std::vector<report::CycleEvent> events_;
};

}  // namespace chaosgate::campaign
