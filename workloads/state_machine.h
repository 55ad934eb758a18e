// The meaning of a transaction: from a state and a transaction to mutations.
//
// The replica (over an engine) and the oracle (over memory) share this function, and nothing else, so that
// both mean the same by "append". What it computes is fixed by workloads/state_machine_test.cc:
//
//   increment        the value is a u64, little-endian, wrapping; absent or of another size counts as 0
//   append           old + value; value alone (at most kAppendBytesMax of it) when that would be too long
//   compare_and_set  an absent key equals the expected value ""
//   erase_range      [key, end); nothing when key >= end
//
// MVCC keeps these records in Keyspace::revision:
//
//   "c"                 -> the last revision, u64 little-endian; absent counts as 0
//   "f"                 -> the compaction floor, u64 little-endian; absent counts as 0
//   "i" user_key        -> the latest revision of user_key, u64 little-endian
//   "r" rev:u64 BIG end -> user_key (size:u32 raw) value (the rest)
//
// At or below the floor only latest revisions exist: mvcc_compact removes the superseded ones between the old
// and the new floor, at most kCompactRevisionsMax of them, and mvcc_put removes the revision that it
// supersedes when that one is at or below the floor. So neither cost nor size grows with history.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "workloads/transaction.h"

namespace chaosgate::workloads {

// A state that is read while it changes: every call sees the mutations already made.
class MutableState {
 public:
  virtual ~MutableState() = default;

  // False when the key is absent.
  virtual bool get(Keyspace keyspace, std::string_view key, std::string* value) = 0;
  // Calls visit(key, value) for the keys in [begin, end), ascending, until it returns false. The state must
  // not be changed during the scan.
  virtual void scan(Keyspace keyspace, std::string_view begin, std::string_view end,
                    const std::function<bool(std::string_view, std::string_view)>& visit) = 0;

  virtual void put(Keyspace keyspace, std::string_view key, std::string_view value) = 0;
  virtual void erase(Keyspace keyspace, std::string_view key) = 0;
  virtual void erase_range(Keyspace keyspace, std::string_view begin, std::string_view end) = 0;
};

inline constexpr std::uint64_t kCompactRevisionsMax = 2048;

// Call it qualified, workloads::apply(): Transaction is a std::vector, so std::apply competes otherwise.
// Never fails: over a state that contradicts itself (a damaged engine) it does something harmless.
void apply(const Transaction& transaction, MutableState& state);

// True when apply() will scan. An implementation that buffers mutations can use it to empty its buffer first.
bool scans(const Transaction& transaction);

}  // namespace chaosgate::workloads
