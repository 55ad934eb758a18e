// Transaction is the payload of a log entry: typed operations that take effect together.
//
// Some operations depend on the state they meet (increment, append, compare-and-set, the MVCC ones), so
// applying one twice shows. The encoding is versioned and self-checking only in shape: the log record that
// carries it has the checksum.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"

namespace chaosgate::workloads {

// The keyspaces that transactions use; the values are engine KeyspaceIds.
enum class Keyspace : std::uint8_t {
  object = 0,    // puts, deletes, ranges, compare-and-set
  counter = 1,   // increments and appends
  revision = 2,  // MVCC: revisions, latest revision per key, the revision counter
};
inline constexpr std::size_t kKeyspaceCount = 3;

std::string_view to_string(Keyspace keyspace);

enum class OperationKind : std::uint8_t {
  put = 1,
  erase,
  erase_range,      // [key, end)
  increment,        // adds `number` to a 64-bit counter (absent counts as 0)
  append,           // appends `value`; starts over when the result would exceed kAppendBytesMax
  compare_and_set,  // puts `value` when the current value equals `expected`, or is absent and expected is ""
  mvcc_put,         // next revision := (key, value), latest[key] := that revision
  mvcc_compact,     // removes superseded revisions up to `number` revisions ago
};
inline constexpr std::size_t kOperationKindCount = 8;
inline constexpr std::size_t kAppendBytesMax = 256;

std::string_view to_string(OperationKind kind);

struct Operation {
  OperationKind kind = OperationKind::put;
  Keyspace keyspace = Keyspace::object;
  std::string key;
  std::string value;
  std::string end;       // erase_range
  std::string expected;  // compare_and_set
  std::uint64_t number = 0;

  bool operator==(const Operation&) const = default;
};

using Transaction = std::vector<Operation>;

void encode(const Transaction& transaction, std::string* out);
// Replaces *transaction. corruption when the bytes are not an encoded transaction, to the last byte.
Status decode(std::string_view bytes, Transaction* transaction);
// One line for people: "put object/6b31 32 B; increment counter/0a +3". Keys in hex when not printable.
std::string describe(const Transaction& transaction);

}  // namespace chaosgate::workloads
