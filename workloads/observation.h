// Observations are what a worker saw during recovery, handed to the driver in shared memory.
//
// The worker appends sections to one mapped buffer and publishes the length after each; the driver reads
// only published bytes, in place. A section is a fact, never a judgement. Grammar (little-endian):
//
//   buffer   := section*
//   section  := kind:u32 0:u32 length:u64 body[length]
//   log      := first:u64 last:u64 torn_bytes:u64 torn_after:u64 removed_files:u64 (term:u64 hash:u64)*
//               one pair per entry; hash = entry_hash()
//   state    := witness:u64 durable_index:u64 keyspace[kKeyspaceCount]
//   keyspace := (1:u8 key_bytes:u32 value_bytes:u32 key value)* 0:u8
//               ascending for every kind but state_backward, which is descending
//   reads    := read*
//   read     := kind:u8 keyspace:u8 target:bytes found:u8 key:bytes value:bytes      bytes := u32-length raw
//   probe    := ok:u8 message:bytes
//   space    := files:u64 bytes:u64 live_bytes:u64
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/coding.h"
#include "workloads/transaction.h"

namespace chaosgate::workloads {

enum class SectionKind : std::uint32_t {
  log = 1,
  state_before,    // before replay
  state_after,     // after replay
  state_reopened,  // after a clean close, a second open and a second replay
  state_backward,  // after replay, iterated from the last key to the first
  reads,           // point reads, seeks and snapshot reads after replay
  probe,           // a new write was taken and returned
  integrity,       // the engine's own check; same body as probe
  isolation,       // a snapshot did not show the probe's write; same body as probe
  state_reached,   // as often as a leader asked; same body as a state
  state_probed,    // after the engine's own check and the probe's write
  space,           // what the store takes after a compaction, a clean close and a second open
};

std::string_view to_string(SectionKind kind);

enum class ReadKind : std::uint8_t { get = 1, seek, seek_for_prev, snapshot_get };

std::string_view to_string(ReadKind kind);

// What identifies an entry's content: type (see entry_type()) and payload.
std::uint64_t entry_hash(std::uint8_t type, std::string_view payload);

// Appends sections to a buffer of fixed capacity. Throws EnvironmentError when it is full.
class ObservationWriter {
 public:
  ObservationWriter(char* buffer, std::size_t capacity) : buffer_(buffer), capacity_(capacity) {}

  void begin(SectionKind kind);
  void u8(std::uint8_t value) { raw(&value, sizeof value); }
  void u32(std::uint32_t value) { raw(&value, sizeof value); }
  void u64(std::uint64_t value) { raw(&value, sizeof value); }
  void bytes(std::string_view value);
  void key_value(std::string_view key, std::string_view value);
  void end_keyspace() { u8(0); }
  // Completes the section; returns the length to publish.
  std::size_t end();

 private:
  void raw(const void* from, std::size_t size);

  char* buffer_;
  std::size_t capacity_;
  std::size_t used_ = 0;
  std::size_t section_at_ = 0;
};

struct LogObservation {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::uint64_t torn_bytes = 0;
  std::uint64_t torn_after = 0;
  std::uint64_t removed_files = 0;
  struct EntryId {
    std::uint64_t term;
    std::uint64_t hash;
  };
  std::vector<EntryId> entries;  // first .. last
};

// A state section, parsed lazily: the keyspaces stay in the buffer.
struct StateObservation {
  std::uint64_t witness = 0;
  std::uint64_t durable_index = 0;
  std::string_view keyspaces;
};

struct ReadObservation {
  ReadKind kind;
  Keyspace keyspace;
  std::string_view target;
  bool found;
  std::string_view key;
  std::string_view value;
};

struct CheckObservation {
  bool ok = false;
  std::string_view message;
};

// Of an engine's directory, files for people left out.
struct SpaceObservation {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;       // that they take of the disk
  std::uint64_t live_bytes = 0;  // of all keys and values
};

// Walks one keyspace after the other of a StateObservation.
class StateCursor {
 public:
  explicit StateCursor(std::string_view keyspaces) : reader_(keyspaces) {}

  enum class Item { key_value, end_of_keyspace, damaged };
  // The views stay valid as long as the buffer.
  Item next(std::string_view* key, std::string_view* value);
  // True when no byte is left.
  bool at_end() const { return reader_.empty(); }

 private:
  Reader reader_;
};

// Everything published so far. Views point into the parsed buffer.
struct Observations {
  std::optional<LogObservation> log;
  std::optional<StateObservation> before, after, reopened, backward, probed;
  std::optional<StateObservation> reached;  // the last one
  std::vector<ReadObservation> reads;
  bool has_reads = false;
  std::optional<CheckObservation> probe, integrity, isolation;
  std::optional<SpaceObservation> space;
};

// corruption when the bytes do not follow the grammar: the worker wrote into them after a wild pointer.
Status parse(std::string_view buffer, Observations* observations);

}  // namespace chaosgate::workloads
