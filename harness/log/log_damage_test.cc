// What open() makes of files that a crash or a bad disk left: torn tails go, damage of acknowledged entries
// is an error, and nothing that was cut off comes back.

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/rng.h"
#include "harness/log/log_format.h"
#include "harness/log/log_test_util.h"
#include "harness/log/segment_reader.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

namespace {

bool names_file(const Status& status, const fs::path& file) {
  return status.message().find(file.filename().string()) != std::string::npos;
}

// Offsets of the records of a segment; the last element is its end.
std::vector<std::uint64_t> record_offsets(const fs::path& file) {
  SegmentContent content;
  const std::string bytes = bytes_of(file);
  if (const Status status = read_segment(bytes, file.filename().string(), {}, &content); !status.ok()) {
    throw EnvironmentError(status.to_string());
  }
  content.offsets.push_back(content.end_offset);
  return content.offsets;
}

// Opens a log whose file was changed to `bytes`; the file must be unchanged when open refuses.
Status open_changed(LogDirectory& directory, const fs::path& file, const std::string& bytes,
                    std::unique_ptr<Log>* log, const LogOptions& options = {}) {
  replace_file(file, bytes);
  const Status status = directory.open(log, options);
  if (!status.ok() && bytes_of(file) != bytes) {
    throw EnvironmentError("a refused log was changed");
  }
  return status;
}

}  // namespace

TEST_CASE("a last record cut off at any byte is dropped, from the file too, and reported") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 3);
  REQUIRE(log->append(1, EntryType::transaction, std::string(90, 'z')).ok());
  sync(*log);
  log.reset();
  const fs::path file = directory.last_segment();
  const std::string whole = bytes_of(file);
  const std::uint64_t start = record_offsets(file)[3];
  for (std::uint64_t size = start; size < whole.size(); ++size) {
    INFO(size);
    REQUIRE(open_changed(directory, file, whole.substr(0, size), &log).ok());
    REQUIRE(log->last_index() == 3);
    REQUIRE(log->synced_index() == 3);
    REQUIRE(log->recovery().torn_bytes == size - start);
    REQUIRE(log->recovery().torn_reason == (size == start                         ? ""
                                            : size < start + kRecordOverheadBytes ? "short header"
                                                                                  : "short payload"));
    if (size > start) {
      REQUIRE(log->recovery().torn_after == 3);
    }
    REQUIRE(fs::file_size(file) == start);
    append_synced(*log, 2, 1);
    REQUIRE(directory.open(&log).ok());
    REQUIRE(log->recovery().torn_bytes == 0);
    REQUIRE(read_all(*log) == std::vector{entry_of(1, 1), entry_of(1, 2), entry_of(1, 3), entry_of(2, 4)});
  }
}

TEST_CASE("a tail whose size reached the disk before its bytes is torn, whatever stands there") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 3);
  append_entries(*log, 1, 4);  // one group
  sync(*log);
  log.reset();
  const fs::path file = directory.last_segment();
  const std::string whole = bytes_of(file);
  const auto offsets = record_offsets(file);
  Rng rng(1);
  for (std::uint64_t from = offsets[3]; from < whole.size(); from += 7) {
    for (const bool zeroes : {true, false}) {
      std::string bytes = whole.substr(0, from);
      if (zeroes) {
        bytes.resize(whole.size() + 512);
      } else {
        rng.append_bytes(&bytes, whole.size() + 512 - from);
      }
      REQUIRE(open_changed(directory, file, bytes, &log).ok());
      REQUIRE(log->last_index() >= 3);
      REQUIRE(log->recovery().torn_bytes > 0);
      const auto entries = read_all(*log);
      for (const OwnedEntry& entry : entries) {
        REQUIRE(entry == entry_of(1, entry.index));
      }
    }
  }
}

TEST_CASE("a group that reached the disk out of order is torn where its first hole is") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 3);
  append_entries(*log, 1, 5);
  sync(*log);
  log.reset();
  const fs::path file = directory.last_segment();
  std::string bytes = bytes_of(file);
  const auto offsets = record_offsets(file);
  std::fill(bytes.begin() + offsets[4], bytes.begin() + offsets[5], '\0');  // entry 5 of the group 4..8
  REQUIRE(open_changed(directory, file, bytes, &log).ok());
  CHECK(log->last_index() == 4);
  CHECK(log->recovery().torn_bytes == bytes.size() - offsets[4]);
  // The same bytes, when the entries are known to have been synced, are damage.
  LogOptions options;
  options.known_synced = 5;
  const Status status = open_changed(directory, file, bytes, &log, options);
  CHECK(status.code() == StatusCode::corruption);
  CHECK(names_file(status, file));
}

