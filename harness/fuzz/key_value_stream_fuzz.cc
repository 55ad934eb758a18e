// The key-value stream: the pieces it comes in change nothing, and what was read, written again, reads the
// same.
#include "harness/snapshot/key_value_stream.h"

#include "harness/base/check.h"
#include "harness/base/hash.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/key_values.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  return {write_key_values({}, 1), write_key_values(some_key_values(), 64),
          write_key_values(some_key_values(), snapshot::kKeyValueChunkBytes)};
}

struct Result {
  std::vector<KeyValue> records;
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
  const std::string again = write_key_values(result.records, 1 + hash64(bytes) % 512);
  const Result second = read(again, again.size());
  CHECK(second.status.ok(), "{}", second.status.message());
  CHECK(second.records == result.records && second.totals == result.totals);
  return Reach::accepted;
}

}  // namespace

Target target() { return {"key_value_stream", seeds, repair_key_values, run}; }

}  // namespace chaosgate::fuzz
