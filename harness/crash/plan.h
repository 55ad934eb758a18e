// CyclePlan is what the seed decided for one cycle: how the load runs, how it dies, and what recovery
// suffers.
//
// plan_cycle() is a pure function of its arguments; the plan of one cycle depends on no other cycle. Each
// choice comes from a stream of its own, so adding one moves no other. A plan prints as one line that parses
// back; two builds that print the same plans do the same, which is what a campaign's plan checksum compares.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/crash_point.h"
#include "harness/base/json.h"
#include "harness/base/rng.h"
#include "harness/base/status.h"
#include "harness/tap/fault.h"
#include "harness/wire/order.h"

namespace chaosgate::crash {

enum class CrashKind : std::uint8_t {
  timer,  // SIGKILL from the driver after a delay, wherever the worker is
  step,   // the worker dies at a protocol step
  call,   // the worker dies at a storage call
};

std::string_view to_string(CrashKind kind);

// One death, or one I/O error, during the recovery that follows a crash.
struct Recrash {
  std::optional<CrashPoint> point;        // at a step ...
  std::optional<tap::StorageFault> call;  // ... or at a storage call; neither: by timer
  std::uint32_t timer_us = 0;             // from the start of the worker
  std::uint64_t steer = 0;                // call: see CyclePlan::steer

  bool operator==(const Recrash&) const = default;
};

std::string to_string(const Recrash& recrash);

struct CyclePlan {
  std::uint64_t lane = 0;
  std::uint64_t cycle = 0;  // counted from 0 in each lane

  // The load.
  bool free_running = false;
  bool stock_tuning = false;
  bool border_sizes = false;
  wire::Schedule schedule;
  CrashKind kind = CrashKind::timer;
  std::uint32_t timer_us = 0;  // timer: from the begin of the load
  CrashPoint point;            // step
  tap::StorageFault call;      // call
  // A random number with which the campaign chooses a storage call that was seen and seldom hit, instead of
  // `call`; 0: `call` as it is.
  std::uint64_t steer = 0;
  std::optional<tap::StorageFault> error;  // an I/O error that happens before the death

  // The recovery that follows.
  std::vector<Recrash> recrashes;  // at most kRecrashesMax, one worker each
  bool cut_suffix = false;         // entries never acknowledged are discarded (a leader change)
  bool flush_after_replay = false;
  bool check_reopen = false;
  bool check_backward = false;
  bool check_integrity = false;
  bool check_space = false;

  bool operator==(const CyclePlan&) const = default;
};

inline constexpr std::size_t kRecrashesMax = 3;

// What a campaign allows its plans to draw from. With neither timer nor free_running nothing that is planned
// depends on the clock: a death in a step that lasts comes at its begin, not somewhere in it.
struct PlanOptions {
  bool timer = true;
  bool step = true;
  bool call = true;             // REQUIRES: timer, step or call
  bool io = false;              // I/O errors and full disks besides
  std::uint32_t io_one_in = 3;  // io: loads, and deaths during recovery, that suffer one
  bool recrash = true;
  bool free_running = true;  // false: every cycle has scheduled maintenance
  bool scheduled = true;     // REQUIRES: free_running or scheduled
  std::uint32_t timer_us_max = 8000;
};

CyclePlan plan_cycle(const PlanOptions& options, wire::Protocol protocol, std::uint64_t seed,
                     std::uint64_t lane, std::uint64_t cycle);

// An I/O error, or a full disk, that a load or a recovery suffers. `calls_max`: the storage call at which it
// happens, of its kind, is at most so far on.
tap::StorageFault draw_error(const Rng& stream, std::uint64_t calls_max);
// For loads.
inline constexpr std::uint64_t kErrorCallsMax = 125;
// An error that lasts comes so many times in a row. Not for good: an engine may try again until the disk is
// well (Pebble's flushes do), and would seem to hang.
inline constexpr std::uint64_t kLastingErrors = 1000;

// A group of entries that fills several pages before it is synced.
inline constexpr std::uint32_t kLongSyncGroup = 64;

// The same without what no seed fixes, and without what depends on the cycles before: step kills and
// scheduled maintenance only.
PlanOptions pinned(PlanOptions options);

// Makes a load come to this phase, often enough, when only a chore does.
void reach_phase(std::string_view phase, std::uint64_t steer, wire::Schedule* schedule);

// The steps that a load under this protocol can die at.
std::vector<Step> load_steps(wire::Protocol protocol);
// The steps of recovery that a re-crash can die at.
std::vector<Step> recovery_steps();

// "lane=0 cycle=17 crash=before-log-sync#3 ..."
std::string to_string(const CyclePlan& plan);
// invalid_argument names the part that is wrong.
Status parse_plan(std::string_view text, CyclePlan* plan);
// The text of `crash=`: "timer:812us", a step, or a storage fault.
std::string crash_text(const CyclePlan& plan);

}  // namespace chaosgate::crash