TEST_CASE("a flipped bit anywhere in an acknowledged record is corruption, never a truncation") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 6);
  log.reset();
  const fs::path file = directory.last_segment();
  const std::string whole = bytes_of(file);
  const auto offsets = record_offsets(file);
  // The last record has nobody who testifies for it; from outside, known_synced does.
  for (const std::uint64_t known_synced : {0, 6}) {
    LogOptions options;
    options.known_synced = known_synced;
    const std::uint64_t end = known_synced > 0 ? offsets[6] : offsets[5];
    for (std::uint64_t at = 0; at < end; ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
        const Status status = open_changed(directory, file, bytes, &log, options);
        INFO(at << " bit " << bit << ": " << status.to_string());
        REQUIRE(names_file(status, file));
        // A flipped version is taken for another version.
        const bool version = at >= 8 && at < 12;
        REQUIRE(status.code() == (version ? StatusCode::not_supported : StatusCode::corruption));
        if (at >= offsets[0]) {
          const auto entry = std::upper_bound(offsets.begin(), offsets.end(), at) - offsets.begin();
          REQUIRE(status.message().find(fmt::format("offset {}, entry {}:", offsets[entry - 1], entry)) !=
                  std::string::npos);
          REQUIRE(status.message().find("expected") != std::string::npos);
          REQUIRE(status.message().find("found") != std::string::npos);
        }
      }
    }
  }
}

TEST_CASE("the last synced record, damaged, is indistinguishable from a torn one") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 6);
  log.reset();
  const fs::path file = directory.last_segment();
  std::string bytes = bytes_of(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  REQUIRE(open_changed(directory, file, bytes, &log).ok());
  CHECK(log->last_index() == 5);
  CHECK(log->recovery().torn_reason == "checksum");
}

TEST_CASE("any damage of a segment that is not the last one is corruption") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  append_entries(*log, 1, 20);  // one group: nobody testifies inside the segment
  sync(*log);
  append_synced(*log, 1, 1);
  log.reset();
  REQUIRE(directory.names().size() == 2);
  const fs::path file = directory.path() / directory.names().front();
  const std::string whole = bytes_of(file);
  for (std::uint64_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    const Status status = open_changed(directory, file, bytes, &log);
    INFO(at << ": " << status.to_string());
    REQUIRE_FALSE(status.ok());
    REQUIRE(names_file(status, file));
    REQUIRE(open_changed(directory, file, whole.substr(0, at), &log).code() == StatusCode::corruption);
  }
  CHECK(open_changed(directory, file, whole + "x", &log).code() == StatusCode::corruption);
  CHECK(open_changed(directory, file, whole, &log).ok());
}

TEST_CASE("a missing, renamed or foreign segment is corruption that names it") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  append_synced(*log, 1, 40);
  log.reset();
  const auto names = directory.names();
  REQUIRE(names.size() > 4);
  const fs::path middle = directory.path() / names[2];
  const fs::path aside = directory.path().parent_path() / "aside";

  fs::rename(middle, aside);
  Status status = directory.open(&log);
  CHECK(status.code() == StatusCode::corruption);
  CHECK(names_file(status, names[3]));

  fs::rename(aside, directory.path() / "0000000000000003-0000000000000bad.log");
  CHECK(directory.open(&log).code() == StatusCode::corruption);
  fs::rename(directory.path() / "0000000000000003-0000000000000bad.log", directory.path() / "backup.log");
  status = directory.open(&log);
  CHECK(status.code() == StatusCode::corruption);
  CHECK(names_file(status, "backup.log"));
  fs::rename(directory.path() / "backup.log", middle);
  CHECK(directory.open(&log).ok());

  // Another log's segment with the same name and the same indexes: only the chain tells.
  LogDirectory other;
  auto other_log = other.create(small_segments());
  while (other.names().size() < names.size()) {
    const std::uint64_t index = other_log->last_index() + 1;
    std::string payload = payload_of(1, index);
    if (!payload.empty()) {
      payload[0] ^= 1;
    }
    REQUIRE(other_log->append(1, EntryType::transaction, payload).ok());
    sync(*other_log);
  }
  REQUIRE(other.names() == names);
  log.reset();
  fs::copy_file(other.path() / names[2], middle, fs::copy_options::overwrite_existing);
  status = directory.open(&log);
  CHECK(status.code() == StatusCode::corruption);
  CHECK(status.message().find("chain") != std::string::npos);
  CHECK(names_file(status, names[2]));
}

