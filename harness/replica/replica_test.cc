// A replica over real engines, in this process: what it recovers is compared with the same entries applied to
// maps in memory. Closing without a flush stands in for the crash; real kills are the campaign tests' part.
#include "harness/replica/replica.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engines/registry.h"
#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/replica/load.h"
#include "harness/replica/rig_for_test.h"
#include "workloads/map_state_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using wire::Protocol;
using workloads::Keyspace;
using workloads::MapState;

namespace {

namespace fs = std::filesystem;

Protocol any_protocol() { return GENERATE(Protocol::in_batch, Protocol::sidecar); }
std::string any_engine() {
  return GENERATE(as<std::string>{}, "lmdb", "lmdb-nosync", "rocksdb", "rocksdb-wal");
}

}  // namespace

TEST_CASE("replay brings back exactly the entries that the engine lacks") {
  Rig rig(any_engine(), any_protocol());
  CAPTURE(rig.order.engine, wire::to_string(rig.order.protocol));
  rig.create();
  for (int life = 0; life < 2; ++life) {
    rig.recover();
    rig.load();
    const std::uint64_t last = rig.replica->log().last_index();
    REQUIRE(rig.open().ok());
    const std::uint64_t witness = rig.replica->witness();
    CHECK(rig.replica->log().last_index() == last);
    CHECK(witness <= last);
    if (rig.order.engine == "rocksdb") {
      CHECK(witness < last);  // its commits survive nothing, so there is something to bring back
    }
    CHECK(rig.replica->durable_index() <= witness);
    CHECK(rig.recorder.witness == witness);
    CHECK(rig.recorder.durable == rig.replica->durable_index());
    CHECK(rig.actual() == rig.expected(witness));
    REQUIRE(rig.replica->replay().ok());
    CHECK(rig.recorder.replayed == last - witness);
    CHECK(rig.stored_witness() == last);
    CHECK(rig.actual() == rig.expected(last));
  }
}

TEST_CASE("a replica that was closed and opened again replays nothing twice") {
  Rig rig(any_engine(), any_protocol());
  CAPTURE(rig.order.engine, wire::to_string(rig.order.protocol));
  rig.create();
  rig.recover();
  rig.load();
  rig.recover();
  const std::uint64_t last = rig.replica->log().last_index();
  REQUIRE(rig.replica->flush().ok());
  const std::uint64_t replayed = rig.recorder.replayed;
  REQUIRE(rig.replica->reopen().ok());
  CHECK(rig.recorder.replayed == replayed);
  CHECK(rig.replica->witness() == last);
  CHECK(rig.replica->durable_index() == last);
  CHECK(rig.actual() == rig.expected(last));
}

TEST_CASE("an applied entry is not applied again when the sidecar is behind the witness") {
  Rig rig(any_engine(), Protocol::sidecar);
  CAPTURE(rig.order.engine);
  rig.order.segment_bytes = 64 << 20;  // nothing is truncated
  rig.create();
  rig.recover();
  rig.write_entries(100);
  REQUIRE(rig.replica->flush().ok());
  const std::uint64_t last = rig.replica->log().last_index();
  rig.close();
  REQUIRE(rig.sidecar().persist(last - 90, no_steps()).ok());
  REQUIRE(rig.open().ok());
  CHECK(rig.replica->witness() == last);
  CHECK(rig.replica->durable_index() == last - 90);
  REQUIRE(rig.replica->replay().ok());
  CHECK(rig.recorder.replayed == 0);
  CHECK(rig.actual() == rig.expected(last));
}

TEST_CASE("a damaged sidecar refuses to open") {
  Rig rig("lmdb", Protocol::sidecar);
  rig.create();
  replace_file(rig.path() / "durable-index", "not an index");
  CHECK(rig.open().code() == StatusCode::corruption);
}

TEST_CASE("in-batch does not look at a sidecar") {
  Rig rig("lmdb", Protocol::in_batch);
  rig.create();
  CHECK_FALSE(fs::exists(rig.path() / "durable-index"));
  replace_file(rig.path() / "durable-index", "not an index");
  REQUIRE(rig.open().ok());
  CHECK(rig.replica->durable_index() == rig.replica->witness());
}

