// Failed system calls: the log refuses everything from then on, and what it acknowledged stays.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "harness/base/unique_fd.h"
#include "harness/log/log_test_util.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

namespace {

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

// Bytes this process has handed to write(2) so far, see proc_pid_io(5).
std::uint64_t bytes_written() {
  const std::string io = bytes_of("/proc/self/io");
  return std::stoull(io.substr(io.find("wchar: ") + 7));
}

}  // namespace

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

TEST_CASE("opening writes the records again that nobody proved to be synced") {
  // A failed fdatasync leaves clean pages that only memory has; only a new write makes the next one work.
  LogDirectory directory;
  auto log = directory.create();
  append_synced(*log, 1, 5);
  const std::uint64_t before_group = fs::file_size(directory.last_segment());
  append_entries(*log, 1, 3);
  sync(*log);
  log.reset();
  const auto bytes_rewritten = [&] {
    const std::uint64_t before = bytes_written();
    log = directory.reopen();
    return bytes_written() - before;
  };
  CHECK(bytes_rewritten() == fs::file_size(directory.last_segment()) - before_group);
  append_entries(*log, 2, 1);  // carries the proof for all before it
  sync(*log);
  CHECK(bytes_rewritten() == payload_of(2, 9).size() + kRecordOverheadBytes);
  REQUIRE(log->truncate_suffix(1).ok());
  CHECK(bytes_rewritten() == 0);
}
