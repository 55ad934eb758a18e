#include "harness/log/log_format.h"

#include <fmt/format.h>

#include <charconv>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate::log {
namespace {

constexpr std::string_view kSegmentSuffix = ".log";
constexpr std::size_t kHexDigits = 16;

// Where a record's other fields stand.
constexpr std::size_t kTypeAt = 4;
constexpr std::size_t kTermAt = 8;
constexpr std::size_t kSyncedAt = 24;
constexpr std::size_t kPrevAt = 32;

// The odd constant (2^64 / golden ratio) keeps equal offsets of neighbouring segments apart.
std::uint64_t position_seed(std::uint64_t sequence, std::uint64_t offset) {
  return sequence * 0x9e3779b97f4a7c15ULL + offset;
}

bool parse_hex(std::string_view digits, std::uint64_t* value) {
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, *value, 16);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

std::string segment_name(std::uint64_t sequence, std::uint64_t first_index) {
  return fmt::format("{:016x}-{:016x}{}", sequence, first_index, kSegmentSuffix);
}

bool parse_segment_name(std::string_view name, std::uint64_t* sequence, std::uint64_t* first_index) {
  return name.size() == 2 * kHexDigits + 1 + kSegmentSuffix.size() && name.ends_with(kSegmentSuffix) &&
         parse_hex(name.substr(0, kHexDigits), sequence) &&
         parse_hex(name.substr(kHexDigits + 1, kHexDigits), first_index) &&
         name == segment_name(*sequence, *first_index);  // one name per segment: no capitals, no "+"
}

std::string encode_segment_header(SegmentHeader* header) {
  std::string bytes;
  put_u64(&bytes, kSegmentMagic);
  put_u32(&bytes, kFormatVersion);
  put_u32(&bytes, 0);
  put_u64(&bytes, header->sequence);
  put_u64(&bytes, header->first_index);
  put_u64(&bytes, header->previous_term);
  put_u64(&bytes, header->chain);
  header->checksum = hash64(bytes);
  put_u64(&bytes, header->checksum);
  return bytes;
}

Status decode_segment_header(std::string_view bytes, SegmentHeader* header) {
  Reader reader(bytes);
  std::uint64_t magic = 0;
  std::uint32_t version = 0;
  std::uint32_t zero = 0;
  // Magic and version keep their place in every version, so that a newer log is named as what it is.
  const bool whole_start = reader.u64(&magic) && reader.u32(&version);
  if (whole_start && magic != kSegmentMagic) {
    return Status::corruption(
        fmt::format("segment magic: expected {:#018x}, found {:#018x}", kSegmentMagic, magic));
  }
  if (whole_start && version != kFormatVersion) {
    return Status::not_supported(
        fmt::format("segment format version: expected {}, found {}", kFormatVersion, version));
  }
  if (bytes.size() < kSegmentHeaderBytes) {
    return Status::corruption(
        fmt::format("segment header: expected {} bytes, found {}", kSegmentHeaderBytes, bytes.size()));
  }
  reader.u32(&zero);
  reader.u64(&header->sequence);
  reader.u64(&header->first_index);
  reader.u64(&header->previous_term);
  reader.u64(&header->chain);
  reader.u64(&header->checksum);
  const std::uint64_t expected = hash64(bytes.substr(0, kSegmentHeaderBytes - kChecksumBytes));
  if (header->checksum != expected) {
    return Status::corruption(fmt::format("segment header checksum: expected {:#018x}, found {:#018x}",
                                          expected, header->checksum));
  }
  return {};
}

std::uint64_t append_record(std::string* out, std::uint64_t sequence, std::uint64_t offset,
                            const Entry& entry, std::uint64_t synced, std::uint64_t prev) {
  CHECK(entry.payload.size() <= kPayloadBytesMax);
  const std::size_t start = out->size();
  char header[kRecordHeaderBytes] = {};
  const auto length = static_cast<std::uint32_t>(entry.payload.size());
  std::memcpy(header, &length, sizeof(length));
  header[kTypeAt] = static_cast<char>(entry.type);
  std::memcpy(header + kTermAt, &entry.term, sizeof(entry.term));
  std::memcpy(header + kRecordIndexAt, &entry.index, sizeof(entry.index));
  std::memcpy(header + kSyncedAt, &synced, sizeof(synced));
  std::memcpy(header + kPrevAt, &prev, sizeof(prev));
  out->append(header, sizeof(header));
  out->append(entry.payload);
  const std::uint64_t checksum =
      hash64(std::string_view(*out).substr(start), position_seed(sequence, offset));
  put_u64(out, checksum);
  return checksum;
}

RecordDamage parse_record(std::string_view bytes, std::uint64_t sequence, std::uint64_t offset,
                          Record* record) {
  if (bytes.size() < kRecordOverheadBytes) {
    return RecordDamage::short_header;
  }
  const std::size_t length = load_fixed<std::uint32_t>(bytes.data());
  if (length > bytes.size() - kRecordOverheadBytes) {
    return RecordDamage::short_payload;
  }
  const std::size_t covered = kRecordHeaderBytes + length;
  record->checksum = load_fixed<std::uint64_t>(bytes.data() + covered);
  if (record->checksum != hash64(bytes.substr(0, covered), position_seed(sequence, offset))) {
    return RecordDamage::checksum;
  }
  record->entry.type = static_cast<EntryType>(bytes[kTypeAt]);
  record->entry.term = load_fixed<std::uint64_t>(bytes.data() + kTermAt);
  record->entry.index = load_fixed<std::uint64_t>(bytes.data() + kRecordIndexAt);
  record->entry.payload = bytes.substr(kRecordHeaderBytes, length);
  record->synced = load_fixed<std::uint64_t>(bytes.data() + kSyncedAt);
  record->prev = load_fixed<std::uint64_t>(bytes.data() + kPrevAt);
  return RecordDamage::none;
}

std::string describe_damage(std::string_view bytes, std::uint64_t sequence, std::uint64_t offset) {
  Record record;
  const RecordDamage damage = parse_record(bytes, sequence, offset, &record);
  switch (damage) {
    case RecordDamage::none:
      return "none";
    case RecordDamage::short_header:
      return fmt::format("{}: expected {} bytes, found {}", to_string(damage), kRecordOverheadBytes,
                         bytes.size());
    case RecordDamage::short_payload:
      return fmt::format("{}: expected {} bytes, found {}", to_string(damage),
                         load_fixed<std::uint32_t>(bytes.data()), bytes.size() - kRecordOverheadBytes);
    case RecordDamage::checksum: {
      const std::size_t covered = kRecordHeaderBytes + load_fixed<std::uint32_t>(bytes.data());
      return fmt::format("{}: expected {:#018x}, found {:#018x}", to_string(damage),
                         hash64(bytes.substr(0, covered), position_seed(sequence, offset)), record.checksum);
    }
  }
  return "unknown";
}

std::string_view to_string(RecordDamage damage) {
  switch (damage) {
    case RecordDamage::none:
      return "none";
    case RecordDamage::short_header:
      return "short header";
    case RecordDamage::short_payload:
      return "short payload";
    case RecordDamage::checksum:
      return "checksum";
  }
  return "unknown";
}

}  // namespace chaosgate::log
