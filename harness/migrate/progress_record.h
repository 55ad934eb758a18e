// ProgressRecord is how far a migration came: the file `progress` beside the store that is being filled. It
// is replaced as a whole, durably, so a crash leaves the one before or the one after.
//
//   record   := magic:"CGMIGRAT" version:u32 state:u8 source_engine:bytes target_engine:bytes
//               source:survey durable[keyspaces of the survey] checksum:u64
//   durable  := keys:u64 last:bytes
//   bytes    := length:u32 octet[length]
//   checksum := hash64 of everything before it
//
// Integers are little-endian. In every version, magic and version come first and the checksum last.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"
#include "harness/migrate/survey.h"

namespace chaosgate::migrate {

inline constexpr std::string_view kProgressFile = "progress";
inline constexpr std::string_view kProgressMagic = "CGMIGRAT";
inline constexpr std::uint32_t kProgressVersion = 1;

enum class ProgressState : std::uint8_t {
  begun = 1,  // the store may be there in part, or not at all; nothing in it counts
  moving,     // the store is there, with what `durable` says, or more
  verified,   // the store holds all of the source; only its marker and its name may be missing
  failed,     // it held something else when all was done
};

std::string_view to_string(ProgressState state);

// The keys of one keyspace that are durable in the target: the first so many of the source.
struct Durable {
  std::uint64_t keys = 0;
  std::string last;  // key; empty when there are none

  bool operator==(const Durable&) const = default;
};

struct ProgressRecord {
  ProgressState state = ProgressState::begun;
  std::string source_engine;
  std::string target_engine;
  Survey source;
  std::vector<Durable> durable;  // by keyspace

  std::uint64_t durable_keys() const;
  bool operator==(const ProgressRecord&) const = default;
};

std::string encode_record(const ProgressRecord& record);

// Durable when it returns ok.
Status write_record(const std::filesystem::path& directory, const ProgressRecord& record);

// not_found when there is none, corruption when it is damaged, invalid_argument when it is of a newer
// version; the message names the file.
Status read_record(const std::filesystem::path& directory, ProgressRecord* record);

}  // namespace chaosgate::migrate
