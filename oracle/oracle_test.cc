// For each invariant: histories that keep it, and hand-made ones that break it.
#include "oracle/oracle.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "oracle/lane_for_test.h"

#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::oracle;
using workloads::Keyspace;
using workloads::ReadKind;
using workloads::ReadObservation;

namespace {

// A lane whose worker of term 1 has loaded up to `last`, all of it synced, and died; term 2 recovers.
Lane loaded_lane(std::uint64_t last) {
  Lane lane;
  lane.oracle.begin_term(1);
  lane.append(1, last);
  lane.oracle.begin_term(2);
  return lane;
}

CrashIndexes all_synced(std::uint64_t last) { return {last, last, last, 0}; }

void check_one(const std::vector<Violation>& violations, Invariant invariant, std::string_view words) {
  REQUIRE(violations.size() == 1);
  CAPTURE(violations[0].explanation);
  CHECK(to_string(violations[0].invariant) == to_string(invariant));
  CHECK(violations[0].explanation.find(words) != std::string::npos);
}

Model::Map& operator/(Maps& maps, Keyspace keyspace) { return maps[static_cast<std::size_t>(keyspace)]; }

}  // namespace

TEST_CASE("a correct recovery breaks nothing, whatever was in flight") {
  Lane lane = loaded_lane(300);
  // Appended up to 320, synced up to 300, recovered up to 310; the engine is behind.
  lane.append(1, 310);
  CHECK(lane.oracle.check_log(lane.log(), {320, 300, 300, 280}).empty());
  CHECK(lane.oracle.last_index() == 310);
  CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(285), 285), {320, 300, 300, 280}).empty());
  const Model model = lane.state(310);
  CHECK(lane.oracle.check_after_replay(lane.dump(model, 310)).empty());
  CHECK(lane.oracle.check_reopened(lane.dump(model, 310)).empty());
  CHECK(lane.oracle.check_backward(lane.dump(model, 310, true)).empty());
  CHECK(lane.oracle.check_reads({}).empty());
  CHECK(lane.oracle.check_probe({true, ""}).empty());
  CHECK(lane.oracle.check_integrity({true, ""}).empty());
  CHECK(lane.oracle.live_keys() == model.live_keys());
  // The lost entries 311 .. are written again by term 2.
  lane.append(2, 330);
  lane.oracle.begin_term(3);
  CHECK(lane.oracle.check_log(lane.log(50), {335, 325, 325, 300}).empty());
  CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(300), 300), {335, 325, 325, 300}).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(330), 330)).empty());
}

TEST_CASE("a first worker may find an empty log and an empty engine") {
  Lane lane;
  lane.oracle.begin_term(1);
  CHECK(lane.oracle.check_log(lane.log(), {}).empty());
  CHECK(lane.oracle.check_before_replay(lane.dump(Model(), 0), {}).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(Model(), 0)).empty());
  CHECK(lane.oracle.last_index() == 0);
}

TEST_CASE("the worker that creates the lane may show its own preload") {
  Lane lane;
  const std::uint64_t preload = lane.generator.preload_entries();
  lane.oracle.begin_term(1);
  lane.append(1, preload);
  CHECK(lane.oracle.check_log(lane.log(), {preload, 0, 0, 0}).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(preload), preload)).empty());
  lane.append(1, preload + 9);
  lane.oracle.begin_term(2);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(preload + 9)).empty());
}

TEST_CASE("workers that die in their recovery propose nothing and cost terms only") {
  Lane lane = loaded_lane(40);
  lane.oracle.begin_term(3);
  lane.oracle.begin_term(4);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(40)).empty());
  lane.append(4, 60);
  lane.oracle.begin_term(5);
  lane.oracle.begin_term(6);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(60)).empty());
  CHECK(lane.oracle.last_index() == 60);
}

TEST_CASE("log.acked: an acknowledged entry is missing") {
  Lane lane = loaded_lane(100);
  lane.cut(96);
  auto seen = lane.log();
  seen.torn_bytes = 33;
  seen.torn_after = 95;
  const auto violations = lane.oracle.check_log(seen, {110, 100, 100, 0});
  check_one(
      violations, Invariant::log_acked,
      "entry 96 is missing: entries up to 100 were acknowledged, the recovered log ends at 95; recovery "
      "dropped 33 bytes behind entry 95");
  CHECK(lane.oracle.last_index() == 95);
}

TEST_CASE("log.acked: what was acknowledged once stays so, whatever a later worker published") {
  Lane lane = loaded_lane(100);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(100)).empty());
  lane.oracle.begin_term(3);
  lane.cut(100);
  check_one(lane.oracle.check_log(lane.log(), {0, 0, 0, 0}), Invariant::log_acked, "entry 100 is missing");
}

