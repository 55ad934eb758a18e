// Snapshots between replicas over real engines, in this process. Crashes are installation_crash_test.cc's
// part.
#include <filesystem>
#include <string>

#include "engines/marker.h"
#include "engines/registry.h"
#include "harness/replica/rig_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using snapshot::ReceivedSnapshot;
using snapshot::SnapshotReceiver;
using snapshot::SnapshotSource;
using wire::Protocol;

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kEntries = 120;  // of the sender, behind those of the preload

std::string some_engine() {
  return GENERATE(as<std::string>{}, "lmdb", "lmdb-nosync", "rocksdb", "rocksdb-wal");
}

// A replica in its second life, with so many entries behind those of the preload.
void start(Rig& rig, std::uint64_t entries) {
  rig.create();
  rig.recover();
  rig.write_entries(entries);
}

std::string bytes_from(Rig& sender, std::string_view receiver_family) {
  std::unique_ptr<SnapshotSource> source;
  expect_ok(sender.replica->make_snapshot(receiver_family, &source));
  std::string bytes;
  std::string chunk;
  do {
    expect_ok(source->read(10'000, &chunk));
    bytes += chunk;
  } while (!chunk.empty());
  return bytes;
}

Status receive(Rig& receiver, std::string_view bytes, ReceivedSnapshot* received) {
  const std::unique_ptr<SnapshotReceiver> taking = receiver.replica->make_receiver();
  RETURN_IF_ERROR(taking->feed(bytes));
  return taking->finish(received);
}

Status send(Rig& sender, Rig& receiver) {
  ReceivedSnapshot received;
  RETURN_IF_ERROR(receive(receiver, bytes_from(sender, receiver.replica->config().family), &received));
  return receiver.replica->install_snapshot(received);
}

// What is in the data directory beside what belongs there.
std::string leftovers(const Rig& rig) {
  std::string found;
  for (const auto& entry : fs::directory_iterator(rig.path())) {
    const std::string name = entry.path().filename().string();
    if (name != "engine" && name != "log" && name != kSidecarFile) {
      found += name + " ";
    }
  }
  return fs::exists(rig.path() / "engine" / kInstallationFile) ? found + "a record" : found;
}

}  // namespace

TEST_CASE("an installed snapshot is the sender's state, and the replica goes on from there") {
  Rig sender(some_engine(), Protocol::in_batch);
  // Both protocols for each engine on each side.
  const bool sidecar = sender.order.engine == "lmdb" || sender.order.engine == "rocksdb";
  Rig receiver(some_engine(), sidecar ? Protocol::sidecar : Protocol::in_batch);
  CAPTURE(sender.order.engine, receiver.order.engine, wire::to_string(receiver.order.protocol));
  start(sender, kEntries);
  start(receiver, 10);
  const StateIndex at = sender.replica->applied();
  expect_ok(send(sender, receiver));
  CHECK(receiver.actual() == sender.expected(at.index));
  CHECK(receiver.replica->applied() == at);
  CHECK(receiver.stored_witness() == at.index);
  CHECK(receiver.replica->log().first_index() == at.index + 1);
  CHECK(receiver.replica->log().last_term() == at.term);
  CHECK(receiver.recorder.appended == at.index);
  CHECK(receiver.recorder.synced == at.index);
  CHECK(receiver.recorder.applied == at.index);
  CHECK(receiver.recorder.flushed == at.index);
  CHECK(leftovers(receiver).empty());
  CHECK(leftovers(sender).empty());

  sender.write_entries(20);
  receiver.write_entries(20);
  CHECK(receiver.actual() == sender.expected(at.index + 20));
  receiver.recover();
  CHECK(receiver.actual() == sender.expected(at.index + 20));
}

TEST_CASE("a snapshot ends at what is applied and not at what is appended") {
  Rig sender(some_engine(), Protocol::sidecar);
  Rig receiver("lmdb", Protocol::in_batch);
  start(sender, kEntries);
  start(receiver, 10);
  const std::uint64_t applied = sender.replica->applied().index;
  expect_ok(
      sender.replica->append(applied + 1, sender.generator.transaction(sender.order.term, applied + 1)));
  expect_ok(sender.replica->sync());
  expect_ok(send(sender, receiver));
  CHECK(receiver.stored_witness() == applied);
  CHECK(receiver.actual() == sender.expected(applied));
}

TEST_CASE("a replica that installed a snapshot sends the next one") {
  Rig first("rocksdb", Protocol::sidecar);
  Rig second("lmdb", Protocol::sidecar);
  Rig third("rocksdb", Protocol::in_batch);
  start(first, kEntries);
  start(second, 10);
  start(third, 20);
  expect_ok(send(first, second));
  expect_ok(send(second, third));
  CHECK(third.replica->applied() == first.replica->applied());
  CHECK(third.actual() == first.expected(first.replica->applied().index));
}

TEST_CASE("a stale snapshot is refused and the replica goes on") {
  Rig sender("lmdb", Protocol::in_batch);
  Rig receiver(some_engine(), Protocol::in_batch);
  start(sender, 30);
  start(receiver, 30);
  CHECK(send(sender, receiver).code() == StatusCode::invalid_argument);

  // It was not stale when it was received.
  sender.write_entries(1);
  ReceivedSnapshot received;
  expect_ok(receive(receiver, bytes_from(sender, receiver.replica->config().family), &received));
  receiver.write_entries(5);
  CHECK(receiver.replica->install_snapshot(received).code() == StatusCode::invalid_argument);
  REQUIRE(receiver.replica->serves());
  receiver.write_entries(5);
  CHECK(leftovers(receiver).empty());
  const std::uint64_t last = receiver.replica->log().last_index();
  CHECK(receiver.actual() == receiver.expected(last));
}

TEST_CASE("a log that goes on behind the snapshot is not given up for it, another log is") {
  Rig sender("rocksdb", Protocol::in_batch);
  Rig receiver("rocksdb", Protocol::in_batch);
  start(sender, 40);
  start(receiver, 10);
  ReceivedSnapshot received;
  const std::string bytes = bytes_from(sender, "rocksdb");
  expect_ok(receive(receiver, bytes, &received));
  const auto append_unapplied = [&](std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t index = receiver.replica->log().last_index() + 1;
      expect_ok(receiver.replica->append(index, receiver.generator.transaction(receiver.order.term, index)));
    }
    expect_ok(receiver.replica->sync());
  };
  SECTION("entries of the same term, that may have been acknowledged") {
    append_unapplied(50);
    const Status status = receiver.replica->install_snapshot(received);
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.message().find("not needed") != std::string::npos);
    expect_ok(receiver.replica->apply_pending(50));
    CHECK(receiver.actual() == receiver.expected(receiver.replica->log().last_index()));
  }
  SECTION("entries that another leader never committed") {
    receiver.recover();  // in a term that the sender did not see
    append_unapplied(50);
    expect_ok(receiver.replica->install_snapshot(received));
    CHECK(receiver.replica->log().last_index() == sender.replica->applied().index);
    CHECK(receiver.replica->pending() == 0);
    CHECK(receiver.actual() == sender.expected(sender.replica->applied().index));
    CHECK(receiver.recorder.synced == sender.replica->applied().index);
  }
}

