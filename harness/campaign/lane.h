// Lane runs cycles, one after the other, on one data directory: load, crash, recover, verify.
//
// One worker process does the recovery after one crash and then the load up to the next, so a cycle costs one
// process (and one more for each crash during recovery). The lane judges everything that workers publish with
// an oracle of its own, in this process. A cycle with a violation ends the data directory; the next begins on
// a new one.
//
// Threading: one thread for its whole life (see WorkerParent). Throws EnvironmentError when the machine
// fails.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/campaign/stop.h"
#include "harness/campaign/subject.h"
#include "harness/crash/coverage.h"
#include "harness/crash/plan.h"
#include "harness/report/event.h"
#include "oracle/oracle.h"
#include "workloads/generator.h"

namespace chaosgate::campaign {

// Terms leave room for every start that can happen before a cycle's load, so that one that is not needed
// moves no later term. In order of time: the recoveries after the crash before, at most kRecoveriesMax; a new
// directory; its, or a closed one's, opening.
inline constexpr std::uint64_t kRecoveriesMax = crash::kRecrashesMax + 1;
std::uint64_t recovery_term(std::uint64_t cycle, std::uint64_t attempt);
std::uint64_t create_term(std::uint64_t cycle);
std::uint64_t opening_term(std::uint64_t cycle);

struct LaneOptions : SubjectOptions {
  // Cycles before this one are pinned: timers become step kills and free-running maintenance a scheduled one,
  // both of the seed's choice, so that the lane comes to the same place every time.
  std::uint64_t pinned_before = 0;
  // Instead of what the seed plans for these cycles.
  std::map<std::uint64_t, crash::CyclePlan> given;
};

// Its data directory was closed cleanly.
struct LaneState : KeptState {
  std::uint64_t cycle = 0;
};

class Lane : public Subject {
 public:
  // `stop` may be null. Throws UsageError when the worker program does not have this engine.
  Lane(const LaneOptions& options, StopSignal* stop);

  // Runs the next cycle. `last`: no load follows its recovery, the engine is closed cleanly; another cycle
  // may still be run, and opens it again.
  report::CycleEvent run_cycle(bool last);

  // Makes a data directory, preloads and closes it; again, when somebody else ended it. False, and
  // evidence(), when something was found. `failed`, unless null: an event for each try that did not come
  // through. REQUIRES: no cycle was run, or the last one ended its data directory.
  bool prepare(std::vector<report::CycleEvent>* failed = nullptr);
  // What was believed when the last recovery began. REQUIRES: one was run, and keep_state() was not called
  // since.
  std::string belief_before_recovery() const;
  // Copies the data directory to `image`, which must not exist. REQUIRES: it was closed cleanly.
  LaneState keep_state(const std::filesystem::path& image) const;
  // Puts the data directory, what is believed of it, and the number of the next cycle back, forgets what the
  // tap saw, and gives that cycle a plan.
  void go_back(const LaneState& state, crash::CyclePlan plan);
  // What the tap saw since the last call.
  std::vector<tap::TraceRecord> take_records() { return std::exchange(records_, {}); }
  // The same with what was there at the begin. REQUIRES: none were taken since go_back().
  using Subject::take_trace;
  // The last cycle's failure. REQUIRES: evidence().
  Bundle bundle(const report::CycleEvent& event) const;

  std::uint64_t next_cycle() const { return cycle_; }
  // What is planned for a cycle, before steering.
  crash::CyclePlan plan(std::uint64_t cycle) const;

 private:
  // The place that was hit least of those that were seen. Not always: no load would come to further ones if
  // all died at the few that the first had come to.
  std::optional<tap::StorageFault> seldom_hit(std::uint64_t steer, bool recovery);
  // Steering: the storage calls at which the load dies or fails, and the chore that reaches them.
  crash::CyclePlan steered(crash::CyclePlan plan);
  wire::WorkerOrder order(const crash::CyclePlan& load) const;
  // Makes a new, preloaded data directory. False when something was found.
  bool create(report::CycleEvent* event);
  // Recovers after the crash of `crashed` (null: after creation), re-crashes included, and leaves a worker
  // that is ready to load `next` (null: closes cleanly). False when something was found.
  bool recover(const crash::CyclePlan* crashed, const crash::CyclePlan* next, report::CycleEvent* event);
  bool load(report::CycleEvent* event);  // what loading_ says

  LaneOptions options_;
  wire::WorkerOrder ready_order_;  // of the worker that waits to load
  std::uint64_t cycle_ = 0;
  bool ready_ = false;        // a worker waits to load ...
  crash::CyclePlan loading_;  // ... this, as it will be carried out
};

}  // namespace chaosgate::campaign