TEST_CASE("known_synced beyond the end is corruption that says so") {
  LogDirectory directory;
  auto log = directory.create(small_segments());
  append_synced(*log, 1, 40);
  log.reset();
  fs::remove(directory.last_segment());  // the last segment leaves no gap
  CHECK(directory.open(&log).ok());
  LogOptions options;
  options.known_synced = 40;
  const Status status = directory.open(&log, options);
  CHECK(status.code() == StatusCode::corruption);
  CHECK(status.message().find("expected 40 as the last one") != std::string::npos);
}

TEST_CASE("a header of another version is not supported, a short or foreign one is corruption") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 2);
  log.reset();
  const fs::path file = directory.last_segment();
  const std::string whole = bytes_of(file);
  std::string newer = whole;
  newer[8] = 2;
  const Status status = open_changed(directory, file, newer, &log);
  CHECK(status.code() == StatusCode::not_supported);
  CHECK(status.message().find("expected 1, found 2") != std::string::npos);
  CHECK(open_changed(directory, file, "{\"not\": \"a log segment, but long enough to be one\"}....", &log)
            .code() == StatusCode::corruption);
  // No crash leaves these: the header is on disk before the name.
  for (std::size_t size = 0; size < kSegmentHeaderBytes; ++size) {
    CHECK(open_changed(directory, file, whole.substr(0, size), &log).code() == StatusCode::corruption);
  }
  REQUIRE(open_changed(directory, file, whole.substr(0, kSegmentHeaderBytes), &log).ok());
  CHECK(log->last_index() == 0);
}

TEST_CASE("temporary files of an interrupted cut are removed and counted") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 2);
  log.reset();
  const fs::path temporary = directory.path() / (segment_name(2, 3) + ".tmp");
  for (const char* content : {"", "half a hea", "CGATELOG"}) {
    replace_file(temporary, content);
    REQUIRE(directory.open(&log).ok());
    CHECK(log->recovery().removed_files == 1);
    CHECK_FALSE(fs::exists(temporary));
    CHECK(log->last_index() == 2);
  }
}

TEST_CASE("a refused log keeps its temporary files and its torn tail") {
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 2);
  log.reset();
  const fs::path temporary = directory.path() / (segment_name(2, 3) + ".tmp");
  replace_file(temporary, "");
  LogOptions options;
  options.known_synced = 3;
  const std::string bytes = bytes_of(directory.path() / directory.names().front()) + "torn";
  CHECK(open_changed(directory, directory.path() / directory.names().front(), bytes, &log, options).code() ==
        StatusCode::corruption);
  CHECK(fs::exists(temporary));
}

TEST_CASE("records inside a payload are never taken for records of the log") {
  // The payload holds the log's own segment, and records that would testify for the entry that is torn.
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 5);
  std::string payload = bytes_of(directory.last_segment());
  for (std::uint64_t index = 6; index < 30; ++index) {
    const Entry entry{1, index, EntryType::transaction, "forged"};
    append_record(&payload, 1, payload.size(), entry, index - 1, 0);
  }
  REQUIRE(log->append(1, EntryType::transaction, payload).ok());
  sync(*log);
  log.reset();
  const fs::path file = directory.last_segment();
  const std::string whole = bytes_of(file);
  const std::uint64_t start = record_offsets(file)[5];
  for (std::uint64_t size = start + 1; size < whole.size(); size += 3) {
    REQUIRE(open_changed(directory, file, whole.substr(0, size), &log).ok());
    REQUIRE(log->last_index() == 5);
  }
  for (std::uint64_t at = start; at < whole.size(); at += 3) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    REQUIRE(open_changed(directory, file, bytes, &log).ok());
    REQUIRE(log->last_index() == 5);
  }
}

TEST_CASE("an older version of an acknowledged record is found by the record behind it") {
  // Two histories that differ in entry 3 only; the disk shows the old entry 3 in the new history.
  std::string bytes[2];
  std::vector<std::uint64_t> offsets;
  for (int history = 0; history < 2; ++history) {
    LogDirectory directory;
    auto log = directory.create();
    append_synced(*log, 1, 2);
    REQUIRE(log->append(1, EntryType::transaction, history == 0 ? "old" : "new").ok());
    sync(*log);
    append_entries(*log, 1, 1);
    sync(*log);
    log.reset();
    bytes[history] = bytes_of(directory.last_segment());
    offsets = record_offsets(directory.last_segment());
  }
  LogDirectory directory;
  auto log = directory.create();
  log.reset();
  const fs::path file = directory.last_segment();
  const std::string mixed = bytes[0].substr(0, offsets[3]) + bytes[1].substr(offsets[3]);
  const Status status = open_changed(directory, file, mixed, &log);
  CHECK(status.code() == StatusCode::corruption);
  CHECK(status.message().find("entry 3 was durable and is another one now") != std::string::npos);
}