TEST_CASE("a log that begins behind what the engine has is corruption, never a hole in the state") {
  Rig rig(any_engine(), any_protocol());
  CAPTURE(rig.order.engine, wire::to_string(rig.order.protocol));
  rig.order.segment_bytes = 4 << 10;
  rig.create();
  rig.recover();
  REQUIRE(rig.replica->log().first_index() > 1);
  rig.close();
  // The engine loses everything: a new, empty one stands in its place.
  fs::remove_all(rig.path() / "engine");
  fs::remove(rig.path() / "durable-index");
  {
    engines::EngineOptions options;
    for (std::size_t i = 0; i < workloads::kKeyspaceCount; ++i) {
      options.keyspaces.emplace_back(workloads::to_string(static_cast<Keyspace>(i)));
    }
    options.keyspaces.emplace_back("meta");
    std::unique_ptr<engines::Engine> empty;
    REQUIRE(engines::create_engine(*engines::find_engine_config(rig.order.engine), rig.path() / "engine",
                                   options, &empty)
                .ok());
  }
  REQUIRE(rig.open().ok());
  CHECK(rig.replica->witness() == 0);
  const Status status = rig.replica->replay();
  CHECK(status.code() == StatusCode::corruption);
  CHECK(status.message().find("replay needs entry 1 but the log begins at") != std::string::npos);
  CHECK(rig.actual() == MapState());
}

TEST_CASE("an engine that is ahead of the log's end is corruption") {
  Rig rig(any_engine(), any_protocol());
  CAPTURE(rig.order.engine, wire::to_string(rig.order.protocol));
  rig.create();
  rig.recover();
  rig.write_entries(50);
  REQUIRE(rig.replica->flush().ok());
  const std::uint64_t last = rig.replica->log().last_index();
  rig.close();
  {
    std::unique_ptr<log::Log> log;
    REQUIRE(log::open_log(rig.path() / "log", {}, no_steps(), &log).ok());
    REQUIRE(log->truncate_suffix(last - 10).ok());
  }
  REQUIRE(rig.open().ok());
  const Status status = rig.replica->replay();
  CHECK(status.code() == StatusCode::corruption);
  CHECK(status.message().find("log ends at entry " + std::to_string(last - 11)) != std::string::npos);
}

TEST_CASE("a missing acknowledged tail refuses to open the log") {
  Rig rig("lmdb", Protocol::in_batch);
  rig.create();
  rig.recover();
  rig.write_entries(50);
  const std::uint64_t last = rig.replica->log().last_index();
  rig.close();
  {
    std::unique_ptr<log::Log> log;
    REQUIRE(log::open_log(rig.path() / "log", {}, no_steps(), &log).ok());
    REQUIRE(log->truncate_suffix(last - 10).ok());
  }
  rig.order.known_synced = last;
  CHECK(rig.open().code() == StatusCode::corruption);
}

TEST_CASE("the log prefix goes only up to what is durable in the engine") {
  Rig rig("rocksdb", any_protocol());
  CAPTURE(wire::to_string(rig.order.protocol));
  rig.order.segment_bytes = 4 << 10;
  rig.create();
  rig.recover();
  const std::uint64_t first = rig.replica->log().first_index();
  rig.write_entries(200);
  REQUIRE(rig.replica->truncate_prefix().ok());  // applied, and not flushed
  CHECK(rig.replica->log().first_index() <= first);
  CHECK(rig.recorder.truncated <= first);
  REQUIRE(rig.replica->flush().ok());
  const std::uint64_t durable = rig.replica->log().last_index();
  rig.write_entries(200);
  REQUIRE(rig.replica->truncate_prefix().ok());
  CHECK(rig.recorder.truncated == durable);
  CHECK(rig.replica->log().first_index() > first);
  CHECK(rig.replica->log().first_index() <= durable + 1);
  // And so a crash finds all it needs.
  const std::uint64_t last = rig.replica->log().last_index();
  rig.recover();
  CHECK(rig.actual() == rig.expected(last));
}

