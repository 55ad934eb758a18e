// What survives, copies, compaction, sizes, descriptions.
#include <chrono>
#include <thread>

#include "engines/conformance/store.h"
#include "engines/marker.h"
#include "harness/base/rng.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr int kReclaimTriesMax = 20;
constexpr auto kReclaimPause = std::chrono::milliseconds(50);

void flush_survives_close(const ConformanceSubject& subject, Maintenance maintenance) {
  Store store(subject, test_options(maintenance));
  State expected(3);
  for (int i = 0; i < 100; ++i) {
    WriteBatch batch;
    batch.put(static_cast<KeyspaceId>(i % 3), "key" + std::to_string(i), std::string(i, 'v'));
    batch.erase(kFirst, "key" + std::to_string(i - 30));
    store.write(batch, &expected);
  }
  expect(store->flush(), "flush");
  expect(store->flush(), "flush with nothing to do");
  store.reopen();
  expect_state(*store, expected);
  store.reopen();
  expect_state(*store, expected);
}

void contract_after_a_kill(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "flushed", "1");
  put(*store, kSecond, "flushed", "1");
  expect(store->flush(), "flush");
  const State flushed = read_state(*store);
  put(*store, kFirst, "committed", "1");
  put(*store, kThird, "committed", "1");
  const State committed = read_state(*store);

  crash_copy(store.path(), store.path("crashed"));
  const bool volatile_commits = store.config().contract.commit == Durability::nothing;
  const State& expected = volatile_commits ? flushed : committed;
  {
    const std::unique_ptr<Engine> crashed = store.open_beside("crashed");
    const std::string differs = difference(read_state(*crashed), expected);
    EXPECT(differs.empty(), "after a kill: {}; the contract says that a commit survives {}", differs,
           to_string(store.config().contract.commit));
  }
  store.reopen();
  if (const std::string differs = difference(read_state(*store), expected); !differs.empty()) {
    // A close that commits is right as long as it commits everything.
    EXPECT(volatile_commits && difference(read_state(*store), committed).empty(), "after a clean close: {}",
           differs);
    note(subject, "a clean close commits what a kill would lose");
  }
}

void checkpoint_is_a_store(const ConformanceSubject& subject) {
  Store store(subject);
  State expected(3);
  for (int i = 0; i < 200; ++i) {
    WriteBatch batch;
    batch.put(static_cast<KeyspaceId>(i % 3), "key" + std::to_string(i % 50), std::to_string(i));
    store.write(batch, &expected);
    if (i == 100) {
      expect(store->flush(), "flush");
    }
  }
  expect(store->checkpoint(store.path("checkpoint")), "checkpoint");
  EXPECT(!store->checkpoint(store.path("checkpoint")).ok(), "a checkpoint into a directory that exists");
  put(*store, kFirst, "after", "checkpoint");

  std::unique_ptr<Engine> copy = store.open_beside("checkpoint");
  expect_state(*copy, expected);
  expect(copy->check_integrity(), "check_integrity of the copy");
  put(*copy, kSecond, "only", "in the copy");
  expect(copy->compact(), "compact the copy");
  expect(copy->flush(), "flush the copy");
  EXPECT(!get(*store, kSecond, "only"));
  EXPECT(get(*store, kFirst, "after") == "checkpoint");
  copy.reset();
  EXPECT(get(*store.open_beside("checkpoint"), kSecond, "only") == "in the copy");
}

void compaction_frees_space(const ConformanceSubject& subject) {
  Store store(subject);
  expect(store->compact(), "compact an empty store");
  Rng rng(5);
  State expected(3);
  for (int i = 0; i < 300; ++i) {
    WriteBatch batch;
    std::string value;
    rng.append_bytes(&value, 4000);
    batch.put(static_cast<KeyspaceId>(i % 3), "key" + std::to_string(rng.below(40)), value);
    store.write(batch, &expected);
    if (i % 50 == 49) {
      expect(store->flush(), "flush");
    }
  }
  WriteBatch batch;
  batch.erase_range(kFirst, "key1", "key3");
  batch.erase_range(kSecond, "key1", "key3");
  store.write(batch, &expected);
  expect(store->flush(), "flush");
  SizeInfo before;
  expect(store->size(&before), "size");
  expect(store->compact(), "compact");
  expect_state(*store, expected);
  SizeInfo after;
  for (int i = 0; i < kReclaimTriesMax; ++i) {  // an engine may give space back a little later
    expect(store->size(&after), "size");
    if (after.bytes_on_disk < before.bytes_on_disk) {
      break;
    }
    std::this_thread::sleep_for(kReclaimPause);
  }
  if (after.bytes_on_disk >= before.bytes_on_disk) {
    note(subject, fmt::format("compaction gave no space back: {} bytes before, {} after",
                              before.bytes_on_disk, after.bytes_on_disk));
  }
  expect(store->check_integrity(), "check_integrity");
  put(*store, kFirst, "after", "1");
  store.reopen_keeping_all();
  expected[kFirst]["after"] = "1";
  expect_state(*store, expected);
}