TEST_CASE("log.acked: the engine holds an entry that the log lost") {
  Lane lane = loaded_lane(100);
  const Model ahead = lane.state(100);
  lane.cut(99);
  CHECK(lane.oracle.check_log(lane.log(), {100, 98, 100, 0}).empty());
  check_one(lane.oracle.check_before_replay(lane.dump(ahead, 100), {100, 98, 100, 0}), Invariant::log_acked,
            "the engine holds entry 100, but the log ends at 98: 2 applied entries");
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(98), 98)).empty());
}

TEST_CASE("log.acked: the log was truncated beyond what the engine holds") {
  Lane lane = loaded_lane(100);
  CHECK(lane.oracle.check_log(lane.log(61), all_synced(100)).empty());
  CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(60), 60), all_synced(100)).empty());
  check_one(lane.oracle.check_before_replay(lane.dump(lane.state(57), 57), all_synced(100)),
            Invariant::log_acked,
            "needs replay from entry 58 on, but the log begins at 61: 3 entries are gone");
}

TEST_CASE("log.content: an entry's bytes changed") {
  Lane lane = loaded_lane(100);
  auto seen = lane.log();
  seen.entries[79].hash ^= 1;
  check_one(lane.oracle.check_log(seen, all_synced(100)), Invariant::log_content,
            "entry 80 (term 1) is not the one that its term proposed: it has content (hash ");
  CHECK(lane.oracle.last_index() == 79);
}

TEST_CASE("log.content: an entry that was right once changed later") {
  Lane lane = loaded_lane(100);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(100)).empty());
  lane.oracle.begin_term(3);
  auto seen = lane.log();
  seen.entries[79] = lane.proposal(1, 81);
  check_one(lane.oracle.check_log(seen, all_synced(100)), Invariant::log_content,
            "entry 80 (term 1) is not the one that term 1 proposed: it has the content of entry 81");
}

TEST_CASE("log.content: a lost tail reappears behind or among new entries") {
  Lane lane = loaded_lane(300);
  lane.append(1, 320);
  const auto old = lane.entries;
  lane.cut(301);  // 301 .. 320 were in flight and are lost
  CHECK(lane.oracle.check_log(lane.log(), {320, 300, 300, 0}).empty());
  lane.append(2, 310);
  lane.oracle.begin_term(3);
  SECTION("behind the new entries") {
    auto seen = lane.log();
    seen.entries.insert(seen.entries.end(), old.begin() + 310, old.end());
    seen.last = 320;
    check_one(lane.oracle.check_log(seen, {330, 310, 310, 0}), Invariant::log_content,
              "entry 311 (term 1) follows one of term 2, and terms never fall: it is the entry that term 1 "
              "proposed and that was lost in a crash: a lost tail reappeared");
    CHECK(lane.oracle.last_index() == 310);
  }
  SECTION("in the place of the new ones") {
    auto seen = lane.log();
    std::copy(old.begin() + 300, old.begin() + 310, seen.entries.begin() + 300);
    const auto violations = lane.oracle.check_log(seen, {310, 310, 310, 0});
    check_one(violations, Invariant::log_content,
              "entry 301 (term 1) is of a term that cannot have proposed it: it is the entry that term 1");
  }
  SECTION("under the new term") {
    auto seen = lane.log();
    seen.entries[304].hash = old[304].hash;
    check_one(
        lane.oracle.check_log(seen, {310, 310, 310, 0}), Invariant::log_content,
        "entry 305 (term 2) is not the one that its term proposed: it is the entry that term 1 proposed");
  }
  SECTION("not at all") { CHECK(lane.oracle.check_log(lane.log(), {310, 310, 310, 0}).empty()); }
}

TEST_CASE("log.content: a tail that a recovery discarded reappears") {
  Lane lane = loaded_lane(100);
  lane.append(1, 120);
  const auto old = lane.entries;
  CHECK(lane.oracle.check_log(lane.log(), {120, 100, 100, 0}).empty());
  CHECK(lane.oracle.last_index() == 120);
  lane.oracle.cut_suffix(105);
  CHECK(lane.oracle.last_index() == 104);
  lane.cut(105);
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(104), 104)).empty());
  lane.append(2, 110);
  lane.oracle.begin_term(3);
  auto seen = lane.log();
  SECTION("it does") {
    seen.entries.push_back(old[110]);
    seen.last = 111;
    check_one(lane.oracle.check_log(seen, {112, 110, 110, 0}), Invariant::log_content,
              "that was discarded in a recovery: a lost tail reappeared");
  }
  SECTION("it does not") { CHECK(lane.oracle.check_log(seen, {112, 110, 110, 0}).empty()); }
}

