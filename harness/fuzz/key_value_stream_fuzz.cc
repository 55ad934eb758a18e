// The key-value stream: the pieces it comes in change nothing, and what was read, written again, reads the
// same.
#include <cstring>
#include <utility>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "harness/fuzz/fuzz.h"
#include "harness/snapshot/key_value_stream.h"

namespace chaosgate::fuzz {
namespace {

constexpr std::size_t kKeyspaces = 3;
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kHeadBytes = 5;  // of a part: kind and length
constexpr std::size_t kSumBytes = 8;
constexpr std::size_t kTotalsBytes = 16 * kKeyspaces;

struct Record {
  engines::KeyspaceId keyspace = 0;
  std::string key;
  std::string value;

  bool operator==(const Record&) const = default;
};

std::string write(const std::vector<Record>& records, std::size_t chunk_bytes) {
  std::string bytes;
  snapshot::KeyValueWriter writer(
      kKeyspaces,
      [&](std::string_view piece) {
        bytes.append(piece);
        return Status();
      },
      chunk_bytes);
  for (const Record& record : records) {
    const Status status = writer.add(record.keyspace, record.key, record.value);
    CHECK(status.ok(), "{}", status.message());
  }
  CHECK(writer.finish().ok());
  return bytes;
}

std::vector<std::string> seeds() {
  std::vector<Record> records;
  for (std::size_t i = 0; i < 12; ++i) {
    records.push_back({static_cast<engines::KeyspaceId>(i / 5), "key-" + std::to_string(100 + i),
                       std::string(i * 5, static_cast<char>('A' + i))});
  }
  return {write({}, 1), write(records, 64), write(records, snapshot::kKeyValueChunkBytes)};
}

template <typename T>
void store(std::string* bytes, std::size_t at, T value) {
  std::memcpy(bytes->data() + at, &value, sizeof value);
}

void add_totals(std::string_view records, std::vector<snapshot::KeyspaceTotals>* totals) {
  Reader reader(records);
  std::uint8_t keyspace = 0;
  std::string_view key;
  std::string_view value;
  while (reader.u8(&keyspace) && reader.bytes(&key) && reader.bytes(&value) && keyspace < kKeyspaces) {
    (*totals)[keyspace].add(key, value);
  }
}

// The chain of checksums, lengths that reach too far, and the totals at the end.
void repair(Rng& rng, std::string* bytes) {
  if (bytes->size() < kHeaderBytes) {
    return;
  }
  std::string header(snapshot::kKeyValueMagic);
  put_u32(&header, snapshot::kKeyValueVersion);
  put_u32(&header, kKeyspaces);
  std::uint64_t chain = hash64(header);
  put_u64(&header, chain);
  bytes->replace(0, kHeaderBytes, header);
  std::vector<snapshot::KeyspaceTotals> totals(kKeyspaces);
  for (std::size_t at = kHeaderBytes; bytes->size() - at >= kHeadBytes + kSumBytes;) {
    const std::size_t room = bytes->size() - at - kHeadBytes - kSumBytes;
    auto length = load_fixed<std::uint32_t>(bytes->data() + at + 1);
    if (length > room || (length == 0 && room > 0)) {
      length = static_cast<std::uint32_t>(room);
      store(bytes, at + 1, length);
    }
    const std::string_view content = std::string_view(*bytes).substr(at + kHeadBytes, length);
    if ((*bytes)[at] == 'C') {
      add_totals(content, &totals);
    } else if (length == kTotalsBytes && !rng.chance(1, 16)) {
      (*bytes)[at] = 'E';
      for (std::size_t i = 0; i < kKeyspaces; ++i) {
        store(bytes, at + kHeadBytes + 16 * i, totals[i].count);
        store(bytes, at + kHeadBytes + 16 * i + 8, totals[i].hash);
      }
    }
    const std::size_t covered = kHeadBytes + length;
    chain = hash64(std::string_view(*bytes).substr(at, covered), chain);
    store(bytes, at + covered, chain);
    at += covered + kSumBytes;
  }
}

struct Result {
  std::vector<Record> records;
  std::vector<snapshot::KeyspaceTotals> totals;
  Status status;
  bool begun = false;  // the header and one part more were taken
};

// In pieces of `piece` bytes.
Result read(std::string_view bytes, std::size_t piece) {
  Result result;
  snapshot::KeyValueReader reader(
      kKeyspaces, [&](engines::KeyspaceId keyspace, std::string_view key, std::string_view value) {
        result.records.push_back({keyspace, std::string(key), std::string(value)});
        return Status();
      });
  for (std::size_t at = 0; at < bytes.size() && result.status.ok(); at += piece) {
    result.status = reader.feed(bytes.substr(at, piece));
  }
  if (result.status.ok()) {
    result.status = reader.finish();
  }
  result.totals = reader.totals();
  return result;
}

Reach run(std::string_view bytes) {
  const Result result = read(bytes, bytes.size() + 1);
  const Result pieces = read(bytes, 1 + hash64(bytes) % 37);
  CHECK(pieces.status.code() == result.status.code() && pieces.status.message() == result.status.message(),
        "whole: {}; in pieces: {}", result.status.message(), pieces.status.message());
  CHECK(pieces.records == result.records && pieces.totals == result.totals);
  if (!result.status.ok()) {
    return result.records.empty() ? Reach::refused : Reach::verified;
  }
  const std::string again = write(result.records, 1 + hash64(bytes) % 512);
  const Result second = read(again, again.size());
  CHECK(second.status.ok(), "{}", second.status.message());
  CHECK(second.records == result.records && second.totals == result.totals);
  return Reach::accepted;
}

}  // namespace

Target target() { return {"key_value_stream", seeds, repair, run}; }

}  // namespace chaosgate::fuzz
