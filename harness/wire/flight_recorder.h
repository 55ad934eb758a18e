// FlightRecorder is the shared memory in which a worker publishes where it is, and which survives its death.
//
// It lives in a memfd that driver and worker map, outside everything under test. The worker stores, the
// driver loads; every field is one lock-free atomic, stored before (intent) or after (fact) the act as its
// comment says. Publishing costs no system call. The driver resets it between two workers, never while one
// runs. An engine with a wild pointer may write into it: the driver takes no field for what it should be.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/step.h"
#include "harness/wire/migration.h"

namespace chaosgate::wire {

enum class Phase : std::uint32_t {
  starting = 0,     // forked, nothing opened
  log_opened,       // the log is open; its observation is published
  engine_opened,    // the engine is open
  observed_before,  // the state before replay is published
  replayed,         // every log entry is applied
  observed_after,   // the state after replay is published
  reopened,         // closed, opened and replayed again, and published (only when ordered)
  ready,            // waits for the word to load
  loading,          // the load runs
  load_done,        // the load reached its bound without dying; waits to be killed
  closed,           // clean close, about to exit with status 0
  failed,           // an error ended it; see failure and message; exits with kWorkerFailed
};
inline constexpr std::size_t kPhaseCount = static_cast<std::size_t>(Phase::failed) + 1;

std::string_view to_string(Phase phase);  // "unknown" for a number that is none

// What a worker was doing when an error ended it.
enum class Failure : std::uint32_t {
  none = 0,
  create,       // making a new log or engine
  open_log,     // opening the log
  open_engine,  // opening the engine, or reading its applied index
  replay,       // reading the log or writing to the engine while replaying
  observe,      // reading the state
  load,         // an operation of the load returned an error
  harness,      // the worker's own environment broke
};

std::string_view to_string(Failure failure);  // "unknown" for a number that is none

inline constexpr int kWorkerFailed = 3;  // exit status of a worker that published Phase::failed

// Of the observation buffer. Sparse: only touched pages cost memory.
inline constexpr std::size_t kObservationCapacity = std::size_t{4} << 30;

struct FlightRecorder {
  using Counter = std::atomic<std::uint64_t>;

  std::atomic<Phase> phase;
  std::atomic<Failure> failure;
  std::atomic<std::uint32_t> step;           // the Step reached last, as a number; fact
  std::atomic<std::uint32_t> crash_ordered;  // 1 once the crash trigger is about to kill the worker; intent
  Counter term;
  Counter appended;    // last index handed to the log; intent
  Counter synced;      // last index the log acknowledged; fact
  Counter applied;     // last index in the engine, its write having returned ok; fact
  Counter applying;    // last index of the engine write under way or done; intent
  Counter flushed;     // last index covered by a flush that returned ok; fact
  Counter persisted;   // last index in the sidecar file; fact
  Counter witness;     // as read at open; fact
  Counter durable;     // durable index as read at open; fact
  Counter truncated;   // the log prefix was dropped up to here; intent
  Counter entries;     // proposed by this worker
  Counter operations;  // in entries acknowledged by this worker
  Counter replayed;    // entries applied by replay
  // Of a migration's worker; `applied` and `flushed` are then the keys written and those durable.
  std::atomic<MigrationStage> stage;
  Counter stage_keys;                            // keys read or written in this stage; fact
  Counter stage_keys_all;                        // of so many; 0: unknown
  Counter observation_bytes;                     // published length of the observation buffer; fact
  std::array<Counter, kStepCount> step_count;    // how often each step was reached
  std::array<Counter, kPhaseCount> phase_at_ns;  // CLOCK_MONOTONIC when each phase began; 0 = never
  // NUL-terminated text: why it failed, or what was measured; written before `phase` becomes failed or
  // closed.
  std::array<char, 1024> message;

  void reset();
  // Sets the message, cut to its room.
  void say(std::string_view text);
  // The message, up to its NUL or the end of its room.
  std::string said() const;
  // How much of the observation buffer was published; never more than there is.
  std::uint64_t published() const;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

// What the worker is doing, for crash points that are told apart by it: "open-engine", "replay", "log-sync",
// "flush", ... Storage calls of an engine's own threads count for what the worker is doing meanwhile.
std::string_view protocol_phase(const FlightRecorder& recorder);
// All names that protocol_phase() gives.
const std::vector<std::string_view>& protocol_phases();

// Nanoseconds of CLOCK_MONOTONIC.
std::uint64_t monotonic_ns();

// The descriptors that the driver binds in a worker parent, by number.
inline constexpr int kControlFd = 3;      // SOCK_SEQPACKET to the driver
inline constexpr int kRecorderFd = 4;     // memfd of a FlightRecorder
inline constexpr int kObservationFd = 5;  // memfd of kObservationCapacity bytes
inline constexpr int kNoticeFd = 6;       // eventfd, worker -> driver: look at the flight recorder
inline constexpr int kGoFd = 7;           // eventfd, driver -> worker: load
inline constexpr int kTapFd = 8;          // SOCK_SEQPACKET, worker -> driver: the listener of its filter

}  // namespace chaosgate::wire
