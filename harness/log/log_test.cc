// What the log promises while nothing goes wrong, and what it refuses.

#include "harness/log/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "harness/base/rng.h"
#include "harness/base/test.h"
#include "harness/base/unique_fd.h"
#include "harness/log/log_test_util.h"

using namespace chaosgate;
using namespace chaosgate::log;

namespace {

LogOptions small_segments() {
  LogOptions options;
  options.segment_bytes = 600;
  options.buffer_bytes_max = 300;
  return options;
}

// The descriptor this process has open on `path`.
int descriptor_of(const fs::path& path) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (fs::read_symlink(entry.path(), error) == path) {
      return std::stoi(entry.path().filename().string());
    }
  }
  return -1;
}

}  // namespace

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

TEST_CASE("after a failed write everything is refused with that error") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 5);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{fs::file_size(directory.last_segment()) + 10, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  append_entries(*log, 1, 1);
  const Status failure = log->sync();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);

  CHECK(failure.code() == StatusCode::io_error);
  std::vector<OwnedEntry> entries;
  for (const Status& status : {log->sync(), log->append(9, EntryType::noop, ""), log->truncate_prefix(1),
                               log->truncate_suffix(6), read_range(*log, 1, 1, &entries)}) {
    CHECK(status.to_string() == failure.to_string());
  }
  CHECK(log->synced_index() == 5);
  log = directory.reopen();
  CHECK(log->last_index() == 5);
  CHECK(log->recovery().torn_bytes == 10);
}

TEST_CASE("after a failed fdatasync everything is refused, even if the next one would succeed") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 5);
  const int file = descriptor_of(directory.last_segment());
  REQUIRE(file >= 0);
  const UniqueFd saved(::dup(file));
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  REQUIRE(::dup2(null.get(), file) == file);  // takes writes, cannot be synced
  append_entries(*log, 1, 1);
  const Status failure = log->sync();
  CHECK(failure.code() == StatusCode::io_error);
  CHECK(log->synced_index() == 5);
  REQUIRE(::dup2(saved.get(), file) == file);
  CHECK(log->sync().to_string() == failure.to_string());
  CHECK(log->append(1, EntryType::noop, "").to_string() == failure.to_string());
  CHECK(log->truncate_suffix(6).to_string() == failure.to_string());
}

TEST_CASE("a failed cut is an error, and the log stays good") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  // The next segment's temporary name is taken by a directory.
  const fs::path obstacle = directory.path() / (segment_name(2, 11) + std::string(kTemporarySuffix));
  fs::create_directory(obstacle);
  append_entries(*log, 1, 10);
  CHECK(log->sync().code() == StatusCode::io_error);
  CHECK(log->synced_index() == 10);  // they are durable; only the cut failed
  CHECK(log->append(1, EntryType::noop, "").code() == StatusCode::io_error);
  fs::remove(obstacle);
  CHECK(directory.reopen(small_segments())->last_index() == 10);
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
