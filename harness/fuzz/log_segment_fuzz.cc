// The log's segment reader: what it accepts verifies, is in order, and reads the same when it is written
// again.
#include <cstring>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "harness/fuzz/fuzz.h"
#include "harness/log/segment_reader.h"

namespace chaosgate::fuzz {
namespace {

std::string segment(std::uint64_t sequence, std::uint64_t first_index, std::size_t records) {
  log::SegmentHeader header{sequence, first_index, 3, sequence == log::kFirstSequence ? 0 : 0x1234U, 0};
  std::string bytes = log::encode_segment_header(&header);
  std::uint64_t prev = header.checksum;
  for (std::size_t i = 0; i < records; ++i) {
    const std::uint64_t index = first_index + i;
    const std::string payload(i * 7, static_cast<char>('a' + i));
    const log::Entry entry{3 + i / 4, index, static_cast<log::EntryType>(i % 2), payload};
    prev = log::append_record(&bytes, sequence, bytes.size(), entry, index - 1 - i % 3 * (index > 3), prev);
  }
  return bytes;
}

std::vector<std::string> seeds() {
  std::string torn = segment(1, 1, 9);
  torn.resize(torn.size() - 5);
  return {segment(1, 1, 0), segment(1, 1, 6), segment(7, 100, 12), torn};
}

template <typename T>
void store(std::string* bytes, std::size_t at, T value) {
  std::memcpy(bytes->data() + at, &value, sizeof value);
}

// Checksums always; what makes a record the successor of the one before, mostly.
void repair(Rng& rng, std::string* bytes) {
  if (bytes->size() < log::kSegmentHeaderBytes) {
    return;
  }
  log::SegmentHeader header;
  Reader reader(std::string_view(*bytes).substr(16));
  reader.u64(&header.sequence);
  reader.u64(&header.first_index);
  reader.u64(&header.previous_term);
  reader.u64(&header.chain);
  bytes->replace(0, log::kSegmentHeaderBytes, log::encode_segment_header(&header));
  std::uint64_t prev = header.checksum;
  std::uint64_t index = header.first_index;
  for (std::size_t at = log::kSegmentHeaderBytes; bytes->size() - at >= log::kRecordOverheadBytes; ++index) {
    const std::size_t room = bytes->size() - at - log::kRecordOverheadBytes;
    auto length = load_fixed<std::uint32_t>(bytes->data() + at);
    if (length > room && rng.chance(1, 2)) {
      length = static_cast<std::uint32_t>(rng.below(room + 1));
      store(bytes, at, length);
    }
    if (length > room) {
      return;
    }
    if (!rng.chance(1, 16)) {
      store(bytes, at + log::kRecordIndexAt, index);
    }
    if (!rng.chance(1, 16)) {
      store(bytes, at + log::kRecordHeaderBytes - sizeof prev, prev);
    }
    // The checksum of a record is that of its position: written by the log's own function.
    log::Entry entry;
    entry.type = static_cast<log::EntryType>((*bytes)[at + 4]);
    entry.term = load_fixed<std::uint64_t>(bytes->data() + at + 8);
    entry.index = load_fixed<std::uint64_t>(bytes->data() + at + log::kRecordIndexAt);
    const std::string payload = bytes->substr(at + log::kRecordHeaderBytes, length);
    entry.payload = payload;
    std::string record;
    prev = log::append_record(&record, header.sequence, at, entry,
                              load_fixed<std::uint64_t>(bytes->data() + at + 24),
                              load_fixed<std::uint64_t>(bytes->data() + at + 32));
    if (!rng.chance(1, 32)) {
      bytes->replace(at, record.size(), record);
    }
    at += record.size();
  }
}

log::Record record_at(std::string_view bytes, const log::SegmentContent& content, std::size_t i) {
  log::Record record;
  const std::uint64_t at = content.offsets[i];
  CHECK(log::parse_record(bytes.substr(at), content.header.sequence, at, &record) == log::RecordDamage::none,
        "record {} at offset {} does not verify", i, at);
  return record;
}

void check_content(std::string_view bytes, const log::SegmentContent& content) {
  CHECK(content.end_offset + content.torn_bytes == bytes.size());
  log::SegmentHeader header = content.header;
  std::string again = log::encode_segment_header(&header);
  std::uint64_t prev = header.checksum;
  std::uint64_t term = header.previous_term;
  for (std::size_t i = 0; i < content.offsets.size(); ++i) {
    const log::Record record = record_at(bytes, content, i);
    CHECK(record.entry.index == header.first_index + i);
    CHECK(record.entry.term >= term);
    term = record.entry.term;
    CHECK(content.offsets[i] == again.size(), "a hole before record {}", i);
    prev = log::append_record(&again, header.sequence, again.size(), record.entry, record.synced, prev);
  }
  CHECK(again.size() == content.end_offset);
  log::SegmentContent second;
  const std::string name = log::segment_name(header.sequence, header.first_index);
  const Status status = log::read_segment(again, name, {}, &second);
  CHECK(status.ok(), "{}", status.message());
  CHECK(second.torn_bytes == 0 && second.offsets == content.offsets && second.last_term == content.last_term);
}

Reach run(std::string_view bytes) {
  log::SegmentHeader header;
  if (!log::decode_segment_header(bytes, &header).ok()) {
    log::SegmentContent none;
    CHECK(!log::read_segment(bytes, log::segment_name(1, 1), {}, &none).ok());
    return Reach::refused;
  }
  const std::string name = log::segment_name(header.sequence, header.first_index);
  std::uint64_t sequence = 0;
  std::uint64_t first_index = 0;
  CHECK(log::parse_segment_name(name, &sequence, &first_index) && sequence == header.sequence &&
        first_index == header.first_index);
  log::SegmentContent content;
  const Status status = log::read_segment(bytes, name, {}, &content);
  if (!status.ok()) {
    return Reach::verified;
  }
  check_content(bytes, content);
  // A segment that is not the last one has no torn tail.
  log::SegmentContent sealed;
  const bool whole = log::read_segment(bytes, name, {content.last_index()}, &sealed).ok();
  CHECK(whole == (content.torn_bytes == 0), "sealed at {}, {} torn bytes", content.last_index(),
        content.torn_bytes);
  return Reach::accepted;
}

}  // namespace

Target target() { return {"log_segment", seeds, repair, run}; }

}  // namespace chaosgate::fuzz