TEST_CASE("log.content: entries that nobody appended") {
  Lane lane = loaded_lane(100);
  lane.append(1, 103);
  check_one(lane.oracle.check_log(lane.log(), {101, 100, 100, 0}), Invariant::log_content,
            "entry 102 (term 1) is beyond the last entry that was appended, 101");
  CHECK(lane.oracle.last_index() == 101);
  lane.oracle.begin_term(3);
  auto seen = lane.log(103);
  seen.first = 140;
  seen.last = 140;
  check_one(lane.oracle.check_log(seen, {110, 101, 101, 0}), Invariant::log_content,
            "the log begins at entry 140, but entries up to 110 only");
}

TEST_CASE("log.content: the recovering worker's own term is not in the log yet") {
  Lane lane = loaded_lane(100);
  lane.append(2, 102);
  check_one(lane.oracle.check_log(lane.log(), {102, 100, 100, 0}), Invariant::log_content,
            "entry 101 (term 2) is of a term that cannot have proposed it: it is what term 2 would propose");
}

TEST_CASE("a log prefix that came and went between two checks is known all the same") {
  Lane lane = loaded_lane(100);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(100)).empty());
  lane.append(2, 400);
  lane.oracle.begin_term(3);
  lane.oracle.begin_term(4);
  SECTION("with entries left") {
    CHECK(lane.oracle.check_log(lane.log(350), all_synced(400)).empty());
    CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(360), 360), all_synced(400)).empty());
  }
  SECTION("with none left") {
    CHECK(lane.oracle.check_log(lane.log(401), all_synced(400)).empty());
    CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(400), 400), all_synced(400)).empty());
  }
  SECTION("and a removed prefix may be back after a power cut") {
    CHECK(lane.oracle.check_log(lane.log(390), all_synced(400)).empty());
    lane.oracle.begin_term(5);
    CHECK(lane.oracle.check_log(lane.log(20), all_synced(400)).empty());
    lane.oracle.begin_term(6);
    auto seen = lane.log(20);
    seen.entries[3].hash ^= 4;
    check_one(lane.oracle.check_log(seen, all_synced(400)), Invariant::log_content, "entry 23 (term 1)");
  }
}

TEST_CASE("engine.opens: an engine that comes up empty after a flush is not fresh") {
  Lane lane = loaded_lane(50);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(50)).empty());
  CHECK(lane.oracle.check_before_replay(lane.dump(Model(), 0), {50, 50, 50, 0}).empty());  // never flushed
  const auto violations = lane.oracle.check_before_replay(lane.dump(Model(), 0), {50, 50, 50, 30});
  REQUIRE(violations.size() == 2);
  CHECK(violations[0].invariant == Invariant::engine_opens);
  CHECK(violations[0].explanation.find("came up empty, without an error, after index 30") !=
        std::string::npos);
  CHECK(violations[1].invariant == Invariant::index_not_lost);
}

TEST_CASE("index.not_ahead: replay would skip an entry") {
  Lane lane = loaded_lane(50);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(50)).empty());
  auto seen = lane.dump(lane.state(40), 40);
  seen.durable_index = 39;  // a sidecar may be behind
  CHECK(lane.oracle.check_before_replay(seen, all_synced(50)).empty());
  seen.durable_index = 41;
  check_one(lane.oracle.check_before_replay(seen, all_synced(50)), Invariant::index_not_ahead,
            "durable index 41 is ahead of witness 40: replay would skip entries 41..41");
}

TEST_CASE("index.not_lost: what a flush covered is gone") {
  Lane lane = loaded_lane(50);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(50)).empty());
  const auto seen = lane.dump(lane.state(40), 40);
  CHECK(lane.oracle.check_before_replay(seen, {50, 50, 50, 40}).empty());
  check_one(lane.oracle.check_before_replay(seen, {50, 50, 50, 41}), Invariant::index_not_lost,
            "witness 40 is below index 41");
}

TEST_CASE("state.prefix: the witness is not the index of the state") {
  Lane lane = loaded_lane(260);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(260)).empty());
  const Model model = lane.state(250);
  CHECK(lane.oracle.check_before_replay(lane.dump(model, 250), all_synced(260)).empty());
  check_one(lane.oracle.check_before_replay(lane.dump(model, 251), all_synced(260)), Invariant::state_prefix,
            "the state is that of index 250 (1 behind)");
  check_one(lane.oracle.check_before_replay(lane.dump(model, 247), all_synced(260)), Invariant::state_prefix,
            "the state is that of index 250 (3 ahead)");
}

