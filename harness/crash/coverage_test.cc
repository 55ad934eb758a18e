#include "harness/crash/coverage.h"

#include <set>

#include "harness/base/test.h"
#include "harness/crash/plan.h"
#include "harness/wire/flight_recorder.h"

using namespace chaosgate;
using namespace chaosgate::crash;
using tap::StorageCall;

namespace {

tap::TraceRecord record(StorageCall call, const std::string& file_class, const std::string& phase,
                        std::uint64_t bytes = 0) {
  tap::TraceRecord made;
  made.call = call;
  made.file_class = file_class;
  made.phase = phase;
  made.requested = bytes;
  return made;
}

}  // namespace

TEST_CASE("calls that were seen become cells, once each") {
  Coverage coverage;
  coverage.saw({record(StorageCall::write, "sst", "flush", 10000),
                record(StorageCall::write, "sst", "flush", 10), record(StorageCall::datasync, "sst", "flush"),
                record(StorageCall::refused, "sst", "flush")});
  CHECK(coverage.take_new() == std::vector<std::string>{"before sst.write/flush", "before sst.datasync/flush",
                                                        "after sst.write/flush", "after sst.datasync/flush",
                                                        "inside sst.write/flush"});
  coverage.saw(
      {record(StorageCall::datasync, "sst", "flush"), record(StorageCall::datasync, "sst", "open-log")});
  CHECK(coverage.take_new() ==
        std::vector<std::string>{"before sst.datasync/open-log", "after sst.datasync/open-log"});
}

TEST_CASE("steering goes through all cells before it hits one twice") {
  Coverage coverage;
  coverage.saw({record(StorageCall::write, "sst", "flush", 10000),
                record(StorageCall::datasync, "sst", "flush"),
                record(StorageCall::datasync, "sst", "replay")});
  CHECK_FALSE(Coverage().choose(1, false));
  std::set<std::string> sites;
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const auto fault = coverage.choose(i, false);
    REQUIRE(fault);
    CHECK(fault->is_kill());
    CHECK(sites.insert(to_string(*fault)).second);
    coverage.hit(
        cell_of(fault->action, record(*fault->site.call, fault->site.file_class, fault->site.phase)));
  }
  CHECK(sites.size() == 5);
  CHECK(sites.contains("kill-inside~1p@sst.write/flush#1"));
  CHECK(coverage.choose(7, true)->site.phase == "replay");
}

TEST_CASE("the same knowledge and number choose the same place") {
  Coverage coverage;
  for (const char* phase : {"flush", "apply", "log-sync"}) {
    coverage.saw(
        {record(StorageCall::write, "sst", phase, 6000), record(StorageCall::write, "sst", phase, 6000)});
  }
  std::set<std::string> chosen;
  for (std::uint64_t i = 1; i < 200; ++i) {
    Coverage first = coverage;
    Coverage second = coverage;
    CHECK(first.choose(i, false) == second.choose(i, false));
    chosen.insert(to_string(*Coverage(coverage).choose(i, false)));
  }
  CHECK(chosen.size() == 3 * 3 * 2);  // place, phase, occurrence
  CHECK(chosen.contains("kill-inside~1p@sst.write/apply#2"));
}

TEST_CASE("errors that are aimed go through all phases of a kind of call, and rather to early calls") {
  // What is acknowledged behind a flush counts twice.
  Coverage coverage;
  std::vector<tap::TraceRecord> records(64, record(StorageCall::write, "sst", "compaction", 600));
  records.push_back(record(StorageCall::write, "sst", "flush", 600));
  coverage.saw(records);
  std::map<std::string, int> phases;
  int early = 0;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const auto error = coverage.choose_error(i);
    REQUIRE(error);
    ++phases[error->site.phase];
    early += error->site.occurrence <= 8 && error->site.phase == "compaction" ? 1 : 0;
  }
  CHECK(phases == std::map<std::string, int>{{"compaction", 33}, {"flush", 67}});
  CHECK((early > 8 && early < 28));
}

