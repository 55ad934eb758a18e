// Key-value streams (harness/snapshot/key_value_stream.h) written from records, and repaired.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "harness/base/rng.h"
#include "harness/snapshot/key_value_stream.h"

namespace chaosgate::fuzz {

inline constexpr std::size_t kKeyspaces = 3;

struct KeyValue {
  engines::KeyspaceId keyspace = 0;
  std::string key;
  std::string value;

  bool operator==(const KeyValue&) const = default;
};

inline std::string write_key_values(const std::vector<KeyValue>& records, std::size_t chunk_bytes) {
  std::string bytes;
  snapshot::KeyValueWriter writer(
      kKeyspaces,
      [&](std::string_view piece) {
        bytes.append(piece);
        return Status();
      },
      chunk_bytes);
  for (const KeyValue& record : records) {
    const Status status = writer.add(record.keyspace, record.key, record.value);
    CHECK(status.ok(), "{}", status.message());
  }
  CHECK(writer.finish().ok());
  return bytes;
}

inline std::vector<KeyValue> some_key_values() {
  std::vector<KeyValue> records;
  for (std::size_t i = 0; i < 12; ++i) {
    records.push_back({static_cast<engines::KeyspaceId>(i / 5), "key-" + std::to_string(100 + i),
                       std::string(i * 5, static_cast<char>('A' + i))});
  }
  return records;
}

// The chain of checksums, lengths that reach too far, and the totals at the end.
void repair_key_values(Rng& rng, std::string* bytes);

}  // namespace chaosgate::fuzz
