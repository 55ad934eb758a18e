// The marker is the file `ENGINE` in an engine's directory: it says that chaosgate made the directory, and
// which family of configurations may open it.
//
// Without it, a half-installed or foreign directory could be taken for an empty store and opened as one. It
// is written last, durably, and never changed.
//
//   marker   := magic:"CGENGINE" version:u32 family:bytes checksum:u64
//   bytes    := length:u32 octet[length]
//   checksum := hash64 of everything before it
//
// Integers are little-endian. In every version, magic and version come first and the checksum of all before
// comes last, so that a reader can tell a newer marker from a damaged one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "harness/base/status.h"

namespace chaosgate::engines {

inline constexpr std::string_view kMarkerFile = "ENGINE";
inline constexpr std::string_view kMarkerMagic = "CGENGINE";
inline constexpr std::uint32_t kMarkerVersion = 1;
inline constexpr std::size_t kMarkerChecksumBytes = 8;

std::string encode_marker(std::string_view family);

// Creates or replaces the marker in `directory`; durable when it returns ok.
Status write_marker(const std::filesystem::path& directory, std::string_view family);

// not_found when there is no marker, corruption when it is damaged, invalid_argument when it is of a newer
// version, and the message says which file and why.
Status read_marker(const std::filesystem::path& directory, std::string* family);

}  // namespace chaosgate::engines
