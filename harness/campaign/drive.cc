#include "harness/campaign/drive.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"

namespace chaosgate::campaign {

using report::Outcome;
using wire::FlightRecorder;
using wire::Phase;

namespace {

std::uint64_t steps_taken(const FlightRecorder& recorder) {
  std::uint64_t sum = 0;
  for (const auto& count : recorder.step_count) {
    sum += count;
  }
  return sum;
}

// The bound of a worker that does not move is used up: it hangs, unless somebody has stopped it.
void note_overdue(const WorkerParent& parent, Driven* driven) {
  driven->outcome = parent.is_stopped() ? Outcome::outside : Outcome::hung;
  driven->detail =
      driven->outcome == Outcome::outside
          ? "stopped by a signal (SIGSTOP, or a debugger) that chaosgate did not send, until the "
            "bound was over"
          : "no progress within the bound";
}

// Collects a worker that is dead or dying, and names its end. `driven.outcome` is what the driver did to it
// (killed, missed, hung, stopped, outside), or failed when the worker ended by itself.
void collect(WorkerParent& parent, bool clean_end_is_fine, Driven& driven) {
  const FlightRecorder& recorder = parent.recorder();
  const Exit exit = parent.reap();
  driven.end_ns = wire::monotonic_ns();
  if (!parent.tap_end().refusal.empty()) {
    throw UntappableError("the engine's storage calls cannot be seen: " + parent.tap_end().refusal);
  }
  if (recorder.phase == Phase::failed && recorder.failure == wire::Failure::harness &&
      parent.tap_end().faulted.empty()) {
    throw EnvironmentError(fmt::format("a worker cannot do its work: {}", recorder.said()));
  }
  if (driven.outcome == Outcome::killed && !exit.by_sigkill()) {
    driven.outcome = Outcome::failed;  // it was faster than our signal
  }
  if (driven.outcome != Outcome::failed) {
    return;
  }
  if (exit.by_sigkill() && recorder.crash_ordered == 1) {
    driven.outcome = Outcome::killed;
  } else if (exit.clean() && recorder.phase == Phase::closed && clean_end_is_fine) {
    driven.outcome = Outcome::killed;
  } else if (recorder.phase == Phase::failed) {
    driven.detail = recorder.said();
  } else {
    driven.outcome = exit.by_sigkill() ? Outcome::outside : Outcome::died;
    driven.detail = exit.describe();
  }
  const bool by_itself = driven.outcome != Outcome::killed && driven.outcome != Outcome::outside;
  if (by_itself && !parent.tap_end().faulted.empty()) {
    driven.outcome = Outcome::refused;
  }
}

}  // namespace

Driven drive_recovery(WorkerParent& parent, RecoveryJudge& judge, RecoveryEnd end, std::uint32_t timer_us,
                      std::uint32_t hang_ms, const Tapped& tapped) {
  Driven driven;
  driven.begin_ns = wire::monotonic_ns();
  parent.start(judge.order(), tapped.tap, tapped.faults);
  const FlightRecorder& recorder = parent.recorder();
  const std::uint64_t kill_at =
      end == RecoveryEnd::timer ? driven.begin_ns + timer_us * kNsPerUs : UINT64_MAX;
  wire::AwakeBound bound(hang_ms, driven.begin_ns);
  const auto look = [&] {
    const std::uint64_t begin = wire::monotonic_ns();
    judge.judge(parent.observations());
    driven.compare_ns += wire::monotonic_ns() - begin;
  };
  for (bool ended = false; !ended;) {
    switch (parent.wait(&bound, kill_at)) {
      case WorkerParent::Event::death:
        ended = true;
        break;
      case WorkerParent::Event::notice: {
        // Before looking: what was published before this phase is then judged, and a later phase sends a
        // later notice.
        const Phase phase = recorder.phase.load(std::memory_order_acquire);
        look();
        if (phase == Phase::ready && end == RecoveryEnd::ready) {
          CHECK(judge.complete(), "a recovery is ready but was not judged in full");
          driven.outcome = Outcome::killed;  // not yet
          driven.ready = true;
          driven.dying_ns = driven.end_ns = wire::monotonic_ns();
          return driven;
        }
        if (phase == Phase::ready && (end == RecoveryEnd::step || end == RecoveryEnd::call)) {
          driven.outcome = Outcome::missed;  // recovery is complete and the place was not reached
          ended = true;
        }
        break;
      }
      case WorkerParent::Event::due:
        driven.outcome = Outcome::killed;
        ended = true;
        break;
      case WorkerParent::Event::overdue:
        note_overdue(parent, &driven);
        ended = true;
        break;
      case WorkerParent::Event::stop:
        driven.outcome = Outcome::stopped;
        ended = true;
        break;
    }
  }
  driven.dying_ns = wire::monotonic_ns();
  if (driven.outcome != Outcome::failed) {
    parent.kill();
  }
  collect(parent, end == RecoveryEnd::ready, driven);
  look();
  if (driven.outcome == Outcome::failed) {
    judge.judge_failure(recorder);
  } else if (driven.outcome == Outcome::killed && recorder.phase == Phase::closed && !judge.order().create) {
    CHECK(judge.complete(), "a recovery has ended but was not judged in full");
  }
  return driven;
}

Driven drive_load(WorkerParent& parent, std::optional<std::uint32_t> timer_us, std::uint32_t hang_ms,
                  const std::vector<tap::StorageFault>& faults) {
  Driven driven;
  const FlightRecorder& recorder = parent.recorder();
  driven.begin_ns = wire::monotonic_ns();
  const std::uint64_t kill_at = timer_us ? driven.begin_ns + *timer_us * kNsPerUs : UINT64_MAX;
  wire::AwakeBound bound(hang_ms, driven.begin_ns);
  std::uint64_t steps = steps_taken(recorder);
  parent.go(faults);
  for (bool ended = false; !ended;) {
    switch (parent.wait(&bound, kill_at)) {
      case WorkerParent::Event::death:
        ended = true;
        break;
      case WorkerParent::Event::notice:
        // The load's bound ends a load that was to die at a step; a timer is not cut short by it. An error
        // ends the worker by itself.
        if (recorder.phase == Phase::load_done && !timer_us) {
          driven.outcome = Outcome::missed;
          ended = true;
        }
        break;
      case WorkerParent::Event::due:
        driven.outcome = Outcome::killed;
        ended = true;
        break;
      case WorkerParent::Event::overdue: {
        const std::uint64_t taken = steps_taken(recorder);
        if (taken > steps) {  // a long load is none that hangs
          steps = taken;
          bound.restart();
          break;
        }
        note_overdue(parent, &driven);
        ended = true;
        break;
      }
      case WorkerParent::Event::stop:
        driven.outcome = Outcome::stopped;
        ended = true;
        break;
    }
  }
  driven.dying_ns = wire::monotonic_ns();
  if (driven.outcome != Outcome::failed) {
    parent.kill();
  }
  collect(parent, false, driven);
  return driven;
}

Driven drive_answer(WorkerParent& parent, std::optional<std::uint32_t> timer_us, std::uint32_t hang_ms) {
  Driven driven;
  driven.begin_ns = wire::monotonic_ns();
  const std::uint64_t kill_at = timer_us ? driven.begin_ns + *timer_us * kNsPerUs : UINT64_MAX;
  wire::AwakeBound bound(hang_ms, driven.begin_ns);
  for (bool ended = false; !ended;) {
    switch (parent.wait(&bound, kill_at)) {
      case WorkerParent::Event::death:
        ended = true;
        break;
      case WorkerParent::Event::notice:
        // Not by the phase: the notice may be that of the recovery, which was seen to be complete before it
        // came. A notice without an answer is that, or one of an error, which ends the worker.
        if (parent.network().has_message()) {
          driven.outcome = Outcome::killed;  // not yet
          driven.ready = true;
          driven.dying_ns = driven.end_ns = wire::monotonic_ns();
          return driven;
        }
        break;
      case WorkerParent::Event::due:
        driven.outcome = Outcome::killed;
        ended = true;
        break;
      case WorkerParent::Event::overdue:
        note_overdue(parent, &driven);
        ended = true;
        break;
      case WorkerParent::Event::stop:
        driven.outcome = Outcome::stopped;
        ended = true;
        break;
    }
  }
  driven.dying_ns = wire::monotonic_ns();
  if (driven.outcome != Outcome::failed) {
    parent.kill();
  }
  collect(parent, false, driven);
  return driven;
}

Driven drive_kill(WorkerParent& parent) {
  Driven driven;
  driven.outcome = Outcome::killed;
  driven.begin_ns = driven.dying_ns = wire::monotonic_ns();
  parent.kill();
  collect(parent, false, driven);
  return driven;
}

}  // namespace chaosgate::campaign
