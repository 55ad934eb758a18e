#include "workloads/observation.h"

#include <vector>

#include "harness/base/error.h"
#include "harness/base/rng.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::workloads;

namespace {

// One section of each kind; returns the bytes in use.
std::size_t write_everything(ObservationWriter& writer) {
  writer.begin(SectionKind::log);
  for (const std::uint64_t value : {5, 6, 17, 6, 1}) writer.u64(value);
  for (const std::uint64_t value : {2, 1001, 3, 1002}) writer.u64(value);
  writer.end();
  for (const SectionKind kind :
       {SectionKind::state_before, SectionKind::state_after, SectionKind::state_reopened,
        SectionKind::state_backward, SectionKind::state_reached, SectionKind::state_probed}) {
    writer.begin(kind);
    writer.u64(6);
    writer.u64(5);
    writer.key_value("k", "");
    writer.key_value(std::string_view("k\0", 2), "value");
    writer.end_keyspace();
    writer.end_keyspace();
    writer.key_value("c", "2");
    writer.end_keyspace();
    writer.end();
  }
  writer.begin(SectionKind::reads);
  writer.u8(static_cast<std::uint8_t>(ReadKind::seek));
  writer.u8(1);
  writer.bytes("target");
  writer.u8(1);
  writer.bytes("the key");
  writer.bytes("the value");
  writer.end();
  writer.begin(SectionKind::probe);
  writer.u8(1);
  writer.bytes("");
  writer.end();
  writer.begin(SectionKind::space);
  for (const std::uint64_t value : {7, 70000, 9000}) writer.u64(value);
  writer.end();
  writer.begin(SectionKind::integrity);
  writer.u8(0);
  writer.bytes("page 3 is damaged");
  return writer.end();
}

}  // namespace

TEST_CASE("what a worker writes the driver reads") {
  std::vector<char> buffer(4096);
  ObservationWriter writer(buffer.data(), buffer.size());
  const std::string_view bytes(buffer.data(), write_everything(writer));
  Observations seen;
  REQUIRE(parse(bytes, &seen).ok());
  REQUIRE(seen.log);
  CHECK(seen.log->first == 5);
  CHECK(seen.log->last == 6);
  CHECK(seen.log->torn_bytes == 17);
  CHECK(seen.log->torn_after == 6);
  CHECK(seen.log->removed_files == 1);
  REQUIRE(seen.log->entries.size() == 2);
  CHECK(seen.log->entries[1].term == 3);
  CHECK(seen.log->entries[1].hash == 1002);
  REQUIRE((seen.before && seen.after && seen.reopened && seen.backward && seen.probed));
  CHECK(seen.before->witness == 6);
  CHECK(seen.before->durable_index == 5);
  StateCursor cursor(seen.before->keyspaces);
  std::string_view key;
  std::string_view value;
  using Item = StateCursor::Item;
  REQUIRE(cursor.next(&key, &value) == Item::key_value);
  CHECK(key == "k");
  CHECK(value.empty());
  REQUIRE(cursor.next(&key, &value) == Item::key_value);
  CHECK(key == std::string_view("k\0", 2));
  CHECK(cursor.next(&key, &value) == Item::end_of_keyspace);
  CHECK(cursor.next(&key, &value) == Item::end_of_keyspace);
  CHECK(cursor.next(&key, &value) == Item::key_value);
  CHECK(cursor.next(&key, &value) == Item::end_of_keyspace);
  CHECK(cursor.next(&key, &value) == Item::damaged);  // no fourth keyspace
  REQUIRE(seen.reads.size() == 1);
  CHECK(seen.reads[0].kind == ReadKind::seek);
  CHECK(seen.reads[0].keyspace == Keyspace::counter);
  CHECK(seen.reads[0].target == "target");
  CHECK(seen.reads[0].found);
  CHECK(seen.reads[0].value == "the value");
  CHECK(seen.probe->ok);
  REQUIRE(seen.space);
  CHECK(seen.space->files == 7);
  CHECK(seen.space->bytes == 70000);
  CHECK(seen.space->live_bytes == 9000);
  CHECK_FALSE(seen.integrity->ok);
  CHECK(seen.integrity->message == "page 3 is damaged");
}

TEST_CASE("each published prefix parses to the sections that are complete") {
  std::vector<char> buffer(4096);
  ObservationWriter writer(buffer.data(), buffer.size());
  Observations seen;
  REQUIRE(parse("", &seen).ok());
  CHECK_FALSE(seen.log);
  writer.begin(SectionKind::log);
  for (const std::uint64_t value : {1, 0, 0, 0, 0}) writer.u64(value);  // an empty log
  const std::size_t published = writer.end();
  writer.begin(SectionKind::state_before);
  writer.u64(1);
  REQUIRE(parse({buffer.data(), published}, &seen).ok());
  REQUIRE(seen.log);
  CHECK(seen.log->entries.empty());
  CHECK_FALSE(seen.before);
}

TEST_CASE("a full observation buffer is an environment error and writes nothing outside") {
  std::vector<char> buffer(64, 'x');
  ObservationWriter writer(buffer.data(), 32);
  writer.begin(SectionKind::probe);
  CHECK_THROWS_AS(writer.bytes(std::string(20, 'y')), EnvironmentError);
  CHECK(std::string_view(buffer.data() + 32, 32) == std::string(32, 'x'));
}

TEST_CASE("bytes that break the grammar are refused") {
  std::vector<char> buffer(4096);
  ObservationWriter writer(buffer.data(), buffer.size());
  const std::string whole(buffer.data(), write_everything(writer));
  Observations seen;
  CHECK(parse(whole + whole, &seen).code() == StatusCode::corruption);                  // every section twice
  CHECK(parse(whole + std::string(16, '\0'), &seen).code() == StatusCode::corruption);  // kind 0
  std::string long_log = whole;
  long_log[16 + 8] = 9;  // last = 9 with two pairs
  CHECK(parse(long_log, &seen).code() == StatusCode::corruption);
}

TEST_CASE("wild bytes never crash the parser or the cursor") {
  std::vector<char> buffer(4096);
  ObservationWriter writer(buffer.data(), buffer.size());
  const std::string whole(buffer.data(), write_everything(writer));
  Rng rng(3);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole.substr(0, rng.chance(1, 2) ? whole.size() : rng.below(whole.size()));
    for (std::uint64_t flips = rng.between(1, 6); flips > 0 && !bytes.empty(); --flips) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.chance(1, 2) ? 0xff : rng.next());
    }
    Observations seen;
    (void)parse(bytes, &seen).ok();
    for (const auto& state : {seen.before, seen.after, seen.reopened, seen.backward}) {
      StateCursor cursor(state ? state->keyspaces : std::string_view());
      std::string_view key;
      std::string_view value;
      for (int steps = 0; steps < 100 && cursor.next(&key, &value) != StateCursor::Item::damaged; ++steps) {
      }
    }
  }
}

TEST_CASE("an entry's hash depends on its type and its payload") {
  CHECK(entry_hash(0, "") != entry_hash(1, ""));
  CHECK(entry_hash(1, "a") != entry_hash(1, "b"));
  CHECK(entry_hash(1, "a") == entry_hash(1, "a"));
}