TEST_CASE("errors that are aimed go to each call of a burst, though a load ended in the first of one") {
  Coverage coverage;
  const tap::TraceRecord sync = record(StorageCall::sync, "dir", "flush");
  const tap::TraceRecord other = record(StorageCall::allocate, "wal", "apply");
  coverage.saw({sync, sync, other, sync, sync, other, sync, sync});
  coverage.saw({sync});
  std::map<std::uint64_t, int> occurrences;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    ++occurrences[coverage.choose_error(i)->site.occurrence];
  }
  CHECK(occurrences.size() == 2);
  CHECK((occurrences[1] > 30 && occurrences[2] > 30));
}

TEST_CASE("three of four errors that are aimed go to the engine's own files") {
  Coverage coverage;
  std::vector<tap::TraceRecord> records(50, record(StorageCall::datasync, "segment", "log-sync"));
  records.push_back(record(StorageCall::sync, "dir", "flush"));
  records.back().path = "engine";
  records.push_back(record(StorageCall::unlink, "wal", "compaction"));
  records.back().path = "engine/000001.log";
  coverage.saw(records);
  int of_engine = 0;
  for (std::uint64_t i = 1; i <= 400; ++i) {
    of_engine += coverage.choose_error(i)->site.file_class != "segment" ? 1 : 0;
  }
  CHECK((of_engine > 260 && of_engine < 340));
}

TEST_CASE("errors that are aimed go through all classes of files, and syncs lose pages") {
  Coverage coverage;
  CHECK_FALSE(coverage.choose_error(1));
  std::vector<tap::TraceRecord> records(100, record(StorageCall::datasync, "segment", "log-sync"));
  records.push_back(record(StorageCall::datasync, "sst", "flush"));
  records.push_back(record(StorageCall::write, "sst", "flush", 600));
  records.push_back(record(StorageCall::rename, "current", "flush"));
  records.push_back(record(StorageCall::write, "other", "open-log", 600));  // of a recovery
  coverage.saw(records);
  std::map<std::string, int> sites;
  std::map<tap::FaultAction, int> actions;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const auto error = coverage.choose_error(i);
    REQUIRE(error);
    CHECK_FALSE(error->is_kill());
    CHECK(error->site.times <= kLastingErrors);
    ++sites[error->site.file_class + "." + std::string(tap::to_string(*error->site.call))];
    ++actions[error->action];
  }
  CHECK(sites ==
        std::map<std::string, int>{
            {"current.rename", 10}, {"segment.datasync", 30}, {"sst.datasync", 30}, {"sst.write", 30}});
  CHECK(actions[tap::FaultAction::lost_sync] == 40);
}

TEST_CASE("an error planned for any file is placed where such a call was seen, each place as likely") {
  Coverage coverage;
  std::vector<tap::TraceRecord> records(100, record(StorageCall::datasync, "segment", "log-sync"));
  records.push_back(record(StorageCall::datasync, "manifest", "flush"));
  records.push_back(record(StorageCall::datasync, "sst", "replay"));
  records.push_back(record(StorageCall::write, "sst", "flush", 600));
  coverage.saw(records);
  int manifest = 0;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    tap::StorageFault error;
    error.action = tap::FaultAction::lost_sync;
    error.site.occurrence = 77;
    coverage.place(i, &error);
    CHECK(error.site.call == StorageCall::datasync);
    CHECK((error.site.file_class == "segment" || error.site.file_class == "manifest"));
    manifest += error.site.file_class == "manifest" ? 1 : 0;
    const tap::StorageFault placed = error;
    coverage.place(i + 1, &error);
    CHECK(error == placed);  // it names a class already
  }
  CHECK((manifest > 25 && manifest < 75));
  tap::StorageFault full;
  full.action = tap::FaultAction::full;
  const tap::StorageFault before = full;
  coverage.place(1, &full);
  CHECK(full == before);
}

TEST_CASE("every phase of the protocol belongs to a load or to a recovery") {
  int recovery = 0;
  for (const std::string_view phase : wire::protocol_phases()) {
    recovery += is_recovery_phase(phase) ? 1 : 0;
  }
  CHECK(recovery == 5);
}
