// The on-disk format of the log: names, constants, encoding and the check of a single record.
//
//   log      := directory { segment } { temporary }        segments by ascending sequence, no gap
//   segment  := file "<sequence %016x>-<first index %016x>.log": header { record }
//   temporary:= a segment's name + ".tmp": a segment on its way to its name; never read
//   header   := magic u64 | version u32 | zero u32 | sequence u64 | first index u64
//             | term of the entry before u64 | chain u64 | checksum u64
//   record   := payload length u32 | type u8 | zero u8[3] | term u64 | index u64 | synced u64 | prev u64
//             | payload | checksum u64
//
// All integers are little-endian. chain: the checksum of the last record of the segment before (its header's
// when it has none; 0 in the first segment ever), so that segments chain. synced: the highest index that was
// durable when the record was appended; it lets a reader tell a torn tail from a damaged acknowledged entry.
// prev: the checksum of the record before, or of the segment's header for its first record.
//
// A header's checksum is hash64 of the bytes before it. A record's is too, seeded with its *position* (the
// segment's sequence and the offset in the file): a copy of a record at any other place, above all inside
// the payload of another record, does not verify. A reader that searches behind damage therefore does not
// take user data for records. What remains: a payload crafted for the very offset at which it will be
// written, and chance, 2^-64 per position; XXH3 finds accidents, not adversaries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "harness/log/log.h"

namespace chaosgate::log {

inline constexpr std::uint64_t kSegmentMagic = 0x474f4c4554414743;  // "CGATELOG" in the file
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSegmentHeaderBytes = 56;
inline constexpr std::size_t kRecordHeaderBytes = 40;
inline constexpr std::size_t kRecordIndexAt = 16;  // where a record's index stands
inline constexpr std::size_t kChecksumBytes = 8;
inline constexpr std::size_t kRecordOverheadBytes = kRecordHeaderBytes + kChecksumBytes;
inline constexpr std::size_t kPayloadBytesMax = 64 << 20;  // a longer length is damage
inline constexpr std::uint64_t kFirstSequence = 1;
inline constexpr std::string_view kTemporarySuffix = ".tmp";

struct SegmentHeader {
  std::uint64_t sequence = 0;
  std::uint64_t first_index = 0;
  std::uint64_t previous_term = 0;  // of the entry before first_index
  std::uint64_t chain = 0;
  std::uint64_t checksum = 0;  // set by encode and decode
};

std::string segment_name(std::uint64_t sequence, std::uint64_t first_index);
// False when `name` is not a segment's.
bool parse_segment_name(std::string_view name, std::uint64_t* sequence, std::uint64_t* first_index);

// Sets header->checksum.
std::string encode_segment_header(SegmentHeader* header);
// corruption; not_supported for another format version. Messages name neither file nor offset.
Status decode_segment_header(std::string_view bytes, SegmentHeader* header);

// A record that verifies itself. Whether it continues its predecessor is the reader's business.
struct Record {
  Entry entry;  // the payload points into the bytes that were parsed
  std::uint64_t synced = 0;
  std::uint64_t prev = 0;
  std::uint64_t checksum = 0;

  std::size_t size() const { return kRecordOverheadBytes + entry.payload.size(); }
};

enum class RecordDamage : std::uint8_t { none, short_header, short_payload, checksum };

// Appends a record that will stand at `offset` of segment `sequence`; returns its checksum.
// REQUIRES: entry.payload.size() <= kPayloadBytesMax.
std::uint64_t append_record(std::string* out, std::uint64_t sequence, std::uint64_t offset,
                            const Entry& entry, std::uint64_t synced, std::uint64_t prev);

// Parses what stands at the start of `bytes`, which begin at `offset` of segment `sequence`.
RecordDamage parse_record(std::string_view bytes, std::uint64_t sequence, std::uint64_t offset,
                          Record* record);

// "checksum: expected 0x.., found 0x.." and the like, for a record that parse_record() refused.
std::string describe_damage(std::string_view bytes, std::uint64_t sequence, std::uint64_t offset);
// "short header", "short payload", "checksum".
std::string_view to_string(RecordDamage damage);

}  // namespace chaosgate::log
