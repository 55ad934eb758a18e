// Transaction is the payload of a log entry: typed operations that take effect together.
//
// Some operations depend on the state they meet (increment, append, compare-and-set, the MVCC ones), so
// applying one twice shows. The encoding is versioned and self-checking only in shape: the log record that
// carries it has the checksum. Grammar (little-endian):
//
//   transaction := ""                                  the empty transaction, a Raft no-op, is no bytes at
//   all
//                | version:u8 count:u16 operation[count]                   count > 0
//   operation   := kind:u8 keyspace:u8 fields
//   fields      := key value            put, append, mvcc_put
//                | key                  erase
//                | key end              erase_range
//                | key number:u64       increment
//                | key expected value   compare_and_set
//                | number:u64           mvcc_compact
//   key, value, end, expected := size:u32 raw[size]
#pragma once

#include <cstddef>
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
  mvcc_compact,     // removes superseded revisions up to `number` revisions ago; alone in its transaction
};
inline constexpr std::size_t kOperationKindCount = 8;
inline constexpr std::size_t kAppendBytesMax = 256;
inline constexpr std::size_t kKeyBytesMax = 500;  // what every engine takes; mvcc_put adds one byte itself
inline constexpr std::size_t kOperationsMax = 0xffff;

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

// The type of the log entry that carries an encoded transaction: log::EntryType::noop (0) when the payload is
// empty, otherwise log::EntryType::transaction (1). Only this pairing is a legal proposal.
inline std::uint8_t entry_type(std::string_view payload) { return payload.empty() ? 0 : 1; }

// Appends to *out. REQUIRES: decode() would accept the result: keys of 1 to kKeyBytesMax bytes (one less for
// mvcc_put), MVCC operations in Keyspace::revision only, at most kOperationsMax operations, fields that the
// kind does not have left at their defaults.
void encode(const Transaction& transaction, std::string* out);
// Replaces *transaction. corruption when the bytes are not an encoded transaction, to the last byte.
Status decode(std::string_view bytes, Transaction* transaction);
// One line for people: put object/"k1" 32 B; increment counter/0x0a +3
std::string describe(const Transaction& transaction);
// Bytes for people: "k1" in quotes when printable, else 0x and hex. Long ones are cut and say their size.
std::string printable(std::string_view bytes);

}  // namespace chaosgate::workloads