void sizes_are_plausible(const ConformanceSubject& subject) {
  Store store(subject);
  SizeInfo empty;
  expect(store->size(&empty), "size");
  EXPECT(empty.bytes_on_disk > 0);
  Rng rng(6);
  for (int i = 0; i < 100; ++i) {
    std::string value;
    rng.append_bytes(&value, 10000);
    put(*store, kFirst, "key" + std::to_string(i), value);
  }
  expect(store->flush(), "flush");
  SizeInfo full;
  expect(store->size(&full), "size");
  EXPECT(full.bytes_on_disk >= empty.bytes_on_disk + 1000000, "{} bytes, {} when empty", full.bytes_on_disk,
         empty.bytes_on_disk);
  EXPECT(full.bytes_in_use >= 1000000, "{} bytes", full.bytes_in_use);
  EXPECT(full.bytes_in_use <= full.bytes_on_disk, "{} of {} bytes", full.bytes_in_use, full.bytes_on_disk);
}

void unknown_keyspace_is_an_error(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "k", "v");
  expect(store->flush(), "flush");
  store.close();
  EngineOptions options = store.options();
  options.keyspaces = {"first", "second", "another"};
  std::unique_ptr<Engine> engine;
  EXPECT(!open_engine(store.config(), store.path(), options, &engine).ok(),
         "opened with an unknown keyspace");
  EXPECT(engine == nullptr);
  store.reopen();
  EXPECT(get(*store, kFirst, "k") == "v");
}

void emptied_store_is_not_opened(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "k", "v");
  expect(store->flush(), "flush");
  store.close();
  for (const fs::directory_entry& entry : fs::directory_iterator(store.path())) {
    const std::string name = entry.path().filename();
    if (name != kMarkerFile) {
      fs::remove_all(entry.path());
    }
  }
  EXPECT(!store.config().has_store(store.path()), "a directory without files is said to hold a store");
  std::unique_ptr<Engine> engine;
  EXPECT(!open_engine(store.config(), store.path(), store.options(), &engine).ok(),
         "a directory that lost its files was opened");
}

void family_opens_each_other(const ConformanceSubject& subject) {
  Store store(subject);
  put(*store, kFirst, "k", "v");
  expect(store->flush(), "flush");
  store.close();
  for (const EngineConfig& other : subject.family) {
    std::unique_ptr<Engine> engine;
    expect(open_engine(other, store.path(), store.options(), &engine), "open by " + other.name);
    EXPECT(get(*engine, kFirst, "k") == "v", "opened by {}", other.name);
  }
}

void modes_open_each_other(const ConformanceSubject& subject) {
  Store store(subject);
  State expected(3);
  int round = 0;
  for (const Tuning tuning : {Tuning::stock, Tuning::lean}) {
    for (const Maintenance maintenance : {Maintenance::free_running, Maintenance::scheduled}) {
      if (store.config().contract.commit == Durability::nothing) {
        expect(store->flush(), "flush");
      }
      store.reopen(test_options(maintenance, tuning));
      WriteBatch batch;
      batch.put(kFirst, "round" + std::to_string(round++), to_string(tuning));
      store.write(batch, &expected);
      expect_state(*store, expected);
    }
  }
}

void describes_itself(const ConformanceSubject& subject) {
  const EngineConfig& config = subject.config;
  EXPECT(!config.family.empty());
  EXPECT(!config.summary.empty());
  EXPECT(!config.version.empty());
  EXPECT(config.contract.flush >= config.contract.commit);
  EXPECT(!config.file_classes.empty());
  EXPECT(config.file_classes.back().pattern == "*", "every file needs a class");
}

}  // namespace

std::vector<ConformanceCheck> store_checks() {
  return {
      {"a configuration describes itself", describes_itself},
      {"what a flush covered is there after a close, scheduled",
       [](const ConformanceSubject& subject) { flush_survives_close(subject, Maintenance::scheduled); }},
      {"what a flush covered is there after a close, free-running",
       [](const ConformanceSubject& subject) { flush_survives_close(subject, Maintenance::free_running); }},
      {"after a kill there is what the contract says, no less and, when scheduled, no more",
       contract_after_a_kill},
      {"a checkpoint opens as a store with the same content, and the two are independent",
       checkpoint_is_a_store},
      {"compaction keeps the content; whether it frees space is noted", compaction_frees_space},
      {"sizes are plausible", sizes_are_plausible},
      {"a keyspace that the store does not have is an error, not a new keyspace",
       unknown_keyspace_is_an_error},
      {"a directory that lost its files is refused, never opened as an empty store",
       emptied_store_is_not_opened},
      {"configurations of one family open each other's directories after a clean close",
       family_opens_each_other},
      {"both tunings and both maintenance modes open each other's directories", modes_open_each_other},
  };
}

}  // namespace chaosgate::engines
