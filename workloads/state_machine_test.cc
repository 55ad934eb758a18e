#include "workloads/state_machine.h"

#include <vector>

#include "harness/base/coding.h"
#include "harness/base/rng.h"
#include "workloads/map_state_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::workloads;

namespace {

using enum OperationKind;

std::string number(std::uint64_t value) {
  std::string bytes;
  put_u64(&bytes, value);
  return bytes;
}

std::string revision(std::uint64_t value) { return "r" + big_endian_key(value); }

std::string record(std::string_view user_key, std::string_view value) {
  std::string bytes;
  put_bytes(&bytes, user_key);
  return bytes + std::string(value);
}

Operation mvcc(std::string key, std::string value) {
  return {.kind = mvcc_put, .keyspace = Keyspace::revision, .key = std::move(key), .value = std::move(value)};
}

Operation compact(std::uint64_t keep) {
  return {.kind = mvcc_compact, .keyspace = Keyspace::revision, .number = keep};
}

Operation cas(std::string key, std::string expected, std::string value) {
  return {.kind = compare_and_set,
          .key = std::move(key),
          .value = std::move(value),
          .expected = std::move(expected)};
}

}  // namespace

TEST_CASE("put sets, overwrites, and keeps an empty value apart from an absent key") {
  MapState state;
  workloads::apply({{.kind = put, .key = "k", .value = "one"}, {.kind = put, .key = "e"}}, state);
  CHECK(state[Keyspace::object] == MapState::Map{{"e", ""}, {"k", "one"}});
  workloads::apply({{.kind = put, .key = "k", .value = "two"}}, state);
  CHECK(state[Keyspace::object]["k"] == "two");
  CHECK(state[Keyspace::counter].empty());
}

TEST_CASE("erase removes one key and takes an absent one for granted") {
  MapState state;
  state[Keyspace::object] = {{"a", "1"}, {std::string("a\0", 2), "2"}};
  workloads::apply({{.kind = erase, .key = "a"}, {.kind = erase, .key = "absent"}}, state);
  CHECK(state[Keyspace::object] == MapState::Map{{std::string("a\0", 2), "2"}});
}

TEST_CASE("erase_range takes its begin, leaves its end, and does nothing when they meet or cross") {
  MapState state;
  const MapState::Map full = {
      {"a", "1"}, {std::string("a\0", 2), "2"}, {"b", "3"}, {"b\xff", "4"}, {"c", "5"}};
  state[Keyspace::object] = full;
  workloads::apply({{.kind = erase_range, .key = "b", .end = "b"}}, state);
  workloads::apply({{.kind = erase_range, .key = "c", .end = "a"}}, state);
  workloads::apply({{.kind = erase_range, .keyspace = Keyspace::counter, .key = "a", .end = "z"}}, state);
  CHECK(state[Keyspace::object] == full);
  workloads::apply({{.kind = erase_range, .key = std::string("a\0", 2), .end = "c"}}, state);
  CHECK(state[Keyspace::object] == MapState::Map{{"a", "1"}, {"c", "5"}});
}

TEST_CASE("increment counts from zero, wraps, starts over on a foreign value, and shows when applied twice") {
  MapState state;
  const Operation add{.kind = increment, .keyspace = Keyspace::counter, .key = "n", .number = 5};
  workloads::apply({add}, state);
  CHECK(state[Keyspace::counter]["n"] == number(5));
  workloads::apply({add}, state);
  CHECK(state[Keyspace::counter]["n"] == number(10));
  state[Keyspace::counter]["n"] = number(UINT64_MAX);
  workloads::apply({add}, state);
  CHECK(state[Keyspace::counter]["n"] == number(4));
  state[Keyspace::counter]["n"] = "text";
  workloads::apply({add}, state);
  CHECK(state[Keyspace::counter]["n"] == number(5));
}

TEST_CASE("append grows a value, starts over past its limit, and shows when applied twice") {
  MapState state;
  const auto add = [&](std::size_t size, char byte) {
    workloads::apply(
        {{.kind = append, .keyspace = Keyspace::counter, .key = "n", .value = std::string(size, byte)}},
        state);
  };
  add(2, 'a');
  CHECK(state[Keyspace::counter]["n"] == "aa");
  add(2, 'a');
  CHECK(state[Keyspace::counter]["n"] == "aaaa");
  add(kAppendBytesMax - 4, 'b');
  CHECK(state[Keyspace::counter]["n"].size() == kAppendBytesMax);
  add(1, 'c');
  CHECK(state[Keyspace::counter]["n"] == "c");
  add(kAppendBytesMax + 9, 'd');
  CHECK(state[Keyspace::counter]["n"] == std::string(kAppendBytesMax, 'd'));
}

