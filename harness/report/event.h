// CycleEvent is what one cycle did and what was found: one line of events.jsonl, and the input of every
// report.
//
// Plain data. `to_json` and `from_json` are each other's inverse; unknown keys are ignored, so that a newer
// file can be read. A missing key, a value of the wrong type or an outcome without a name throws: nothing is
// guessed, least of all a kill. Texts may hold any bytes; those that are not UTF-8 are written as \xNN. Times
// are microseconds, indexes are log indexes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"

namespace chaosgate::report {

// How a cycle's load ended.
enum class Outcome : std::uint8_t {
  killed,   // by the kill that was ordered, confirmed by the wait status
  missed,   // the planned crash point was never reached; killed at the load's bound, and not counted
  died,     // by something else: another signal, an exit of its own
  hung,     // no progress within its bound; killed, and not counted
  failed,   // the worker reported an error that ended it
  refused,  // it ended by itself after an ordered I/O error, as it may
  stopped,  // the campaign was stopped by a signal
  outside,  // by somebody else: a SIGKILL that nobody here sent, or stopped (SIGSTOP) past its bound
};
NLOHMANN_JSON_SERIALIZE_ENUM(Outcome, {{Outcome::killed, "killed"},
                                       {Outcome::missed, "missed"},
                                       {Outcome::died, "died"},
                                       {Outcome::hung, "hung"},
                                       {Outcome::failed, "failed"},
                                       {Outcome::refused, "refused"},
                                       {Outcome::stopped, "stopped"},
                                       {Outcome::outside, "outside"}})

// Neither ordered nor allowed, and the worker's own doing: it died, hung or failed.
bool is_abnormal(Outcome outcome);

// One death, ordered or not, and where the flight recorder says the worker was.
struct Death {
  std::string kind;          // "timer", "step", "call", and for recoveries "recovery-timer", ...
  std::string planned;       // "timer:812us", "before-log-sync#3", "kill-after@sst.datasync/flush#2"
  std::string cell;          // of a kill at a storage call: "after sst.datasync/flush"
  std::string error;         // the I/O error that was ordered, or empty
  std::uint64_t errors = 0;  // how many calls it happened to
  Outcome outcome = Outcome::killed;
  std::string detail;            // for died, hung and failed: the wait status or the worker's message
  std::string phase;             // "loading", "replayed", ...
  std::string step;              // the step reached last
  std::uint64_t occurrence = 0;  // of that step
  std::uint64_t term = 0;
  std::uint64_t appended = 0, synced = 0, applied = 0, flushed = 0, durable = 0, witness = 0;
  std::uint64_t entries = 0;     // proposed by this worker
  std::uint64_t operations = 0;  // in entries acknowledged by this worker

  bool operator==(const Death&) const = default;
};

// Whether it is a kill that was ordered and landed. A death that the cycle never came to has no kind.
bool is_kill(const Death& death);

// One line for people and for comparing repetitions: "killed at before-log-sync#3 in phase loading: term 14
// ...".
std::string position(const Death& death);

struct CycleEvent;
// The I/O errors that were injected into the cycle's load and recoveries and happened, as text; "" when none
// did.
std::string injected_errors(const CycleEvent& event);

struct ViolationEvent {
  std::string invariant;     // "state.prefix"
  std::string explanation;   // one sentence
  std::string detail;        // several lines: first differing keys, indexes, where it died
  std::string bundle;        // path of the bundle relative to the result directory, or empty
  std::string command;       // one complete command that reproduces it
  std::string seed_command;  // one that gets there from the seed, or empty

  bool operator==(const ViolationEvent&) const = default;
};

// Microseconds spent in each phase of the cycle, 0 when it has none.
struct Timings {
  std::uint64_t start = 0;  // order to first instruction of the worker
  std::uint64_t open = 0;   // log and engine
  std::uint64_t dump_before = 0;
  std::uint64_t replay = 0;
  std::uint64_t dump_after = 0;
  std::uint64_t checks = 0;   // reads, probe and, when ordered, reopen, backward scan, integrity
  std::uint64_t compare = 0;  // in the driver, before and after
  std::uint64_t load = 0;
  std::uint64_t kill = 0;    // order to die until reaped
  std::uint64_t mirror = 0;  // keeping the disk image from before recovery
  std::uint64_t total = 0;

  bool operator==(const Timings&) const = default;
};

struct CycleEvent {
  std::string engine;
  std::string protocol;
  std::string workload;
  std::string fault;  // planted fault, or empty
  std::uint64_t lane = 0;
  std::uint64_t cycle = 0;
  std::string plan;                // the expanded plan, one line
  std::string maintenance;         // "scheduled", "free-running"
  std::vector<std::string> cells;  // places at storage calls that this lane saw for the first time
  Death crash;                     // of the load
  std::vector<Death> recrashes;
  // The recovery that followed.
  bool recovered = false;         // false when the campaign ended before it
  std::uint64_t last_index = 0;   // of the recovered log
  std::uint64_t torn_bytes = 0;   // dropped behind its last record
  std::uint64_t cut_entries = 0;  // unacknowledged entries discarded by a leader change
  std::uint64_t at_risk = 0;      // entries acknowledged but not durable in the engine when the kill landed
  std::uint64_t replay_entries = 0;
  std::uint64_t live_keys = 0;       // compared in full before and after replay
  std::vector<std::string> checked;  // names of the invariants checked
  std::vector<ViolationEvent> violations;
  std::string command;  // shows again what was found, also a death that nobody ordered; else empty
  Timings timings;

  std::uint64_t kills() const;  // that landed, of the load and of recoveries
  // A worker was ended from outside, so that nothing is known of what would have come.
  bool ended_from_outside() const;
  std::vector<Death*> deaths();  // of the load and of recoveries
  const Death& last_death() const { return recrashes.empty() ? crash : recrashes.back(); }
  bool operator==(const CycleEvent&) const = default;
};

// Appends a name that is not in the list.
void add_once(std::vector<std::string>* list, std::string_view name);

void to_json(nlohmann::json& json, const Death& death);
void from_json(const nlohmann::json& json, Death& death);
void to_json(nlohmann::json& json, const ViolationEvent& violation);
void from_json(const nlohmann::json& json, ViolationEvent& violation);
void to_json(nlohmann::json& json, const Timings& timings);
void from_json(const nlohmann::json& json, Timings& timings);
void to_json(nlohmann::json& json, const CycleEvent& event);
void from_json(const nlohmann::json& json, CycleEvent& event);

}  // namespace chaosgate::report
