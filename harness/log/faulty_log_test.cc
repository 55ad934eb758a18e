// Each planted fault breaks what it says, and the correct log under the same calls does not.

#include "harness/log/faulty_log.h"

#include <set>

#include "harness/log/log_test_util.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

namespace {

// Creates, loads with `load`, and "crashes": the objects go, and with them what is in user space.
template <typename Load>
std::unique_ptr<Log> crash_and_reopen(LogDirectory& directory, std::string_view fault, const Load& load,
                                      LogOptions options = {}) {
  configure_log_fault(fault, &options);
  {
    auto log = wrap_log(fault, directory.create(options));
    load(*log);
  }
  return wrap_log(fault, directory.reopen(options));
}

std::uint64_t entries_lost(std::string_view fault) {
  LogDirectory directory;
  std::uint64_t acknowledged = 0;
  const auto log = crash_and_reopen(directory, fault, [&](Log& faulty) {
    append_synced(faulty, 1, 13);
    acknowledged = faulty.synced_index();
  });
  return acknowledged - log->last_index();
}

}  // namespace

TEST_CASE("every planted fault of the log has a name, a mechanism and a source") {
  std::set<std::string_view> names;
  for (const LogFaultInfo& fault : log_faults()) {
    names.insert(fault.name);
    CHECK_FALSE(fault.mechanism.empty());
    CHECK_FALSE(fault.published_as.empty());
    // Each is a decorator or a configuration.
    LogDirectory directory;
    auto log = directory.create();
    const Log* plain = log.get();
    log = wrap_log(fault.name, std::move(log));
    LogOptions options;
    configure_log_fault(fault.name, &options);
    CHECK((log.get() != plain) != (options != LogOptions{}));
  }
  CHECK(names == std::set<std::string_view>{"ack-before-sync", "acked-before-append", "truncate-too-early",
                                            "stale-entry", "tail-resurrected", "fsync-gate", "rollover-hole",
                                            "appends-reorder", "recovered-tail-unsynced", "torn-tail-kept"});
  LogDirectory directory;
  auto log = directory.create();
  const Log* plain = log.get();
  CHECK(wrap_log("none", std::move(log)).get() == plain);
}

TEST_CASE("ack-before-sync and acked-before-append lose acknowledged entries, the correct log none") {
  CHECK(entries_lost("") == 0);
  CHECK(entries_lost("ack-before-sync") == 5);      // 8 of 13 were really synced
  CHECK(entries_lost("acked-before-append") == 1);  // the last one
}

TEST_CASE("an early acknowledgement falls back with a suffix truncation") {
  LogDirectory directory;
  auto log = wrap_log("ack-before-sync", directory.create());
  append_synced(*log, 1, 5);
  CHECK(log->synced_index() == 5);
  REQUIRE(log->truncate_suffix(3).ok());
  CHECK(log->synced_index() == 2);
}

TEST_CASE("truncate-too-early drops entries that were still needed, the correct log none") {
  for (const std::string_view fault : {"", "truncate-too-early"}) {
    LogDirectory directory;
    LogOptions options;
    options.segment_bytes = 500;
    const auto log = crash_and_reopen(
        directory, fault,
        [](Log& faulty) {
          append_synced(faulty, 1, 60);
          REQUIRE(faulty.truncate_prefix(10).ok());
        },
        options);
    CHECK((log->first_index() > 11) == !fault.empty());
    CHECK(log->last_index() == 60);
  }
}

TEST_CASE("stale-entry returns the entry before, however the range is read") {
  LogDirectory directory;
  auto log = wrap_log("stale-entry", directory.create());
  append_synced(*log, 1, 130);
  const auto check = [](const OwnedEntry& entry) {
    const bool stale = entry.index == 61 || entry.index == 122;
    CHECK(entry.payload == payload_of(1, stale ? entry.index - 1 : entry.index));
  };
  for (const OwnedEntry& entry : read_all(*log)) {
    check(entry);
  }
  for (std::uint64_t index = 1; index <= 130; ++index) {
    std::vector<OwnedEntry> entries;
    REQUIRE(read_range(*log, index, index, &entries).ok());
    REQUIRE(entries.size() == 1);
    check(entries.front());
  }
}

TEST_CASE("torn-tail-kept loses at the second recovery what came after the first, the correct log nothing") {
  for (const std::string_view fault : {"", "torn-tail-kept"}) {
    CAPTURE(fault);
    LogDirectory directory;
    LogOptions options;
    configure_log_fault(fault, &options);
    append_synced(*directory.create(options), 1, 9);
    const std::filesystem::path segment = directory.path() / segment_name(kFirstSequence, 1);
    std::filesystem::resize_file(segment, std::filesystem::file_size(segment) - 3);
    {
      const auto log = directory.reopen(options);
      CHECK(log->last_index() == 8);
      append_synced(*log, 2, 4);
      CHECK(log->last_index() == 12);
      CHECK(read_all(*log).size() == 12);
    }
    CHECK(directory.reopen(options)->last_index() == (fault.empty() ? 12 : 8));
  }
}

TEST_CASE("tail-resurrected brings back entries that were cut off, the correct log none") {
  for (const std::string_view fault : {"", "tail-resurrected"}) {
    LogDirectory directory;
    const auto log = crash_and_reopen(directory, fault, [](Log& faulty) {
      append_synced(faulty, 1, 30);
      REQUIRE(faulty.truncate_suffix(10).ok());
      REQUIRE(faulty.append(2, EntryType::transaction, "short").ok());
      sync(faulty);
    });
    CHECK(log->last_index() == (fault.empty() ? 10 : 30));
  }
}