TEST_CASE("state.prefix: a hole, a half batch, and a keyspace that is ahead") {
  Lane lane = loaded_lane(260);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(260)).empty());
  Maps maps = maps_of(lane.state(250));
  SECTION("a hole") {
    const Model holed = lane.state(250, [](std::uint64_t index) { return index == 244 ? 0 : 1; });
    const auto violations = lane.oracle.check_before_replay(lane.dump(holed, 250), all_synced(260));
    check_one(violations, Invariant::state_prefix, "at index 250 the state differs in ");
    CHECK(violations[0].difference_count > 1);
    CHECK(violations[0].explanation.find("no index nearby") != std::string::npos);
  }
  SECTION("half a batch") {
    Model model = lane.state(249);
    auto half = lane.generator.transaction(1, 250);
    REQUIRE(half.size() >= 4);
    half.resize(half.size() / 2);
    model.advance(250, half);
    const auto violations = lane.oracle.check_before_replay(lane.dump(model, 250), all_synced(260));
    check_one(violations, Invariant::state_prefix, "all of them written by entry 250 (term 1)");
  }
  SECTION("a keyspace ahead of the others") {
    maps / Keyspace::counter = lane.state(257).keyspace(Keyspace::counter);
    const auto violations = lane.oracle.check_before_replay(lane.dump(maps, 250), all_synced(260));
    check_one(violations, Invariant::state_prefix,
              "keyspace object is at index 250, counter is at index 257 (7 ahead), revision is at index 250");
    REQUIRE_FALSE(violations[0].differences.empty());
    CHECK(violations[0].differences[0].keyspace == Keyspace::counter);
    CHECK(violations[0].differences[0].expected != violations[0].differences[0].actual);
  }
  SECTION("a key too many, in the right order with the others") {
    (maps / Keyspace::object)["zzz"] = "";
    (maps / Keyspace::object).erase((maps / Keyspace::object).begin());
    const auto violations = lane.oracle.check_before_replay(lane.dump(maps, 250), all_synced(260));
    check_one(violations, Invariant::state_prefix, "differs in 2 of ");
    REQUIRE(violations[0].differences.size() == 2);
    CHECK_FALSE(violations[0].differences[0].actual);
    CHECK(violations[0].differences[1].key == "zzz");
    CHECK_FALSE(violations[0].differences[1].expected);
  }
  SECTION("more differences than are kept are counted") {
    maps / Keyspace::counter = {};
    const auto violations = lane.oracle.check_before_replay(lane.dump(maps, 250), all_synced(260));
    REQUIRE(violations.size() == 1);
    CHECK(violations[0].differences.size() == kDifferencesKept);
    CHECK(violations[0].difference_count > 1000);
  }
}

TEST_CASE("state.prefix: a dump that is damaged or out of order is no state") {
  Lane lane = loaded_lane(20);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(20)).empty());
  const Model model = lane.state(20);
  const auto judged = [&](std::string keyspaces) {
    lane.buffers.push_back(std::move(keyspaces));
    return lane.oracle.check_before_replay({20, 20, lane.buffers.back()}, all_synced(20));
  };
  const std::string good = dump_of(maps_of(model));
  CHECK(judged(good).empty());
  check_one(judged(good.substr(0, good.size() / 2)), Invariant::state_prefix,
            "its dump is damaged in keyspace");
  check_one(judged(good + '\0'), Invariant::state_prefix, "goes on behind the last keyspace");
  check_one(judged(dump_of(maps_of(model), true)), Invariant::state_prefix,
            "iteration does not ascend in keyspace");
  const std::vector<std::vector<std::pair<std::string, std::string>>> twice = {
      {{"a", "1"}, {"a", "2"}}, {}, {}};
  check_one(judged(dump_of(twice)), Invariant::state_prefix, "iteration repeats a key in keyspace object");
}

TEST_CASE("state.prefix: a witness older than the oracle remembers is said to be so") {
  Lane lane = loaded_lane(4500);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(4500)).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(4500), 4500)).empty());
  lane.oracle.forget(4400);
  CHECK(lane.oracle.check_before_replay(lane.dump(lane.state(304), 304), all_synced(4500)).empty());
  check_one(lane.oracle.check_before_replay(lane.dump(lane.state(303), 303), all_synced(4500)),
            Invariant::state_prefix,
            "cannot be compared: the oracle knows the states from index 304 on, not that of 303");
  check_one(lane.oracle.check_before_replay(lane.dump(lane.state(303), 303), {4500, 4500, 4500, 4400}),
            Invariant::index_not_lost, "the state is not compared");
}

