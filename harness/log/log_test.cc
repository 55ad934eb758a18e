// What the log promises while nothing goes wrong; the other *_test.cc have the rest.

#include "harness/log/log.h"

#include <fmt/format.h>

#include <chrono>

#include "harness/base/rng.h"
#include "harness/log/log_test_util.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

TEST_CASE("entries come back as they were appended, before and after reopening") {
  LogDirectory directory;
  auto log = directory.create();
  REQUIRE(log->append(1, EntryType::noop, "").ok());
  REQUIRE(log->append(1, EntryType::transaction, std::string("a\0b", 3)).ok());
  REQUIRE(log->append(3, EntryType::transaction, std::string(100'000, 'x')).ok());
  const auto check = [&] {
    std::vector<EntryType> types;
    REQUIRE(log->read(1, 3,
                      [&](const Entry& entry) {
                        types.push_back(entry.type);
                        return Status();
                      })
                .ok());
    CHECK(types == std::vector{EntryType::noop, EntryType::transaction, EntryType::transaction});
    CHECK(read_all(*log) == std::vector<OwnedEntry>{{1, 1, ""},
                                                    {1, 2, std::string("a\0b", 3)},
                                                    {3, 3, std::string(100'000, 'x')}});
    CHECK(log->first_index() == 1);
    CHECK(log->last_index() == 3);
    CHECK(log->last_term() == 3);
  };
  check();
  CHECK(log->synced_index() == 0);
  sync(*log);
  CHECK(log->synced_index() == 3);
  log = directory.reopen();
  check();
  CHECK(log->synced_index() == 3);
  CHECK(log->recovery().torn_bytes == 0);
  CHECK(log->recovery().torn_reason.empty());
}

TEST_CASE("appended entries stay in user space until the group is synced or the buffer is full") {
  LogDirectory directory;
  LogOptions options;
  options.buffer_bytes_max = 1000;
  auto log = directory.create(options);
  const auto file_bytes = [&] { return fs::file_size(directory.last_segment()); };
  REQUIRE(log->append(1, EntryType::transaction, std::string(500, 'a')).ok());
  CHECK(file_bytes() == kSegmentHeaderBytes);
  REQUIRE(log->append(1, EntryType::transaction, std::string(500, 'b')).ok());
  CHECK(file_bytes() == kSegmentHeaderBytes + 2 * (500 + kRecordOverheadBytes));
  CHECK(log->synced_index() == 0);
  REQUIRE(log->append(1, EntryType::transaction, "c").ok());
  std::vector<OwnedEntry> entries;
  REQUIRE(read_range(*log, 2, 3, &entries).ok());  // half from the file, half from the buffer
  CHECK(entries == std::vector<OwnedEntry>{{1, 2, std::string(500, 'b')}, {1, 3, "c"}});
  sync(*log);
  CHECK(log->synced_index() == 3);
}

TEST_CASE("destruction writes nothing that was not written before") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 2);
  append_entries(*log, 1, 2);
  log.reset();
  CHECK(directory.reopen()->last_index() == 2);
}

TEST_CASE("a full segment is cut at a sync, and the log reads across segments") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  append_entries(*log, 1, 40);
  CHECK(directory.names().size() == 1);  // never between syncs
  sync(*log);
  CHECK(directory.names().size() == 2);
  append_synced(*log, 2, 40);
  CHECK(directory.names().size() > 5);
  std::vector<OwnedEntry> expected;
  for (std::uint64_t index = 1; index <= 80; ++index) {
    expected.push_back(entry_of(index <= 40 ? 1 : 2, index));
  }
  CHECK(read_all(*log) == expected);
  log = directory.reopen(small_segments());
  CHECK(read_all(*log) == expected);
  append_synced(*log, 2, 1);
  for (std::uint64_t from = 1; from <= 81; ++from) {
    std::vector<OwnedEntry> entries;
    REQUIRE(read_range(*log, from, 81, &entries).ok());
    REQUIRE(entries.size() == 82 - from);
    REQUIRE(entries.front().index == from);
    REQUIRE(entries.back() == entry_of(2, 81));
  }
}

TEST_CASE("an empty log starts where it was told to") {
  LogDirectory directory;
  LogOptions options;
  options.start_after = 41;
  options.start_after_term = 7;
  auto log = directory.create(options);
  for (int i = 0; i < 2; ++i) {
    CHECK(log->first_index() == 42);
    CHECK(log->last_index() == 41);
    CHECK(log->synced_index() == 41);
    CHECK(log->last_term() == 7);
    CHECK(read_all(*log).empty());
    log = directory.reopen();
  }
  CHECK(log->append(6, EntryType::noop, "").code() == StatusCode::invalid_argument);
  append_synced(*log, 7, 1);
  CHECK(log->first_index() == 42);
  CHECK(log->last_index() == 42);
}

TEST_CASE("a log is created once, opened only where there is one, and an empty directory is none") {
  LogDirectory directory;
  std::unique_ptr<Log> log;
  CHECK(directory.open(&log).is_not_found());
  fs::create_directory(directory.path());
  CHECK(directory.open(&log).code() == StatusCode::corruption);
  CHECK(create_log(directory.path(), {}, no_steps(), &log).code() == StatusCode::invalid_argument);
  fs::remove(directory.path());
  LogOptions options;
  options.known_synced = 1;
  CHECK(create_log(directory.path(), options, no_steps(), &log).code() == StatusCode::corruption);
  // What an interrupted creation leaves is in nobody's way.
  fs::create_directory(directory.path().string() + ".new");
  CHECK(create_log(directory.path(), {}, no_steps(), &log).ok());
  CHECK(directory.names() == std::vector<std::string>{"0000000000000001-0000000000000001.log"});
  CHECK_FALSE(fs::exists(directory.path().string() + ".new"));
}

TEST_CASE("terms never fall, also across segments, truncations and reopening") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  const auto refuses = [&](std::uint64_t term) {
    const std::uint64_t last = log->last_index();
    const bool refused = log->append(term, EntryType::noop, "").code() == StatusCode::invalid_argument;
    return refused && log->last_index() == last;
  };
  append_synced(*log, 5, 20);
  CHECK(refuses(4));
  append_synced(*log, 8, 20);
  CHECK(refuses(7));
  REQUIRE(log->truncate_suffix(21).ok());
  CHECK(log->last_term() == 5);
  CHECK(refuses(4));
  append_synced(*log, 6, 20);
  log = directory.reopen(small_segments());
  CHECK(log->last_term() == 6);
  CHECK(refuses(5));
  // A log without an entry still knows the term of the last one.
  LogOptions cut_always = small_segments();
  cut_always.segment_bytes = 1;
  log = directory.reopen(cut_always);
  append_synced(*log, 6, 1);
  REQUIRE(log->truncate_prefix(log->last_index()).ok());
  CHECK(log->first_index() == log->last_index() + 1);
  log = directory.reopen(cut_always);
  CHECK(log->first_index() == 42);
  CHECK(log->last_index() == 41);
  CHECK(log->last_term() == 6);
  CHECK(refuses(5));
  append_synced(*log, 6, 1);
  CHECK(read_all(*log) == std::vector<OwnedEntry>{entry_of(6, 42)});
}

TEST_CASE("a payload that is too long is refused and changes nothing") {
  LogDirectory directory;
  auto log = directory.create();
  CHECK(log->append(1, EntryType::transaction, std::string(kPayloadBytesMax + 1, 'x')).code() ==
        StatusCode::invalid_argument);
  append_synced(*log, 1, 1);
  CHECK(read_all(*log) == std::vector<OwnedEntry>{entry_of(1, 1)});
}

TEST_CASE("reading outside the log is refused, and a visitor's status ends the reading") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 5);
  std::vector<OwnedEntry> entries;
  CHECK(read_range(*log, 0, 3, &entries).code() == StatusCode::invalid_argument);
  CHECK(read_range(*log, 3, 6, &entries).code() == StatusCode::invalid_argument);
  CHECK(entries.empty());
  int visits = 0;
  CHECK(log->read(2, 5,
                  [&](const Entry& entry) {
                    ++visits;
                    return entry.index == 3 ? Status::not_found() : Status();
                  })
            .is_not_found());
  CHECK(visits == 2);
}

TEST_CASE("a long random history agrees with a plain vector") {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    INFO(seed);
    Rng rng(seed);
    LogDirectory directory;
    LogOptions options;
    options.segment_bytes = rng.log_between(1, 8000);
    options.buffer_bytes_max = rng.log_between(1, 4000);
    options.start_after = rng.below(100);
    auto log = directory.create(options);
    std::vector<OwnedEntry> model;  // may begin before the log's first entry
    const std::uint64_t base = options.start_after;
    std::uint64_t term = 1;
    std::uint64_t synced = base;
    const auto check_all = [&] {
      const auto entries = read_all(*log);
      REQUIRE(log->last_index() == base + model.size());
      REQUIRE(log->first_index() + entries.size() == log->last_index() + 1);
      REQUIRE(std::equal(entries.rbegin(), entries.rend(), model.rbegin()));
    };
    for (int i = 0; i < 1500; ++i) {
      switch (rng.weighted({60, 20, 10, 3, 3, 4})) {
        case 0: {
          OwnedEntry entry{term, base + model.size() + 1, ""};
          rng.append_bytes(&entry.payload, rng.log_between(1, 600) - 1);
          REQUIRE(log->append(term, EntryType::transaction, entry.payload).ok());
          model.push_back(std::move(entry));
          break;
        }
        case 1:
          REQUIRE(log->sync().ok());
          synced = log->last_index();
          REQUIRE(log->synced_index() == synced);
          break;
        case 2: {
          if (log->first_index() > log->last_index()) {
            break;
          }
          const std::uint64_t from = rng.between(log->first_index(), log->last_index());
          const std::uint64_t to = rng.between(from, log->last_index());
          std::vector<OwnedEntry> entries;
          REQUIRE(read_range(*log, from, to, &entries).ok());
          REQUIRE(entries.size() == to - from + 1);
          REQUIRE(std::equal(entries.begin(), entries.end(), model.begin() + (from - base - 1)));
          break;
        }
        case 3: {
          const std::uint64_t upto = rng.between(base, log->last_index());
          const std::uint64_t first = log->first_index();
          REQUIRE(log->truncate_prefix(upto).ok());
          REQUIRE(log->first_index() <= std::max(upto + 1, first));
          break;
        }
        case 4: {
          const std::uint64_t back = rng.log_between(1, log->last_index() - log->first_index() + 2) - 1;
          const std::uint64_t from = log->last_index() + 1 - back;
          REQUIRE(log->truncate_suffix(from).ok());
          model.resize(from - base - 1);
          synced = std::min(synced, from - 1);
          ++term;
          break;
        }
        case 5: {
          options.known_synced = rng.chance(1, 2) ? synced : 0;
          log = directory.reopen(options);
          REQUIRE(log->last_index() >= synced);
          REQUIRE(log->last_index() <= base + model.size());
          model.resize(log->last_index() - base);
          synced = log->last_index();
          check_all();
          options.known_synced = 0;  // truncations may go below it
          log = directory.reopen(options);
          ++term;
          break;
        }
      }
    }
    check_all();
  }
}

TEST_CASE("how long appending and reading take", "[.benchmark]") {
  LogDirectory directory;
  auto log = directory.create();
  constexpr std::uint64_t kEntries = 1'000'000;
  const std::string payload(200, 'p');
  const auto seconds_since = [](std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  auto start = std::chrono::steady_clock::now();
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    REQUIRE(log->append(1, EntryType::transaction, payload).ok());
  }
  fmt::print("append {:.0f} ns/entry\n", seconds_since(start) * 1e9 / kEntries);
  sync(*log);
  log.reset();
  start = std::chrono::steady_clock::now();
  log = directory.reopen();
  fmt::print("open {:.0f} ns/entry\n", seconds_since(start) * 1e9 / kEntries);
  start = std::chrono::steady_clock::now();
  std::uint64_t bytes = 0;
  for (std::uint64_t from = 1; from <= kEntries; from += 1000) {
    REQUIRE(log->read(from, from + 999,
                      [&](const Entry& entry) {
                        bytes += entry.payload.size();
                        return Status();
                      })
                .ok());
  }
  fmt::print("read {:.0f} ns/entry\n", seconds_since(start) * 1e9 / kEntries);
  CHECK(bytes == kEntries * payload.size());
}
