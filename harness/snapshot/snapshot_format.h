// The bytes of a snapshot: the state of a replica's engine at one log entry, as a stream that can be sent.
//
//   snapshot := header body trailer
//   header   := magic:"CGSNAPSH" version:u32 header_bytes:u32 total_bytes:u64 body:u8 family:bytes
//               index:u64 term:u64 checksum:u64
//   body     := archive              when body = 'A': the files of the engine's checkpoint, a tar archive
//                                    compressed with zstd, its members in the order of their names, without
//                                    times and owners
//             | key-value stream     when body = 'K': see key_value_stream.h
//   trailer  := octet[32]            SHA-256 of everything before it
//   bytes    := length:u32 octet[length]
//
// Integers are little-endian. header_bytes is the size of the header, total_bytes that of header, body and
// trailer *together*. index and term are those of the last entry whose effect the state has. checksum is
// hash64 of the header before it, so that a receiver can trust the header long before the trailer comes. In
// every version magic, version and header_bytes come first and the checksum last, so that a newer header can
// be told from a damaged one.
//
// Before snapshots had a header, a snapshot was the one file of an engine that keeps everything in one file.
// Such a stream is known by not beginning with the magic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "harness/base/status.h"

namespace chaosgate::snapshot {

inline constexpr std::string_view kSnapshotMagic = "CGSNAPSH";
inline constexpr std::uint32_t kSnapshotVersion = 1;
inline constexpr std::size_t kHeaderPrefixBytes = 16;  // magic, version and header_bytes
inline constexpr std::size_t kHeaderBytesMax = 4096;   // more is damage
inline constexpr std::size_t kTrailerBytes = 32;

enum class BodyKind : std::uint8_t {
  archive = 'A',     // for a receiver of the same engine family
  key_values = 'K',  // for any other
};

std::string_view to_string(BodyKind body);

struct SnapshotHeader {
  std::uint64_t total_bytes = 0;  // of the whole snapshot
  BodyKind body = BodyKind::archive;
  std::string family;  // of the engine that the state is from
  std::uint64_t index = 0;
  std::uint64_t term = 0;

  bool operator==(const SnapshotHeader&) const = default;
};

std::string encode_header(const SnapshotHeader& header);

// How long the header is that begins with `prefix`. corruption when that cannot be.
// REQUIRES: at least kHeaderPrefixBytes bytes, and they begin with the magic.
Status header_bytes(std::string_view prefix, std::size_t* bytes);
// REQUIRES: `bytes` has as many as header_bytes() says. corruption; not_supported for a newer version.
Status decode_header(std::string_view bytes, SnapshotHeader* header);

}  // namespace chaosgate::snapshot