TEST_CASE("a bare data file is installed at the index that it holds") {
  Rig sender("lmdb", Protocol::in_batch);
  Rig receiver("lmdb-nosync", Protocol::sidecar);
  start(sender, kEntries);
  start(receiver, 10);
  expect_ok(sender.replica->engine().checkpoint(sender.path() / "copy"));
  std::string bytes;
  expect_ok(read_file(sender.path() / "copy" / "data.mdb", &bytes));
  ReceivedSnapshot received;
  expect_ok(receive(receiver, bytes, &received));
  expect_ok(receiver.replica->install_snapshot(received));
  CHECK(receiver.replica->applied() == StateIndex{sender.replica->applied().index, 0});
  CHECK(receiver.actual() == sender.expected(sender.replica->applied().index));
  // Now it is stale.
  CHECK(receiver.replica->install_snapshot(received).code() == StatusCode::invalid_argument);
  receiver.write_entries(5);
  receiver.recover();
}

TEST_CASE("what recovery finds beside a whole engine is removed, and what may be all that is left is kept") {
  Rig rig(GENERATE(as<std::string>{}, "lmdb", "rocksdb"), Protocol::sidecar);
  start(rig, 20);
  const std::uint64_t last = rig.replica->log().last_index();
  rig.close();
  const fs::path engine = rig.path() / "engine";
  SECTION("beside a whole engine") {
    copy_tree(engine, rig.path() / "engine.installing");
    copy_tree(engine, rig.path() / "engine.replaced");
    fs::create_directory(rig.path() / "engine.placing");
    rig.recover();
    CHECK(leftovers(rig).empty());
    CHECK(rig.actual() == rig.expected(last));
  }
  SECTION("only the replaced one") {
    fs::rename(engine, rig.path() / "engine.replaced");
    fs::create_directory(rig.path() / "engine.placing");
    rig.recover();
    CHECK(leftovers(rig).empty());
    CHECK(rig.actual() == rig.expected(last));
  }
  SECTION("an installation that is not whole") {
    fs::rename(engine, rig.path() / "engine.installing");
    CHECK(rig.open().code() == StatusCode::corruption);
    CHECK(fs::exists(rig.path() / "engine.installing" / engines::kMarkerFile));
    CHECK_FALSE(fs::exists(engine));
  }
  SECTION("an empty directory in the place of the engine") {
    fs::rename(engine, rig.path() / "engine.replaced");
    fs::create_directory(engine);
    CHECK(rig.open().code() == StatusCode::corruption);
    CHECK(fs::exists(rig.path() / "engine.replaced" / engines::kMarkerFile));
    CHECK(fs::is_empty(engine));
  }
  SECTION("a damaged record") {
    replace_file(engine / kInstallationFile, "CGINSTAL and something");
    CHECK(rig.open().code() == StatusCode::corruption);
  }
  SECTION("no engine and no trace of one") {
    fs::remove_all(engine);
    CHECK_FALSE(rig.open().ok());
    CHECK_FALSE(fs::exists(engine));
  }
}

