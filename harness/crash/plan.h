// CyclePlan is what the seed decided for one cycle: how the load runs, how it dies, and what recovery
// suffers.
//
// plan_cycle() is a pure function of its arguments; the plan of one cycle depends on no other cycle. Each
// choice comes from a stream of its own, so adding one moves no other. A plan prints as one line (to_string);
// two builds that print the same plans do the same, which is what a campaign's plan checksum compares.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/crash_point.h"
#include "harness/wire/order.h"

namespace chaosgate::crash {

enum class CrashKind : std::uint8_t {
  timer,  // SIGKILL from the driver after a delay, wherever the worker is
  step,   // the worker dies at a protocol step
};

std::string_view to_string(CrashKind kind);

// One death during the recovery that follows a crash.
struct Recrash {
  std::optional<CrashPoint> point;  // nullopt: by timer
  std::uint32_t timer_us = 0;       // from the start of the worker

  bool operator==(const Recrash&) const = default;
};

std::string to_string(const Recrash& recrash);

struct CyclePlan {
  std::uint64_t lane = 0;
  std::uint64_t cycle = 0;  // counted from 0 in each lane

  // The load.
  bool free_running = false;
  bool stock_tuning = false;
  wire::Schedule schedule;
  CrashKind kind = CrashKind::timer;
  std::uint32_t timer_us = 0;  // timer: from the begin of the load
  CrashPoint point;            // step

  // The recovery that follows.
  std::vector<Recrash> recrashes;  // at most kRecrashesMax, one worker each
  bool cut_suffix = false;         // entries never acknowledged are discarded (a leader change)
  bool flush_after_replay = false;
  bool check_reopen = false;
  bool check_backward = false;
  bool check_integrity = false;

  bool operator==(const CyclePlan&) const = default;
};

inline constexpr std::size_t kRecrashesMax = 3;

// What a campaign allows its plans to draw from.
struct PlanOptions {
  bool timer = true;
  bool step = true;  // REQUIRES: timer or step
  bool recrash = true;
  bool free_running = true;  // false: every cycle has scheduled maintenance
  bool scheduled = true;     // REQUIRES: free_running or scheduled
  std::uint32_t timer_us_max = 8000;
};

CyclePlan plan_cycle(const PlanOptions& options, wire::Protocol protocol, std::uint64_t seed,
                     std::uint64_t lane, std::uint64_t cycle);

// The same without what no seed fixes: step kills and scheduled maintenance only.
PlanOptions pinned(PlanOptions options);

// The steps that a load under this protocol can die at.
std::vector<Step> load_steps(wire::Protocol protocol);
// The steps of recovery that a re-crash can die at.
std::vector<Step> recovery_steps();

std::string to_string(const CyclePlan& plan);

}  // namespace chaosgate::crash