TEST_CASE("with synced commits the log prefix goes up to what is applied and no further") {
  Rig rig("lmdb", Protocol::in_batch);
  rig.order.segment_bytes = 4 << 10;
  rig.create();
  rig.recover();
  rig.write_entries(100);
  const std::uint64_t applied = rig.replica->log().last_index();
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t index = rig.replica->log().last_index() + 1;
    REQUIRE(rig.replica->append(index, rig.generator.transaction(rig.order.term, index)).ok());
  }
  REQUIRE(rig.replica->sync().ok());
  CHECK(rig.replica->pending() == 200);
  REQUIRE(rig.replica->truncate_prefix().ok());
  CHECK(rig.recorder.truncated == applied);
  CHECK(rig.replica->log().first_index() <= applied + 1);
}

TEST_CASE("the sidecar vouches for no entry that was applied after its capture") {
  Rig rig("rocksdb", Protocol::sidecar);
  rig.create();
  rig.recover();
  rig.write_entries(30);
  REQUIRE(rig.replica->flush().ok());
  const std::uint64_t captured = rig.replica->log().last_index();
  rig.write_entries(30);
  std::uint64_t index = 0;
  REQUIRE(rig.sidecar().read(&index).ok());
  CHECK(index == captured);
  CHECK(rig.recorder.persisted == captured);
  CHECK(rig.recorder.flushed == captured);
  REQUIRE(rig.open().ok());
  CHECK(rig.replica->witness() == captured);  // the WAL is off: what was not flushed is gone
  CHECK(rig.replica->durable_index() == captured);
}

TEST_CASE("a suffix is cut where ordered, and a cut behind the end changes nothing") {
  Rig rig("lmdb", Protocol::in_batch);
  rig.create();
  REQUIRE(rig.open().ok());
  REQUIRE(rig.replica->replay().ok());
  const std::uint64_t applied = rig.replica->log().last_index();
  for (std::uint64_t index = applied + 1; index <= applied + 20; ++index) {
    REQUIRE(rig.replica->append(index, rig.generator.transaction(rig.order.term, index)).ok());
  }
  REQUIRE(rig.replica->sync().ok());
  REQUIRE(rig.replica->cut_suffix(applied + 21).ok());
  CHECK(rig.replica->log().last_index() == applied + 20);
  REQUIRE(rig.replica->cut_suffix(applied + 11).ok());
  CHECK(rig.replica->log().last_index() == applied + 10);
  REQUIRE(rig.open().ok());
  CHECK(rig.replica->log().last_index() == applied + 10);
}

TEST_CASE("a load is the same work for the same term and another one for the next") {
  // What makes a crash point that is counted in steps come at the same entry again.
  std::vector<std::uint64_t> last;
  std::vector<MapState> states;
  for (int round = 0; round < 2; ++round) {
    Rig rig("lmdb", Protocol::in_batch);
    rig.create();
    rig.recover();
    rig.load();
    last.push_back(rig.replica->log().last_index());
    states.push_back(rig.actual());
  }
  CHECK(last[0] == last[1]);
  CHECK(states[0] == states[1]);
  Rig other("lmdb", Protocol::in_batch);
  other.create();
  other.order.term = 50;
  other.recover();
  other.load();
  CHECK_FALSE(other.actual() == states[0]);
}

TEST_CASE("compaction and checkpoint leave the state and no checkpoint directory behind") {
  Rig rig(any_engine(), Protocol::in_batch);
  CAPTURE(rig.order.engine);
  rig.create();
  rig.recover();
  rig.write_entries(50);
  fs::create_directories(rig.path() / "checkpoint" / "of a worker that died");
  REQUIRE(rig.replica->checkpoint().ok());
  CHECK_FALSE(fs::exists(rig.path() / "checkpoint"));
  REQUIRE(rig.replica->compact().ok());
  CHECK(rig.actual() == rig.expected(rig.replica->log().last_index()));
}

TEST_CASE("an unknown engine or fault is refused before anything is made") {
  wire::FlightRecorder recorder;
  wire::WorkerOrder order;
  order.engine = "nope";
  CHECK_THROWS_AS(Replica(order, no_steps(), recorder), UsageError);
  order.engine = "lmdb";
  order.fault = "nope";
  CHECK_THROWS_AS(Replica(order, no_steps(), recorder), UsageError);
}