TEST_CASE("state.replayed: an entry is applied twice, or not at all") {
  Lane lane = loaded_lane(260);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(260)).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(260), 260)).empty());
  const Model twice = lane.state(260, [](std::uint64_t index) { return index == 255 ? 2 : 1; });
  check_one(lane.oracle.check_after_replay(lane.dump(twice, 260)), Invariant::state_replayed,
            "at index 260 the state differs in ");
  check_one(lane.oracle.check_after_replay(lane.dump(lane.state(259), 260)), Invariant::state_replayed,
            "the state is that of index 259 (1 behind)");
  check_one(lane.oracle.check_after_replay(lane.dump(lane.state(260), 259)), Invariant::state_replayed,
            "after replay the witness is 259, but the log ends at 260");
}

TEST_CASE("state.stable: reopening changes the state or the witness, or the engine's check complains") {
  Lane lane = loaded_lane(60);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(60)).empty());
  CHECK(lane.oracle.check_reopened(lane.dump(lane.state(60), 60)).empty());
  check_one(lane.oracle.check_reopened(lane.dump(lane.state(60), 58)), Invariant::state_stable,
            "after a clean close and reopening the witness is 58 instead of 60");
  check_one(lane.oracle.check_reopened(lane.dump(lane.state(57), 60)), Invariant::state_stable,
            "the state is that of index 57 (3 behind)");
  check_one(lane.oracle.check_integrity({false, "page 7"}), Invariant::state_stable, "page 7");
}

TEST_CASE("state.writable: the recovered engine refuses a write") {
  Lane lane = loaded_lane(60);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(60)).empty());
  check_one(lane.oracle.check_probe({false, "read-only"}), Invariant::state_writable,
            "a write after recovery at index 60 failed: read-only");
}

TEST_CASE("read.consistent: backward iteration shows another state, or none") {
  Lane lane = loaded_lane(60);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(60)).empty());
  Maps maps = maps_of(lane.state(60));
  CHECK(lane.oracle.check_backward(lane.dump(maps, 60, true)).empty());
  check_one(lane.oracle.check_backward(lane.dump(maps, 60)), Invariant::read_consistent,
            "iteration does not descend");
  (maps / Keyspace::object).erase(std::prev((maps / Keyspace::object).end()));
  check_one(lane.oracle.check_backward(lane.dump(maps, 60, true)), Invariant::read_consistent,
            "the backward scan is wrong: at index 60 the state differs in 1 of ");
}

TEST_CASE("read.consistent: a snapshot shows a later write") {
  Lane lane = loaded_lane(60);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(60)).empty());
  CHECK(lane.oracle.check_isolation({true, ""}).empty());
  check_one(lane.oracle.check_isolation({false, "a later write shows"}), Invariant::read_consistent,
            "at index 60: a later write shows");
}

TEST_CASE("read.consistent: point reads, seeks and snapshot reads answer like the oracle") {
  Lane lane = loaded_lane(60);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(60)).empty());
  const Model model = lane.state(60);
  const Model::Map& map = model.keyspace(Keyspace::object);
  const auto second = std::next(map.begin());
  const auto last = std::prev(map.end());
  const std::string behind(8, '\xff');
  const auto read = [](ReadKind kind, std::string_view target, bool found, std::string_view key = {},
                       std::string_view value = {}) {
    return ReadObservation{kind, Keyspace::object, target, found, key, value};
  };
  const std::vector<ReadObservation> good = {
      read(ReadKind::get, second->first, true, second->first, second->second),
      read(ReadKind::get, second->first, true, {}, second->second),
      read(ReadKind::get, behind, false),
      read(ReadKind::snapshot_get, last->first, true, last->first, last->second),
      read(ReadKind::snapshot_get, "", false),
      read(ReadKind::seek, "", true, map.begin()->first, map.begin()->second),
      read(ReadKind::seek, second->first, true, second->first, second->second),
      read(ReadKind::seek, behind, false),
      read(ReadKind::seek_for_prev, behind, true, last->first, last->second),
      read(ReadKind::seek_for_prev, second->first, true, second->first, second->second),
      read(ReadKind::seek_for_prev, "", false),
  };
  CHECK(lane.oracle.check_reads(good).empty());
  const std::vector<ReadObservation> bad = {
      read(ReadKind::get, second->first, false),
      read(ReadKind::get, second->first, true, second->first, "other value"),
      read(ReadKind::get, behind, true, behind, "ghost"),
      read(ReadKind::snapshot_get, last->first, true, last->first, "older"),
      read(ReadKind::seek, "", true, second->first, second->second),
      read(ReadKind::seek, behind, true, last->first, last->second),
      read(ReadKind::seek, second->first, false),
      read(ReadKind::seek_for_prev, behind, false),
      read(ReadKind::seek_for_prev, behind, true, second->first, second->second),
      read(ReadKind::seek_for_prev, "", true, map.begin()->first, map.begin()->second),
  };
  for (const ReadObservation& one : bad) {
    CAPTURE(static_cast<int>(one.kind));
    check_one(lane.oracle.check_reads({good[0], one}), Invariant::read_consistent,
              "; 1 of 2 reads are wrong");
  }
  const auto all = lane.oracle.check_reads(bad);
  check_one(all, Invariant::read_consistent, "get(object, ");
  CHECK(all[0].difference_count == bad.size());
  CHECK(all[0].differences.size() == kDifferencesKept);
}

