// The invariants that chaosgate checks, and what it says when one does not hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "workloads/transaction.h"

namespace chaosgate::oracle {

enum class Invariant : std::uint8_t {
  log_acked,        // "log.acked": every synced entry is in the recovered log
  log_content,      // "log.content": recovered entries are the proposed ones, no lost tail reappears
  engine_opens,     // "engine.opens": opens, and is not silently empty
  index_not_ahead,  // "index.not_ahead": durable index <= witness
  index_not_lost,   // "index.not_lost": witness >= what flush or commit promised
  state_prefix,     // "state.prefix": before replay the state equals the oracle at the witness
  state_replayed,   // "state.replayed": after replay it equals the oracle at the last log entry
  state_stable,     // "state.stable": close, reopen and a second replay change nothing
  state_writable,   // "state.writable": a new write is taken and returned
  read_consistent,  // "read.consistent": get, scans, seeks and snapshots agree
  replica_equal,    // "replica.equal": replicas at the same index hold the same state
  snapshot_whole,   // "snapshot.whole": a snapshot that is not whole, or not the state it says, is refused
  error_honest,     // "error.honest": after an I/O error nothing is acknowledged that is not there
  space_bounded,    // "space.bounded": a compacted store takes a bounded multiple of its live bytes
};
inline constexpr std::size_t kInvariantCount = 14;

std::string_view to_string(Invariant invariant);
std::optional<Invariant> parse_invariant(std::string_view name);

// One key where the engine and the oracle differ. An absent side is nullopt.
struct KeyDifference {
  workloads::Keyspace keyspace;
  std::string key;
  std::optional<std::string> expected;
  std::optional<std::string> actual;
};

struct Violation {
  Invariant invariant;
  std::string explanation;                 // one sentence with the numbers that matter
  std::vector<KeyDifference> differences;  // the first few, in key order
  std::uint64_t difference_count = 0;      // all of them
};

inline constexpr std::size_t kDifferencesKept = 8;

// Several lines for people, without a newline at the end: the invariant and the explanation, then one line
// for each kept difference. Values are shortened, with their length and hash64().
std::string describe(const Violation& violation);

}  // namespace chaosgate::oracle
