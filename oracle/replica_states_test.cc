#include "oracle/replica_states.h"

#include "harness/base/test.h"
#include "oracle/lane_for_test.h"

using namespace chaosgate;
using namespace chaosgate::oracle;

namespace {

// What a replica is told that was sent the entries up to `last` under `term`.
void send(Lane* lane, std::uint64_t last, std::uint64_t term) {
  lane->append(term, last);
  lane->oracle.learn(last, term);
}

}  // namespace

TEST_CASE("replicas that hold the same at an index are equal, and indexes are told apart") {
  Lane lane;
  lane.append(1, 40);
  ReplicaStates states;
  CHECK(states.add("0 (lmdb)", lane.dump(lane.state(40), 40)).empty());
  CHECK(states.add("1 (rocksdb)", lane.dump(lane.state(40), 40)).empty());
  CHECK(states.add("2 (lmdb)", lane.dump(lane.state(39), 39)).empty());
  states.forget(40);
  CHECK(states.add("1 (rocksdb)", lane.dump(lane.state(38), 39)).empty());  // nobody remembers
}

TEST_CASE("replica.equal: two replicas differ at the same index") {
  Lane lane;
  lane.append(1, 40);
  ReplicaStates states;
  CHECK(states.add("0 (lmdb)", lane.dump(lane.state(40), 40)).empty());
  const auto found = states.add("1 (rocksdb)", lane.dump(lane.state(39), 40));
  REQUIRE(found.size() == 1);
  CHECK(found[0].invariant == Invariant::replica_equal);
  CHECK(found[0].explanation.find("0 (lmdb) and 1 (rocksdb)") != std::string::npos);
  CHECK(found[0].explanation.find("entry 40") != std::string::npos);
}

TEST_CASE("replica.equal: a replica is not where the entries it was sent lead") {
  Lane lane;
  lane.oracle.begin_term(1);
  lane.append(1, 20);
  CrashIndexes crash;
  crash.appended = crash.synced = crash.applied = 20;
  CHECK(lane.oracle.check_log(lane.log(), crash).empty());
  send(&lane, 45, 7);
  CHECK(lane.oracle.check_reached(lane.dump(lane.state(45), 45), 45).empty());
  for (const auto& [state, witness] : {std::pair{44, 45}, {45, 44}, {43, 43}}) {
    const auto found = lane.oracle.check_reached(lane.dump(lane.state(state), witness), 45);
    REQUIRE(found.size() == 1);
    CHECK(found[0].invariant == Invariant::replica_equal);
  }
  // One entry applied twice, behind those that only put.
  lane.append(8, 260);
  lane.oracle.learn(260, 8);
  const Model twice = lane.state(260, [](std::uint64_t index) { return index == 255 ? 2 : 1; });
  CHECK(lane.oracle.check_reached(lane.dump(lane.state(260), 260), 260).empty());
  CHECK(lane.oracle.check_reached(lane.dump(twice, 260), 260).size() == 1);
}

TEST_CASE("a replica that was sent entries or a snapshot recovers to what it was sent, and to nothing else") {
  Lane lane;
  lane.oracle.begin_term(1);
  lane.append(1, 20);
  CrashIndexes crash;
  crash.appended = crash.synced = crash.applied = crash.flushed = 20;
  REQUIRE(lane.oracle.check_log(lane.log(), crash).empty());
  send(&lane, 30, 5);
  send(&lane, 40, 6);
  lane.oracle.begin_term(2);

  SECTION("entries, some of which it lost again") {
    crash.appended = 40;
    crash.synced = 33;
    lane.cut(36);
    CHECK(lane.oracle.check_log(lane.log(), crash).empty());
    CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(25), 25), crash).empty());
    CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(35), 35)).empty());
  }
  SECTION("a snapshot, and the log begins behind it") {
    crash.appended = crash.synced = crash.flushed = 40;
    CHECK(lane.oracle.check_log(lane.log(41), crash).empty());
    CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(40), 40), crash).empty());
    CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(40), 40)).empty());
  }
  SECTION("log.acked: the log begins behind a snapshot that is not there") {
    crash.appended = 40;
    CHECK(lane.oracle.check_log(lane.log(41), crash).empty());
    const auto found = lane.oracle.check_before_replay(lane.dump(lane.state(20), 20), crash);
    REQUIRE_FALSE(found.empty());
    CHECK(found[0].invariant == Invariant::log_acked);
  }
  SECTION("index.not_ahead: the durable index is that of a snapshot that is not there") {
    crash.appended = 40;
    CHECK(lane.oracle.check_log(lane.log(), crash).empty());
    auto state = lane.dump(lane.state(20), 20);
    state.durable_index = 40;
    const auto found = lane.oracle.check_before_replay(state, crash);
    REQUIRE_FALSE(found.empty());
    CHECK(found[0].invariant == Invariant::index_not_ahead);
  }
  SECTION("log.content: an entry that the leader did not send") {
    crash.appended = 40;
    lane.entries[38] = lane.proposal(5, 39);
    const auto found = lane.oracle.check_log(lane.log(), crash);
    REQUIRE_FALSE(found.empty());
    CHECK(found[0].invariant == Invariant::log_content);
  }
}
