// Survey is what a store holds, in a few numbers: for each keyspace how many keys, their hash in order, the
// first and the last, and the applied index. It is the identity of a migration's source, and what the
// finished target is compared with.
//
//   survey   := keyspaces:u32 keyspace[keyspaces] has_index:u8 index:u64
//   keyspace := name:bytes keys:u64 bytes:u64 hash:u64 first:bytes last:bytes
//   bytes    := length:u32 octet[length]
//
// Integers are little-endian. Plain data.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"
#include "harness/base/coding.h"
#include "harness/base/status.h"
#include "harness/snapshot/key_value_stream.h"
#include "harness/wire/migration.h"

namespace chaosgate::migrate {

struct KeyspaceSurvey {
  std::string name;
  snapshot::KeyspaceTotals totals;
  std::uint64_t bytes = 0;  // of keys and values
  std::string first;        // keys; empty when there are none
  std::string last;

  bool operator==(const KeyspaceSurvey&) const = default;
};

struct Survey {
  std::vector<KeyspaceSurvey> keyspaces;
  bool has_applied_index = false;
  std::uint64_t applied_index = 0;

  std::uint64_t keys() const;
  std::uint64_t bytes() const;
  bool operator==(const Survey&) const = default;
};

// Where a replica's store keeps the index of the last log entry that is in it, as 8 bytes, little-endian.
struct AppliedIndexPlace {
  std::string keyspace;
  std::string key;
};

// Reads everything that `snapshot` holds. corruption when a keyspace is not in order or the applied index is
// none; `seen` is called now and then with the number of keys so far.
Status take_survey(engines::Snapshot& snapshot, const std::vector<std::string>& keyspaces,
                   const AppliedIndexPlace& place, const std::function<void(std::uint64_t keys)>& seen,
                   Survey* survey);

void encode(const Survey& survey, std::string* bytes);
// False when the bytes do not begin with a survey.
bool decode(Reader* reader, Survey* survey);

// What `found` lacks or has otherwise, in one line; "" when they are equal.
std::string difference(const Survey& expected, const Survey& found);

void fill_report(const Survey& survey, wire::MigrationReport* report);

}  // namespace chaosgate::migrate
