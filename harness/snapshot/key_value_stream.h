// A key-value stream is the whole content of a store as (keyspace, key, value) records in order, in a form
// that belongs to no engine. Written and read in pieces; memory is bounded by one chunk.
//
//   stream := header chunk* end
//   header := magic:"CGKVSTRM" version:u32 keyspaces:u32 checksum:u64
//   chunk  := 'C' length:u32 record* checksum:u64       length: bytes of the records, more than 0
//   record := keyspace:u8 key:bytes value:bytes         strictly ascending by (keyspace, key)
//   end    := 'E' length:u32 totals[keyspaces] checksum:u64
//   totals := count:u64 hash:u64                        of one keyspace, in the order of the keyspaces
//   bytes  := length:u32 octet[length]
//
// Integers are little-endian. A checksum is hash64 of the bytes of its part before it, seeded with the
// checksum of the part before (0 for the header): a part that is lost, doubled or out of place does not
// verify. A keyspace's hash runs over the lengths, keys and values of its records (KeyspaceTotals), whatever
// the chunks, so equal states have equal totals. The hashes find accidents, not adversaries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"
#include "harness/base/status.h"

namespace chaosgate::snapshot {

inline constexpr std::string_view kKeyValueMagic = "CGKVSTRM";
inline constexpr std::uint32_t kKeyValueVersion = 1;
inline constexpr std::size_t kKeyValueChunkBytes = 64 << 10;  // a chunk that has reached this size is closed
inline constexpr std::size_t kValueBytesMax = 256 << 20;      // a longer length is damage

// What one keyspace holds.
struct KeyspaceTotals {
  std::uint64_t count = 0;
  std::uint64_t hash = 0;

  bool operator==(const KeyspaceTotals&) const = default;
  // The next record, in the order of the keys.
  void add(std::string_view key, std::string_view value);
};

// Writes a stream. After a call that failed every call fails with the same Status. Not thread-safe.
class KeyValueWriter {
 public:
  // Gets the stream's bytes in order, in pieces of any size.
  using Sink = std::function<Status(std::string_view bytes)>;

  // REQUIRES: 1 <= keyspaces <= 256, 1 <= chunk_bytes <= kKeyValueChunkBytes.
  KeyValueWriter(std::size_t keyspaces, Sink sink, std::size_t chunk_bytes = kKeyValueChunkBytes);

  // invalid_argument when the record is out of order or breaks a limit; otherwise what the sink returned.
  Status add(engines::KeyspaceId keyspace, std::string_view key, std::string_view value);
  // Writes what remains. Nothing may follow.
  Status finish();

  const std::vector<KeyspaceTotals>& totals() const { return totals_; }

 private:
  Status fail(Status status);
  Status write_part(char kind);

  const Sink sink_;
  const std::size_t chunk_bytes_;
  std::vector<KeyspaceTotals> totals_;
  std::string part_;  // the records of the chunk under way
  std::uint64_t chain_ = 0;
  engines::KeyspaceId last_keyspace_ = 0;
  std::string last_key_;  // empty: no record yet
  bool begun_ = false;
  Status failed_;
};

// Reads a stream from pieces of any size. A chunk's records are visited when the chunk has been verified, in
// order; only finish() says that they were all. After a call that failed every call fails with the same
// Status. Not thread-safe.
class KeyValueReader {
 public:
  // The views are good during the call. A Status that is not ok ends the reading with it.
  using Visit =
      std::function<Status(engines::KeyspaceId keyspace, std::string_view key, std::string_view value)>;

  // `keyspaces`: how many the stream must have. REQUIRES: 1 <= keyspaces <= 256.
  KeyValueReader(std::size_t keyspaces, Visit visit);

  // corruption for damage, disorder and bytes behind the end; not_supported for another format version;
  // invalid_argument for another number of keyspaces. The message says where.
  Status feed(std::string_view bytes);
  // No more bytes come: corruption unless the stream ended exactly here.
  Status finish();

  const std::vector<KeyspaceTotals>& totals() const { return totals_; }

 private:
  Status part_bytes(std::string_view rest, std::size_t* bytes) const;
  Status read_header(std::string_view part);
  Status read_part(std::string_view part);
  Status read_records(std::string_view records);
  Status read_totals(std::string_view totals);
  Status damaged(std::string_view why) const;

  const Visit visit_;
  std::vector<KeyspaceTotals> totals_;
  std::string pending_;       // not yet a whole part
  std::uint64_t offset_ = 0;  // of pending_ in the stream
  std::uint64_t chain_ = 0;
  engines::KeyspaceId last_keyspace_ = 0;
  std::string last_key_;
  bool begun_ = false;
  bool ended_ = false;
  Status failed_;
};

// Adds everything that `snapshot` holds in its first `keyspaces` keyspaces, and finishes the stream.
Status write_key_values(engines::Snapshot& snapshot, std::size_t keyspaces, KeyValueWriter& writer);

// Puts records into an engine, many to a batch. Atomicity is the caller's: until finish() returned ok, the
// engine holds a part. `engine` must outlive this. Not thread-safe.
class KeyValueLoader {
 public:
  explicit KeyValueLoader(engines::Engine& engine) : engine_(engine) {}

  // For KeyValueReader::Visit.
  Status add(engines::KeyspaceId keyspace, std::string_view key, std::string_view value);
  // Writes the last batch; flushes nothing.
  Status finish();

 private:
  engines::Engine& engine_;
  engines::WriteBatch batch_;
};

}  // namespace chaosgate::snapshot
