// The marker is the file `ENGINE` in an engine's directory: it says that chaosgate made the directory, which
// family of configurations may open it, and which keyspaces it has.
//
// Without it, a half-installed or foreign directory could be taken for an empty store and opened as one. It
// is written last, durably, and never changed.
//
//   marker    := magic:"CGENGINE" version:u32 family:bytes keyspaces checksum:u64
//   keyspaces := count:u32 name:bytes[count]     version 2; nothing in version 1
//   bytes     := length:u32 octet[length]
//   checksum  := hash64 of everything before it
//
// Integers are little-endian. Keyspaces stand in the order of their ids at creation. In every version, magic
// and version come first and the checksum of all before comes last, so that a reader can tell a newer marker
// from a damaged one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"

namespace chaosgate::engines {

inline constexpr std::string_view kMarkerFile = "ENGINE";
inline constexpr std::string_view kMarkerMagic = "CGENGINE";
inline constexpr std::uint32_t kMarkerVersion = 2;
inline constexpr std::size_t kMarkerChecksumBytes = 8;

struct Marker {
  std::string family;
  std::vector<std::string> keyspaces;  // empty in one of version 1, which does not say

  bool operator==(const Marker&) const = default;
};

std::string encode_marker(const Marker& marker);

// Creates or replaces the marker in `directory`; durable when it returns ok.
Status write_marker(const std::filesystem::path& directory, const Marker& marker);

// not_found when there is no marker, corruption when it is damaged, invalid_argument when it is of a newer
// version, and the message says which file and why.
Status read_marker(const std::filesystem::path& directory, Marker* marker);

}  // namespace chaosgate::engines