TEST_CASE(
    "planted: a snapshot of unflushed state is refused by whoever looks and installed by who does not") {
  const std::string fault = "snapshot-of-unflushed-state";
  Rig sender("rocksdb", Protocol::in_batch);
  Rig receiver("lmdb", Protocol::in_batch);
  sender.order.fault = fault;
  start(sender, 40);
  const std::uint64_t applied = sender.replica->applied().index;
  expect_ok(
      sender.replica->append(applied + 1, sender.generator.transaction(sender.order.term, applied + 1)));
  SECTION("a receiver that looks") {
    start(receiver, 10);
    const std::uint64_t before = receiver.replica->applied().index;
    const Status status = send(sender, receiver);
    CHECK(status.code() == StatusCode::corruption);
    REQUIRE(receiver.replica->serves());
    CHECK(leftovers(receiver).empty());
    CHECK(receiver.actual() == receiver.expected(before));
  }
  SECTION("a receiver that does not") {
    receiver.order.fault = fault;
    start(receiver, 10);
    expect_ok(send(sender, receiver));
    // It lacks an entry that its log no longer gives.
    CHECK(receiver.stored_witness() == applied);
    CHECK(receiver.replica->log().first_index() == applied + 2);
    expect_ok(receiver.open());
    CHECK(receiver.replica->replay().code() == StatusCode::corruption);
  }
}

TEST_CASE("planted: every fault of snapshots can be found by its name and is a group's") {
  for (const snapshot::SnapshotFaultInfo& fault : snapshot::snapshot_faults()) {
    CHECK(find_planted_fault(fault.name).snapshot == fault.faults);
    std::size_t listed = 0;
    for (const wire::FaultDescription& one : planted_faults()) {
      if (one.name == fault.name) {
        ++listed;
        CHECK(one.replicas.size() >= 2);
        CHECK(one.power_profiles.empty() == fault.power_profile.empty());
      }
    }
    CHECK(listed == 1);
  }
}
