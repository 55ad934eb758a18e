// The reader on hand-made segments: records that verify themselves and are still not the next one.

#include "harness/log/segment_reader.h"

#include "harness/log/log_format.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

namespace {

// A segment with entries 10, 11, ... of term 3; tests put something wrong behind them.
class Builder {
 public:
  explicit Builder(std::uint64_t entries) {
    header_.sequence = 4;
    header_.first_index = 10;
    header_.previous_term = 3;
    bytes_ = encode_segment_header(&header_);
    prev_ = header_.checksum;
    for (std::uint64_t i = 0; i < entries; ++i) {
      add(3, 10 + i, 9 + i);
    }
  }
  Builder& add(std::uint64_t term, std::uint64_t index, std::uint64_t synced) {
    return add(term, index, synced, prev_);
  }
  Builder& add(std::uint64_t term, std::uint64_t index, std::uint64_t synced, std::uint64_t prev,
               std::uint64_t sequence = 4, EntryType type = EntryType::transaction) {
    prev_ =
        append_record(&bytes_, sequence, bytes_.size(), Entry{term, index, type, "payload"}, synced, prev);
    return *this;
  }
  std::uint64_t prev() const { return prev_; }
  Status read(SegmentContent* content, const SegmentRules& rules = {}) const {
    return read_segment(bytes_, segment_name(4, 10), rules, content);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  SegmentHeader header_;
  std::string bytes_;
  std::uint64_t prev_ = 0;
};

std::string refusal(const Builder& builder) {
  SegmentContent content;
  const Status status = builder.read(&content);
  CHECK(status.code() == StatusCode::corruption);
  return status.message();
}

std::string torn(const Builder& builder) {
  SegmentContent content;
  const Status status = builder.read(&content);
  INFO(status.to_string());
  CHECK(status.ok());
  CHECK(content.last_index() == 11);
  return content.torn_reason;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a whole segment is read to its end") {
  SegmentContent content;
  REQUIRE(Builder(3).read(&content).ok());
  CHECK(content.header.first_index == 10);
  CHECK(content.last_index() == 12);
  CHECK(content.last_term == 3);
  CHECK(content.last_synced == 11);
  CHECK(content.end_offset == Builder(3).bytes().size());
  CHECK(content.offsets.size() == 3);
  CHECK(content.torn_bytes == 0);
  REQUIRE(Builder(0).read(&content).ok());
  CHECK(content.last_index() == 9);
  CHECK(content.last_term == 3);
}

TEST_CASE("a record that continues its predecessor and cannot be right was written so: corruption") {
  CHECK(has(refusal(Builder(2).add(2, 12, 11)), "entry 12: term: expected at least 3, found 2"));
  CHECK(has(refusal(Builder(2).add(3, 12, 12)), "entry 12: synced index: expected less than 12, found 12"));
  Builder unknown_type(2);
  unknown_type.add(3, 12, 11, unknown_type.prev(), 4, static_cast<EntryType>(7));
  CHECK(has(refusal(unknown_type), "entry 12: entry type: expected 0 or 1, found 7"));
}

TEST_CASE("a record that does not continue its predecessor ends the log") {
  CHECK(torn(Builder(2).add(3, 13, 11)) == "index");
  CHECK(torn(Builder(2).add(3, 11, 10)) == "index");
  CHECK(torn(Builder(2).add(3, 12, 9, 0xbad)) == "chain");
  // A record of an older term says nothing about an entry that a newer term has written.
  CHECK(torn(Builder(2).add(2, 12, 11, 0xbad)) == "chain");
  CHECK(torn(Builder(2).add(2, 13, 12, 0xbad)) == "index");
}

TEST_CASE("a record that does not continue its predecessor but proves it durable is corruption") {
  CHECK(has(refusal(Builder(2).add(3, 12, 11, 0xbad)), "entry 11 was durable and is another one now"));
  CHECK(has(refusal(Builder(2).add(3, 13, 12, 0xbad)), "entry 13 at offset"));
  CHECK(
      has(refusal(Builder(2).add(3, 12, 9, 0xbad).add(3, 13, 12)), "says that entries up to 12 were synced"));
}

TEST_CASE("a record of another segment at the same offset does not verify") {
  Builder builder(2);
  builder.add(3, 12, 11, builder.prev(), 5);
  CHECK(torn(builder) == "checksum");
}

TEST_CASE("a segment under another segment's name is corruption") {
  SegmentContent content;
  for (const std::string& name : {segment_name(5, 10), segment_name(4, 11)}) {
    const Status status = read_segment(Builder(2).bytes(), name, {}, &content);
    CHECK(status.code() == StatusCode::corruption);
    CHECK(has(status.message(), segment_name(4, 10)));
  }
}

TEST_CASE("a sealed segment ends exactly where the next one begins") {
  SegmentContent content;
  SegmentRules rules;
  rules.sealed_at = 12;
  CHECK(Builder(3).read(&content, rules).ok());
  CHECK(has(Builder(2).read(&content, rules).message(), "expected 12, found 11"));
  CHECK(has(Builder(4).read(&content, rules).message(), "more bytes"));
}

TEST_CASE("a segment's name parses back, and no other name does") {
  std::uint64_t sequence = 0;
  std::uint64_t first_index = 0;
  REQUIRE(parse_segment_name(segment_name(0xab, UINT64_MAX), &sequence, &first_index));
  CHECK(sequence == 0xab);
  CHECK(first_index == UINT64_MAX);
  for (const char* name :
       {"", ".log", "00000000000000AB-0000000000000001.log", "00000000000000ab-0000000000000001.log.tmp",
        "00000000000000ab_0000000000000001.log", "-0000000000000ab-0000000000000001.log",
        "00000000000000ab-000000000000001.log", "00000000000000ab-0000000000000001.lug"}) {
    INFO(name);
    CHECK_FALSE(parse_segment_name(name, &sequence, &first_index));
  }
}