TEST_CASE("after a log that lost more than the oracle remembers it still judges what is left") {
  Lane lane = loaded_lane(9000);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(9000)).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(9000), 9000)).empty());
  lane.oracle.forget(9000);
  lane.oracle.begin_term(3);
  lane.cut(301);
  check_one(lane.oracle.check_log(lane.log(), all_synced(9000)), Invariant::log_acked,
            "entry 301 is missing");
  CHECK(lane.oracle.last_index() == 300);
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(300), 300)).empty());
  lane.append(3, 320);
  lane.oracle.begin_term(4);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(320)).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(320), 320)).empty());
}

TEST_CASE("a loaded oracle judges like the one that was saved") {
  Lane lane = loaded_lane(5000);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(5000)).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(5000), 5000)).empty());
  lane.oracle.forget(4600);
  lane.append(2, 5100);
  const auto lost = lane.entries;
  lane.cut(5051);
  lane.oracle.begin_term(3);
  CHECK(lane.oracle.check_log(lane.log(400), {5100, 5040, 5040, 0}).empty());
  lane.append(3, 5060);
  lane.oracle.begin_term(4);

  std::string bytes;
  lane.oracle.save(&bytes);
  std::unique_ptr<Oracle> loaded;
  REQUIRE(Oracle::load(bytes, lane.generator, &loaded).ok());
  std::string again;
  loaded->save(&again);
  CHECK(again == bytes);

  auto resurrected = lane.log(400);
  resurrected.entries.insert(resurrected.entries.end(), lost.begin() + 5060, lost.end());
  resurrected.last = 5100;
  const CrashIndexes crash{5100, 5060, 5055, 4700};
  const Model before = lane.state(4701);
  const Model after = lane.state(5060);
  const auto judge = [&](Oracle& oracle) {
    std::string verdict;
    const auto take = [&](const std::vector<Violation>& violations) {
      for (const Violation& violation : violations) {
        verdict += describe(violation) + "\n";
      }
    };
    take(oracle.check_log(resurrected, crash));
    take(oracle.check_before_replay(lane.dump(before, 4701), crash));
    take(oracle.check_before_replay(lane.dump(before, 4703), crash));
    take(oracle.check_before_replay(lane.dump(before, 4699), crash));
    take(oracle.check_before_replay(lane.dump(before, 100), crash));
    take(oracle.check_after_replay(lane.dump(after, 5060)));
    take(oracle.check_after_replay(lane.dump(before, 5060)));
    return verdict + std::to_string(oracle.last_index()) + " " + std::to_string(oracle.live_keys());
  };
  const std::string verdict = judge(*loaded);
  CHECK(verdict == judge(lane.oracle));
  CHECK(verdict.find("a lost tail reappeared") != std::string::npos);
  CHECK(verdict.find("the state is that of index 4701") != std::string::npos);
}

TEST_CASE("after a mark the belief is saved as it was then, whatever came later") {
  Lane lane = loaded_lane(300);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(300)).empty());
  lane.append(2, 9000);
  lane.oracle.mark();
  lane.oracle.begin_term(3);
  const auto judge = [&](Oracle& oracle) {
    auto seen = lane.log();
    seen.entries[499].hash ^= 1;
    return describe(oracle.check_log(seen, all_synced(9000)).at(0));
  };
  const std::string verdict = judge(lane.oracle);
  CHECK(lane.oracle.last_index() == 499);
  lane.oracle.forget(9000);
  std::string bytes;
  lane.oracle.save(&bytes);
  std::unique_ptr<Oracle> loaded;
  REQUIRE(Oracle::load(bytes, lane.generator, &loaded).ok());
  CHECK(loaded->last_index() == 300);
  loaded->begin_term(3);
  CHECK(judge(*loaded) == verdict);

  // A good recovery and a long load may follow before the belief is saved.
  lane.oracle.mark();
  lane.cut(500);
  lane.append(3, 9000);
  lane.oracle.begin_term(4);
  CHECK(lane.oracle.check_log(lane.log(), {9000, 0, 0, 0}).empty());
  CHECK(lane.oracle.check_after_replay(lane.dump(lane.state(9000), 9000)).empty());
  lane.oracle.forget(9000);
  bytes.clear();
  lane.oracle.save(&bytes);
  REQUIRE(Oracle::load(bytes, lane.generator, &loaded).ok());
  CHECK(loaded->last_index() == 499);
}