TEST_CASE("compare_and_set writes on a match only, and an absent key matches the empty expectation") {
  MapState state;
  workloads::apply({cas("k", "x", "no")}, state);
  CHECK(state[Keyspace::object].empty());
  workloads::apply({cas("k", "", "one")}, state);
  CHECK(state[Keyspace::object]["k"] == "one");
  workloads::apply({cas("k", "", "no"), cas("k", "on", "no")}, state);
  CHECK(state[Keyspace::object]["k"] == "one");
  workloads::apply({cas("k", "one", ""), cas("k", "", "two")}, state);
  CHECK(state[Keyspace::object]["k"] == "two");
}

TEST_CASE("an operation sees the ones before it in its transaction") {
  MapState state;
  workloads::apply({{.kind = put, .keyspace = Keyspace::counter, .key = "n", .value = number(40)},
                    {.kind = increment, .keyspace = Keyspace::counter, .key = "n", .number = 2},
                    {.kind = put, .key = "a"},
                    {.kind = erase_range, .key = "a", .end = "b"}},
                   state);
  CHECK(state[Keyspace::counter]["n"] == number(42));
  CHECK(state[Keyspace::object].empty());
}

TEST_CASE("mvcc_put numbers its revisions and points at the latest of each key") {
  MapState state;
  workloads::apply({mvcc("x", "1"), mvcc("y", "2")}, state);
  workloads::apply({mvcc("x", "3")}, state);
  CHECK(state[Keyspace::revision] == MapState::Map{{"c", number(3)},
                                                   {"ix", number(3)},
                                                   {"iy", number(2)},
                                                   {revision(1), record("x", "1")},
                                                   {revision(2), record("y", "2")},
                                                   {revision(3), record("x", "3")}});
}

TEST_CASE("mvcc_compact removes superseded revisions only, and only old enough ones") {
  MapState state;
  workloads::apply({mvcc("x", "1"), mvcc("y", "2"), mvcc("x", "3"), mvcc("x", "4"), mvcc("z", "5")}, state);
  workloads::apply({compact(5)}, state);
  CHECK(state[Keyspace::revision].count("f") == 0);  // nothing is five revisions ago
  workloads::apply({compact(2)}, state);
  CHECK(state[Keyspace::revision] == MapState::Map{{"c", number(5)},
                                                   {"f", number(3)},
                                                   {"ix", number(4)},
                                                   {"iy", number(2)},
                                                   {"iz", number(5)},
                                                   {revision(2), record("y", "2")},
                                                   {revision(4), record("x", "4")},
                                                   {revision(5), record("z", "5")}});
  MapState again = state;
  workloads::apply({compact(2)}, again);
  CHECK(again == state);
}

TEST_CASE("a revision that is superseded below the compaction floor goes at once") {
  MapState state;
  workloads::apply({mvcc("x", "1"), mvcc("y", "2")}, state);
  workloads::apply({compact(0)}, state);
  workloads::apply({mvcc("x", "3")}, state);
  CHECK(state[Keyspace::revision].count(revision(1)) == 0);
  CHECK(state[Keyspace::revision].count(revision(2)) == 1);
  CHECK(state[Keyspace::revision].count(revision(3)) == 1);
}

TEST_CASE("one compaction looks at a bounded number of revisions and the next goes on from there") {
  MapState state;
  for (std::uint64_t i = 0; i < kCompactRevisionsMax + 10; ++i) {
    workloads::apply({mvcc("x", "v")}, state);
  }
  workloads::apply({compact(0)}, state);
  CHECK(state[Keyspace::revision]["f"] == number(kCompactRevisionsMax));
  CHECK(state[Keyspace::revision].size() == 3 + 10);
  workloads::apply({compact(0)}, state);
  CHECK(state[Keyspace::revision].size() == 3 + 1);
}

TEST_CASE("only transactions with a compaction scan") {
  CHECK_FALSE(scans({}));
  CHECK_FALSE(scans({mvcc("x", "1"), {.kind = erase_range, .key = "a", .end = "b"}}));
  CHECK(scans({compact(3)}));
}

TEST_CASE("a state that contradicts itself does no harm to the state machine") {
  Rng rng(5);
  for (int round = 0; round < 200; ++round) {
    MapState state;
    workloads::apply({mvcc("x", "1"), mvcc("y", "2"), mvcc("x", "3")}, state);
    for (auto& [key, value] : state[Keyspace::revision]) {
      if (rng.chance(1, 2)) {
        value.clear();
        rng.chance(1, 4) ? value.assign(8, '\xff') : (rng.append_bytes(&value, rng.below(12)), value);
      }
    }
    workloads::apply({compact(rng.below(3)), mvcc("x", "4"), compact(0)}, state);
  }
  MapState full;
  full[Keyspace::revision]["c"] = number(UINT64_MAX);
  workloads::apply({compact(0), mvcc("x", "1"), compact(0)}, full);
  CHECK(full[Keyspace::revision]["c"] == number(0));
}
