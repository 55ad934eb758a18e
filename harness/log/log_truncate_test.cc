// Prefix and suffix truncation: at and beside segment borders, to nothing, and where they are refused.

#include "harness/log/log.h"
#include "harness/log/log_test_util.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

TEST_CASE("truncating the prefix drops whole segments, oldest first, and never the last one") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  append_synced(*log, 1, 50);
  const auto before = directory.names();
  REQUIRE(before.size() > 4);
  std::uint64_t sequence = 0;
  std::uint64_t third = 0;
  REQUIRE(parse_segment_name(before[2], &sequence, &third));
  REQUIRE(log->truncate_prefix(third - 2).ok());  // one entry short of the second segment's end
  CHECK(directory.names().front() == before[1]);
  REQUIRE(log->truncate_prefix(third - 1).ok());
  CHECK(directory.names().front() == before[2]);
  CHECK(log->first_index() == third);
  CHECK(log->last_index() == 50);
  log = directory.reopen(small_segments());
  CHECK(log->first_index() == third);
  REQUIRE(log->truncate_prefix(1'000'000).ok());
  CHECK(directory.names() == std::vector{before.back()});
  CHECK(log->last_index() == 50);
  append_synced(*log, 1, 1);
  CHECK(read_all(*log).back() == entry_of(1, 51));
}

TEST_CASE("truncating the suffix anywhere leaves exactly what is before it") {
  for (std::uint64_t from = 1; from <= 31; ++from) {
    INFO(from);
    LogDirectory directory;
    auto log = directory.create(small_segments());
    append_synced(*log, 1, 30);
    REQUIRE(log->truncate_suffix(from).ok());
    std::vector<OwnedEntry> expected;
    for (std::uint64_t index = 1; index < from; ++index) {
      expected.push_back(entry_of(1, index));
    }
    CHECK(log->last_index() == from - 1);
    CHECK(log->synced_index() == from - 1);
    CHECK(log->last_term() == (from > 1 ? 1 : 0));
    CHECK(read_all(*log) == expected);
    log = directory.reopen(small_segments());
    CHECK(log->recovery().torn_bytes == 0);
    CHECK(log->last_index() == from - 1);
    append_synced(*log, 2, 10);
    for (std::uint64_t index = from; index < from + 10; ++index) {
      expected.push_back(entry_of(2, index));
    }
    log = directory.reopen(small_segments());
    CHECK(read_all(*log) == expected);
  }
}

TEST_CASE("a suffix that is not on disk yet is truncated too") {
  for (std::uint64_t from = 4; from <= 13; ++from) {
    INFO(from);
    LogDirectory directory;
    auto log = directory.create(small_segments());
    append_synced(*log, 1, 3);
    append_entries(*log, 1, 9);  // some written, some in the buffer
    REQUIRE(log->truncate_suffix(from).ok());
    CHECK(log->synced_index() <= from - 1);
    append_entries(*log, 2, 2);
    sync(*log);
    log = directory.reopen(small_segments());
    const auto entries = read_all(*log);
    REQUIRE(entries.size() == from + 1);
    for (const OwnedEntry& entry : entries) {
      CHECK(entry == entry_of(entry.index < from ? 1 : 2, entry.index));
    }
  }
}

TEST_CASE("a suffix truncation may not touch what is known to be synced or not there") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  append_synced(*log, 1, 30);
  LogOptions options = small_segments();
  options.known_synced = 10;
  log = directory.reopen(options);
  REQUIRE(log->truncate_prefix(5).ok());
  CHECK(log->truncate_suffix(10).code() == StatusCode::invalid_argument);
  CHECK(log->truncate_suffix(32).code() == StatusCode::invalid_argument);
  CHECK(log->truncate_suffix(31).ok());
  CHECK(log->last_index() == 30);
  CHECK(log->truncate_suffix(11).ok());
  log = directory.reopen(options);
  CHECK(log->last_index() == 10);
  options.known_synced = 0;
  log = directory.reopen(options);
  CHECK(log->truncate_suffix(log->first_index() - 1).code() == StatusCode::invalid_argument);
}

TEST_CASE("a suffix truncation can empty a log whose prefix is gone") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  append_synced(*log, 4, 30);
  REQUIRE(log->truncate_prefix(20).ok());
  const std::uint64_t first = log->first_index();
  REQUIRE(first > 1);
  REQUIRE(log->truncate_suffix(first).ok());
  log = directory.reopen(small_segments());
  CHECK(log->first_index() == first);
  CHECK(log->last_index() == first - 1);
  CHECK(log->last_term() == 4);
  append_synced(*log, 5, 1);
  CHECK(read_all(*log) == std::vector<OwnedEntry>{entry_of(5, first)});
}