TEST_CASE("a saved oracle that is damaged, newer or about another generator is refused") {
  Lane lane = loaded_lane(30);
  CHECK(lane.oracle.check_log(lane.log(), all_synced(30)).empty());
  std::string bytes;
  lane.oracle.save(&bytes);
  std::unique_ptr<Oracle> loaded;
  const auto code = [&](const std::string& changed) {
    return Oracle::load(changed, lane.generator, &loaded).code();
  };
  CHECK(code("") == StatusCode::corruption);
  CHECK(code("not a saved oracle at all") == StatusCode::corruption);
  CHECK(code(bytes.substr(0, bytes.size() - 1)) == StatusCode::corruption);
  CHECK(code(bytes + "x") == StatusCode::corruption);
  Rng rng(6);
  for (int i = 0; i < 200; ++i) {
    std::string changed = bytes;
    changed[8 + rng.below(changed.size() - 8)] ^= static_cast<char>(1 << rng.below(8));
    REQUIRE(code(changed) == StatusCode::corruption);
  }
  std::string newer = bytes;
  newer[4] = 2;
  CHECK(code(newer) == StatusCode::not_supported);
  CHECK(Oracle::load(bytes, workloads::Generator("txn", 2), &loaded).code() == StatusCode::invalid_argument);
  CHECK(Oracle::load(bytes, workloads::Generator("mixed", 1), &loaded).code() ==
        StatusCode::invalid_argument);
  CHECK(loaded == nullptr);
  CHECK(Oracle::load(bytes, lane.generator, &loaded).ok());
}

namespace {

// The same with another number at this byte, and a checksum that fits.
std::string with_number(std::string bytes, std::size_t at, std::uint64_t number) {
  std::memcpy(bytes.data() + at, &number, sizeof number);
  bytes.resize(bytes.size() - sizeof number);
  put_u64(&bytes, hash64(bytes));
  return bytes;
}

}  // namespace

