// drive_recovery() and drive_load() take a worker through one phase of its life and say how it ended.
//
// Shared by the lane and by the replay of a bundle. Every wait has a bound, in the time that the driver was
// awake. A death counts as the ordered one only when the wait status is SIGKILL and either we sent it or the
// flight recorder says that the crash trigger or the tap fired. A SIGKILL that nobody here ordered, and a
// worker that is found stopped, come from outside: nothing follows from them. After an ordered I/O error a
// worker may end by itself; then it was refused, not killed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/campaign/recovery.h"
#include "harness/campaign/worker_parent.h"
#include "harness/report/event.h"

namespace chaosgate::campaign {

inline constexpr std::uint64_t kNsPerUs = 1000;
inline constexpr std::uint64_t kNsPerMs = 1'000'000;

struct Driven {
  report::Outcome outcome = report::Outcome::failed;
  std::string detail;          // why, for anything but an ordered end
  bool ready = false;          // the worker lives and waits for the word to load
  std::uint64_t begin_ns = 0;  // CLOCK_MONOTONIC
  std::uint64_t dying_ns = 0;  // when its end was ordered or noticed
  std::uint64_t end_ns = 0;    // when it was reaped
  std::uint64_t compare_ns = 0;
};

// How a recovery is to end.
enum class RecoveryEnd : std::uint8_t {
  ready,  // the worker waits to load (or closes cleanly, when its order has no load)
  step,   // it dies at its order's recovery crash point
  timer,  // it is killed after `timer_us`
  call,   // it dies at a storage call, or an I/O error happens to it
};

// The worker's storage calls go through `tap` and `faults` happen to it; all empty for one that is not
// tapped.
struct Tapped {
  tap::Tap* tap = nullptr;
  std::vector<tap::StorageFault> faults;
};

// Starts a worker with the judge's order and judges all it publishes. `hang_ms` bounds the whole recovery.
// Throws UntappableError when the tap had to end the worker because it cannot see what that does, and
// EnvironmentError when the worker itself cannot do what it is told.
Driven drive_recovery(WorkerParent& parent, RecoveryJudge& judge, RecoveryEnd end, std::uint32_t timer_us,
                      std::uint32_t hang_ms, const Tapped& tapped = {});

// Lets a ready worker load until it dies: at its order's crash point, at a storage call among `faults`, or by
// our SIGKILL after `timer_us`. It hangs when it takes no step for `hang_ms`. Throws like drive_recovery().
Driven drive_load(WorkerParent& parent, std::optional<std::uint32_t> timer_us, std::uint32_t hang_ms,
                  const std::vector<tap::StorageFault>& faults = {});

// Waits until a worker that follows has answered: it is `ready` then, and goes on. Otherwise it has died,
// like one that loads; with `timer_us`, by our SIGKILL so long from now if it has not answered before.
Driven drive_answer(WorkerParent& parent, std::optional<std::uint32_t> timer_us, std::uint32_t hang_ms);

// Kills a worker that waits for something to do.
Driven drive_kill(WorkerParent& parent);

}  // namespace chaosgate::campaign