TEST_CASE("a belief that somebody made is refused, or judges without an end of the program") {
  Lane lane = loaded_lane(60);
  CHECK(lane.oracle.check_log(lane.log(), {60, 50, 50, 0}).empty());
  lane.append(2, 80);
  lane.cut(71);
  lane.oracle.begin_term(3);
  CHECK(lane.oracle.check_log(lane.log(), {80, 60, 60, 0}).empty());
  lane.append(3, 100);
  lane.oracle.begin_term(4);
  std::string bytes;
  lane.oracle.save(&bytes);
  const auto state = lane.dump(lane.state(90), 90);
  const auto gap = lane.log(100);  // all but its last entry was cut off from the front

  std::uint64_t judged = 0;
  std::uint64_t refused = 0;
  const auto try_one = [&](const std::string& made, const CrashIndexes& crash, std::uint64_t cut_from,
                           const workloads::LogObservation& log) {
    std::unique_ptr<Oracle> loaded;
    if (!Oracle::load(made, lane.generator, &loaded).ok() || !loaded->can_recover(5, crash, cut_from).ok()) {
      ++refused;
      return;
    }
    ++judged;
    loaded->begin_term(5);
    (void)loaded->check_log(log, crash);
    if (cut_from != 0 && cut_from <= loaded->last_index()) {
      loaded->cut_suffix(cut_from);
    }
    (void)loaded->check_before_replay(state, crash);
    (void)loaded->check_after_replay(state);
  };
  // The header is 24 bytes long; what follows up to the model is numbers but for one byte of each lost tail.
  const std::size_t end = std::min<std::size_t>(bytes.size() - 16, 24 + 400);
  for (std::size_t at = 24; at < end; at += at % 8 == 0 ? 3 : 5) {
    for (const std::uint64_t number :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{70}, std::uint64_t{99},
          std::uint64_t{1'000'000'000}, UINT64_MAX - 1, UINT64_MAX}) {
      const std::string made = with_number(bytes, at, number);
      try_one(made, {100, 80, 80, 60}, 95, lane.log());
      try_one(made, {100, 80, 80, 60}, 0, gap);
      try_one(made, {100, 0, 0, UINT64_MAX}, 101, gap);
    }
  }
  CHECK(judged > 100);
  CHECK(refused > 100);
}

TEST_CASE("indexes and terms that cannot follow a belief are refused") {
  Lane lane = loaded_lane(60);
  CHECK(lane.oracle.check_log(lane.log(), {60, 50, 50, 0}).empty());
  const CrashIndexes crash{60, 50, 50, 0};
  CHECK(lane.oracle.can_recover(3, crash, 51).ok());
  CHECK(lane.oracle.can_recover(3, crash, 0).ok());
  CHECK(lane.oracle.can_recover(2, crash, 0).code() == StatusCode::invalid_argument);
  CHECK(lane.oracle.can_recover(3, crash, 50).code() == StatusCode::invalid_argument);
  CHECK(lane.oracle.can_recover(3, {UINT64_MAX, 50, 50, 0}, 0).code() == StatusCode::invalid_argument);
  CHECK(lane.oracle.can_recover(3, {60, UINT64_MAX, 50, 0}, 0).code() == StatusCode::invalid_argument);
}

// Run by hand: oracle_test "[speed]".
TEST_CASE("how long a cycle's judgement takes", "[.][speed]") {
  using Clock = std::chrono::steady_clock;
  for (const std::string profile : {"mixed", "kubernetes", "churn", "bigvalue", "txn"}) {
    Lane lane(profile, 3);
    // An aged lane: its memory is as scattered as after many cycles.
    const std::uint64_t start = lane.generator.preload_entries() + (profile == "bigvalue" ? 5'000 : 100'000);
    lane.oracle.begin_term(1);
    lane.append(1, start);
    lane.oracle.begin_term(2);
    (void)lane.oracle.check_log(lane.log(), all_synced(start));
    (void)lane.oracle.check_after_replay(lane.dump(lane.state(start), start));
    lane.oracle.forget(start);
    lane.append(2, start + 2000);
    lane.oracle.begin_term(3);
    const auto log = lane.log(start - 2000);
    const auto before = lane.dump(lane.state(start - 500), start - 500);
    const auto after = lane.dump(lane.state(start + 2000), start + 2000);
    const auto ms = [](auto duration) { return std::chrono::duration<double, std::milli>(duration).count(); };
    const auto t0 = Clock::now();
    const bool log_ok = lane.oracle.check_log(log, all_synced(start + 2000)).empty();
    const auto t1 = Clock::now();
    const bool before_ok = lane.oracle.check_before_replay(before, all_synced(start + 2000)).empty();
    const auto t2 = Clock::now();
    const bool after_ok = lane.oracle.check_after_replay(after).empty();
    const auto t3 = Clock::now();
    double compare_ms = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto t4 = Clock::now();
      (void)lane.oracle.check_reopened(after);
      compare_ms = std::min(compare_ms, ms(Clock::now() - t4));
    }
    std::string bytes;
    const auto t5 = Clock::now();
    lane.oracle.save(&bytes);
    const auto t6 = Clock::now();
    REQUIRE((log_ok && before_ok && after_ok));
    std::printf(
        "%-10s check_log (2000 new) %.2f ms, before (500 back) %.2f ms, after (2500 on) %.2f ms, "
        "compare of %llu keys %.2f ms, save %.1f ms %.1f MiB\n",
        profile.c_str(), ms(t1 - t0), ms(t2 - t1), ms(t3 - t2),
        static_cast<unsigned long long>(lane.oracle.live_keys()), compare_ms, ms(t6 - t5),
        static_cast<double>(bytes.size()) / (1 << 20));
  }
}

TEST_CASE("space.bounded: a store that kept what every crash left breaks it, by bytes or by files") {
  const Lane lane;
  const std::uint64_t live = 2 << 20;
  const workloads::SpaceObservation when_new{3, 1 << 20, 1000};
  const std::uint64_t bytes_max = kSpaceMultiple * live + kSpaceBytes + (2 << 20);
  const std::uint64_t files_max = kSpaceFiles + live / kSpaceBytesOfFile + 6;
  CHECK(lane.oracle.check_space({files_max, bytes_max, live}, when_new).empty());
  CHECK(lane.oracle.check_space({0, 0, 0}, when_new).empty());
  // One that makes room for much at once, whatever it holds.
  CHECK(lane.oracle.check_space({300, 200 << 20, 0}, {150, 100 << 20, 0}).empty());
  // Fourteen crashes in a flush, each of which left a table of the whole state.
  for (const workloads::SpaceObservation& leaked :
       {workloads::SpaceObservation{4, 14 * live, live}, workloads::SpaceObservation{200, live, live}}) {
    const std::vector<Violation> found = lane.oracle.check_space(leaked, when_new);
    REQUIRE(found.size() == 1);
    CHECK(found.front().invariant == Invariant::space_bounded);
    CHECK(found.front().explanation.find("for 2097152 live bytes (new, it had 3 files of 1048576 bytes); at "
                                         "most 102 files and 27262976 bytes") != std::string::npos);
  }
}
