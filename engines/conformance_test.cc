// The conformance suite: what engine.h promises, asked of every configuration in the registry.
//
// A new engine is done when this passes. Run: engine_conformance_test; one configuration fails with its name.

#include <algorithm>
#include <iterator>
#include <optional>

#include "engines/testing.h"
#include "harness/base/rng.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::engines;

namespace fs = std::filesystem;

namespace {

// A store of some configuration in a directory of its own.
struct Fixture {
  explicit Fixture(const std::string& name, const EngineOptions& engine_options = test_options())
      : config(*find_engine_config(name)), options(engine_options), engine(create(config, path(), options)) {}

  fs::path path(const std::string& name = "engine") const { return directory.path() / name; }
  void reopen() {
    engine.reset();
    engine = open(config, path(), options);
  }
  // Closes and opens again, with what the contract asks for so that nothing is lost.
  void reopen_keeping_all() {
    if (config.contract.commit == Durability::nothing) {
      expect_ok(engine->flush());
    }
    reopen();
  }

  const EngineConfig& config;
  EngineOptions options;
  TempDir directory = test_directory();
  std::unique_ptr<Engine> engine;
};

std::optional<std::string> get(Engine& engine, KeyspaceId keyspace, std::string_view key) {
  std::string value;
  const Status status = engine.get(keyspace, key, &value);
  if (status.is_not_found()) {
    return std::nullopt;
  }
  expect_ok(status);
  return value;
}

// "a=1 c=3": the pairs of a keyspace, for short expectations.
std::string show(const KeyspaceState& state) {
  std::string text;
  for (const auto& [key, value] : state) {
    text.append(text.empty() ? "" : " ").append(key).append("=").append(value);
  }
  return text;
}

std::string key_or_end(const Iterator& it) { return it.valid() ? std::string(it.key()) : "end"; }

}  // namespace

// GENERATE runs the rest of the test once for each name.
#define EVERY_CONFIGURATION(name)                                \
  const std::string name = GENERATE(from_range(config_names())); \
  INFO("configuration " << (name))

TEST_CASE("a new store is empty") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  CHECK(read_state(*fixture.engine) == State(3));
  CHECK_FALSE(get(*fixture.engine, kFirst, "a"));
  CHECK(fixture.engine->check_integrity().ok());
}

TEST_CASE("a batch reaches all keyspaces it names and no other") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  WriteBatch batch;
  batch.put(kFirst, "k", "1");
  batch.put(kThird, "k", "3");
  REQUIRE(fixture.engine->write(batch).ok());
  CHECK(get(*fixture.engine, kFirst, "k") == "1");
  CHECK_FALSE(get(*fixture.engine, kSecond, "k"));
  CHECK(get(*fixture.engine, kThird, "k") == "3");
}

TEST_CASE("an empty batch is accepted and changes nothing") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  put(*fixture.engine, kFirst, "k", "1");
  CHECK(fixture.engine->write(WriteBatch()).ok());
  CHECK(show(read_keyspace(*fixture.engine, kFirst)) == "k=1");
}

TEST_CASE("a later operation of a batch wins over an earlier one") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  WriteBatch batch;
  batch.put(kFirst, "twice", "1");
  batch.put(kFirst, "twice", "2");
  batch.put(kFirst, "gone", "1");
  batch.erase(kFirst, "gone");
  batch.erase(kFirst, "back");
  batch.put(kFirst, "back", "1");
  batch.erase(kFirst, "never-there");
  REQUIRE(fixture.engine->write(batch).ok());
  CHECK(show(read_keyspace(*fixture.engine, kFirst)) == "back=1 twice=2");
}

TEST_CASE("a range is removed from its begin up to, and without, its end") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  const auto fill = [&] {
    WriteBatch batch;
    for (const char* key : {"a", "b", "ba", "c", "d"}) {
      batch.put(kFirst, key, key);
      batch.put(kSecond, key, key);
    }
    expect_ok(fixture.engine->write(batch));
  };
  const auto after_erasing = [&](std::string_view begin, std::string_view end) {
    fill();
    WriteBatch batch;
    batch.erase_range(kFirst, begin, end);
    expect_ok(fixture.engine->write(batch));
    CHECK(read_keyspace(*fixture.engine, kSecond).size() == 5);
    return show(read_keyspace(*fixture.engine, kFirst));
  };
  CHECK(after_erasing("b", "c") == "a=a c=c d=d");
  CHECK(after_erasing("b", "b") == "a=a b=b ba=ba c=c d=d");
  CHECK(after_erasing("aa", "az") == "a=a b=b ba=ba c=c d=d");
  CHECK(after_erasing("", "") == "a=a b=b ba=ba c=c d=d");
  CHECK(after_erasing("", "b") == "b=b ba=ba c=c d=d");
  CHECK(after_erasing("bb", "z") == "a=a b=b ba=ba");
  CHECK(after_erasing("e", "z") == "a=a b=b ba=ba c=c d=d");
  CHECK(after_erasing("d", std::string("d\0", 2)) == "a=a b=b ba=ba c=c");
  CHECK(after_erasing("b", std::string(kKeyBytesMax + 1, 'b')) == "a=a c=c d=d");  // bounds are no keys
}

TEST_CASE("a range in a batch covers the puts before it and not the ones after it") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  put(*fixture.engine, kFirst, "b", "old");
  WriteBatch batch;
  batch.put(kFirst, "a", "1");
  batch.put(kFirst, "c", "1");
  batch.put(kFirst, "e", "1");
  batch.erase_range(kFirst, "a", "e");
  batch.put(kFirst, "c", "2");
  REQUIRE(fixture.engine->write(batch).ok());
  CHECK(show(read_keyspace(*fixture.engine, kFirst)) == "c=2 e=1");
  fixture.reopen_keeping_all();
  CHECK(show(read_keyspace(*fixture.engine, kFirst)) == "c=2 e=1");
}

TEST_CASE("every byte value is allowed in keys and values, and keys are in memcmp order") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  State expected(3);
  WriteBatch batch;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    batch.put(kFirst, one, one);
    batch.put(kFirst, one + one, std::string(3, static_cast<char>(255 - byte)));
    batch.put(kFirst, "x" + one + "y", "\0" + one);
  }
  apply_batch(batch, &expected);
  REQUIRE(fixture.engine->write(batch).ok());
  fixture.reopen_keeping_all();
  CHECK(read_state(*fixture.engine) == expected);

  const std::unique_ptr<Iterator> it = fixture.engine->iterator(kFirst);
  std::vector<std::string> keys;
  for (it->seek_to_first(); it->valid(); it->next()) {
    keys.emplace_back(it->key());
  }
  CHECK(keys.size() == expected[kFirst].size());
  CHECK(std::is_sorted(keys.begin(), keys.end()));  // std::string compares bytes as unsigned
}

TEST_CASE("an empty value is there and is not an absent one") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  put(*fixture.engine, kFirst, "empty", "");
  CHECK(get(*fixture.engine, kFirst, "empty") == "");
  CHECK_FALSE(get(*fixture.engine, kFirst, "absent"));
  fixture.reopen_keeping_all();
  CHECK(show(read_keyspace(*fixture.engine, kFirst)) == "empty=");
}

TEST_CASE("values of a mebibyte and more and the longest keys are kept") {
  EVERY_CONFIGURATION(name);
  const Maintenance maintenance = GENERATE(Maintenance::scheduled, Maintenance::free_running);
  Fixture fixture(name, test_options(maintenance));
  Rng rng(11);
  State expected(3);
  for (const std::size_t size : {4095U, 4096U, 65536U, 1U << 20, (1U << 20) + 1, 3U << 20}) {
    WriteBatch batch;
    std::string key(kKeyBytesMax - 2, 'k');
    rng.append_bytes(&key, 2);
    std::string value;
    rng.append_bytes(&value, size);
    batch.put(kSecond, key, value);
    apply_batch(batch, &expected);
    REQUIRE(fixture.engine->write(batch).ok());
  }
  CHECK((read_state(*fixture.engine) == expected));
  fixture.reopen_keeping_all();
  CHECK((read_state(*fixture.engine) == expected));
  CHECK(fixture.engine->check_integrity().ok());
}

TEST_CASE("a key that is empty or too long is refused, and nothing of its batch is applied") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  const std::string too_long(kKeyBytesMax + 1, 'k');
  for (const std::string& bad : {std::string(), too_long}) {
    WriteBatch batch;
    batch.put(kFirst, "good", "1");
    batch.put(kFirst, bad, "1");
    CHECK(fixture.engine->write(batch).code() == StatusCode::invalid_argument);
    batch.clear();
    batch.put(kFirst, "good", "1");
    batch.erase(kFirst, bad);
    CHECK(fixture.engine->write(batch).code() == StatusCode::invalid_argument);
    std::string value;
    CHECK(fixture.engine->get(kFirst, bad, &value).code() == StatusCode::invalid_argument);
  }
  WriteBatch batch;
  batch.put(kFirst, "good", "1");
  batch.put(3, "no such keyspace", "1");
  CHECK(fixture.engine->write(batch).code() == StatusCode::invalid_argument);
  CHECK(read_state(*fixture.engine) == State(3));
}

TEST_CASE("seek and seek_for_prev find their neighbour at every edge") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  const std::unique_ptr<Iterator> none = fixture.engine->iterator(kFirst);
  none->seek_to_first();
  CHECK(key_or_end(*none) == "end");
  none->seek_to_last();
  CHECK(key_or_end(*none) == "end");
  none->seek("a");
  CHECK(key_or_end(*none) == "end");
  none->seek_for_prev("a");
  CHECK(key_or_end(*none) == "end");

  for (const char* key : {"b", "d", "f"}) {
    put(*fixture.engine, kFirst, key, key);
  }
  const std::unique_ptr<Iterator> it = fixture.engine->iterator(kFirst);
  CHECK_FALSE(it->valid());
  const auto seek = [&](const std::string& target) {
    it->seek(target);
    return key_or_end(*it);
  };
  const auto seek_for_prev = [&](const std::string& target) {
    it->seek_for_prev(target);
    return key_or_end(*it);
  };
  const std::string huge(2 * kKeyBytesMax, 'd');
  CHECK(seek("") == "b");
  CHECK(seek("a") == "b");
  CHECK(seek("b") == "b");
  CHECK(seek("c") == "d");
  CHECK(seek(huge) == "f");
  CHECK(seek("f") == "f");
  CHECK(seek("g") == "end");
  CHECK(it->status().ok());
  CHECK(seek_for_prev("") == "end");
  CHECK(it->status().ok());
  CHECK(seek_for_prev("a") == "end");
  CHECK(seek_for_prev("b") == "b");
  CHECK(seek_for_prev("c") == "b");
  CHECK(seek_for_prev("d") == "d");
  CHECK(seek_for_prev(huge) == "d");
  CHECK(seek_for_prev("g") == "f");
  CHECK(seek("b") == "b");
}

TEST_CASE("an iterator ends after either edge and can change direction between them") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  for (const char* key : {"a", "b", "c"}) {
    put(*fixture.engine, kFirst, key, std::string("value of ") + key);
  }
  const std::unique_ptr<Iterator> it = fixture.engine->iterator(kFirst);
  it->seek_to_first();
  it->next();
  CHECK(it->key() == "b");
  CHECK(it->value() == "value of b");
  it->prev();
  CHECK(it->key() == "a");
  it->next();
  it->next();
  CHECK(it->key() == "c");
  it->prev();
  CHECK(it->key() == "b");
  it->next();
  it->next();
  CHECK_FALSE(it->valid());
  CHECK(it->status().ok());
  it->seek_to_last();
  CHECK(it->key() == "c");
  it->seek_to_first();
  it->prev();
  CHECK_FALSE(it->valid());
  CHECK(it->status().ok());
}

TEST_CASE("an iterator shows the state at its creation") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  put(*fixture.engine, kFirst, "a", "1");
  const std::unique_ptr<Iterator> it = fixture.engine->iterator(kFirst);
  put(*fixture.engine, kFirst, "a", "2");
  put(*fixture.engine, kFirst, "b", "2");
  REQUIRE(fixture.engine->flush().ok());
  CHECK(show(read_forward(*it)) == "a=1");
  CHECK(show(read_backward(*it)) == "a=1");
  CHECK(show(read_keyspace(*fixture.engine, kFirst)) == "a=2 b=2");
}

TEST_CASE("later writes do not change a snapshot, in any keyspace") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  WriteBatch batch;
  batch.put(kFirst, "a", "1");
  batch.put(kFirst, "b", "1");
  batch.put(kSecond, "a", "1");
  REQUIRE(fixture.engine->write(batch).ok());
  std::unique_ptr<Snapshot> snapshot = fixture.engine->snapshot();
  batch.clear();
  batch.put(kFirst, "a", "2");
  batch.erase_range(kFirst, "b", "c");
  batch.put(kThird, "a", "2");
  REQUIRE(fixture.engine->write(batch).ok());
  REQUIRE(fixture.engine->flush().ok());

  std::string value;
  CHECK(snapshot->get(kFirst, "a", &value).ok());
  CHECK(value == "1");
  CHECK(snapshot->get(kThird, "a", &value).is_not_found());
  CHECK(snapshot->get(kFirst, "", &value).code() == StatusCode::invalid_argument);
  CHECK(show(read_forward(*snapshot->iterator(kFirst))) == "a=1 b=1");
  CHECK(show(read_backward(*snapshot->iterator(kFirst))) == "a=1 b=1");
  CHECK(show(read_forward(*snapshot->iterator(kThird))).empty());
  CHECK(show(read_keyspace(*fixture.engine, kFirst)) == "a=2");

  std::unique_ptr<Iterator> outlives = snapshot->iterator(kFirst);
  snapshot.reset();
  CHECK(show(read_forward(*outlives)) == "a=1 b=1");
}

TEST_CASE("what a flush covered is there after a close") {
  EVERY_CONFIGURATION(name);
  const Maintenance maintenance = GENERATE(Maintenance::scheduled, Maintenance::free_running);
  Fixture fixture(name, test_options(maintenance));
  State expected(3);
  for (int i = 0; i < 100; ++i) {
    WriteBatch batch;
    batch.put(static_cast<KeyspaceId>(i % 3), "key" + std::to_string(i), std::string(i, 'v'));
    batch.erase(kFirst, "key" + std::to_string(i - 30));
    apply_batch(batch, &expected);
    REQUIRE(fixture.engine->write(batch).ok());
  }
  REQUIRE(fixture.engine->flush().ok());
  REQUIRE(fixture.engine->flush().ok());  // with nothing to do
  fixture.reopen();
  CHECK(read_state(*fixture.engine) == expected);
  fixture.reopen();
  CHECK(read_state(*fixture.engine) == expected);
}

TEST_CASE("after a kill there is what the contract says, no less and, when scheduled, no more") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  put(*fixture.engine, kFirst, "flushed", "1");
  put(*fixture.engine, kSecond, "flushed", "1");
  REQUIRE(fixture.engine->flush().ok());
  const State flushed = read_state(*fixture.engine);
  put(*fixture.engine, kFirst, "committed", "1");
  put(*fixture.engine, kThird, "committed", "1");
  const State committed = read_state(*fixture.engine);

  crash_copy(fixture.path(), fixture.path("crashed"));
  const State& expected = fixture.config.contract.commit == Durability::nothing ? flushed : committed;
  CHECK(read_state(*open(fixture.config, fixture.path("crashed"))) == expected);
  // A close must not hide what a kill would show.
  fixture.reopen();
  CHECK(read_state(*fixture.engine) == expected);
}

TEST_CASE("a checkpoint opens as a store with the same content, and the two are independent") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  State expected(3);
  for (int i = 0; i < 200; ++i) {
    WriteBatch batch;
    batch.put(static_cast<KeyspaceId>(i % 3), "key" + std::to_string(i % 50), std::to_string(i));
    apply_batch(batch, &expected);
    REQUIRE(fixture.engine->write(batch).ok());
    if (i == 100) {
      REQUIRE(fixture.engine->flush().ok());
    }
  }
  REQUIRE(fixture.engine->checkpoint(fixture.path("checkpoint")).ok());
  CHECK_FALSE(fixture.engine->checkpoint(fixture.path("checkpoint")).ok());
  put(*fixture.engine, kFirst, "after", "checkpoint");

  std::unique_ptr<Engine> copy = open(fixture.config, fixture.path("checkpoint"));
  CHECK(read_state(*copy) == expected);
  CHECK(copy->check_integrity().ok());
  put(*copy, kSecond, "only", "in the copy");
  REQUIRE(copy->compact().ok());
  CHECK_FALSE(get(*fixture.engine, kSecond, "only"));
  CHECK(get(*fixture.engine, kFirst, "after") == "checkpoint");
  copy.reset();
  CHECK(get(*open(fixture.config, fixture.path("checkpoint")), kSecond, "only") == "in the copy");
}

TEST_CASE("compaction keeps the content and frees space") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  REQUIRE(fixture.engine->compact().ok());  // of nothing
  Rng rng(5);
  State expected(3);
  for (int i = 0; i < 300; ++i) {
    WriteBatch batch;
    std::string value;
    rng.append_bytes(&value, 4000);
    batch.put(static_cast<KeyspaceId>(i % 3), "key" + std::to_string(rng.below(40)), value);
    apply_batch(batch, &expected);
    REQUIRE(fixture.engine->write(batch).ok());
    if (i % 50 == 49) {
      REQUIRE(fixture.engine->flush().ok());
    }
  }
  SizeInfo before;
  REQUIRE(fixture.engine->size(&before).ok());
  REQUIRE(fixture.engine->compact().ok());
  CHECK((read_state(*fixture.engine) == expected));
  SizeInfo after;
  REQUIRE(fixture.engine->size(&after).ok());
  CHECK(after.bytes_on_disk < before.bytes_on_disk);
  CHECK(fixture.engine->check_integrity().ok());
  put(*fixture.engine, kFirst, "after", "1");
  fixture.reopen_keeping_all();
  expected[kFirst]["after"] = "1";
  CHECK((read_state(*fixture.engine) == expected));
}

TEST_CASE("sizes are plausible") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  SizeInfo empty;
  REQUIRE(fixture.engine->size(&empty).ok());
  CHECK(empty.bytes_on_disk > 0);
  Rng rng(6);
  for (int i = 0; i < 100; ++i) {
    std::string value;
    rng.append_bytes(&value, 10000);
    put(*fixture.engine, kFirst, "key" + std::to_string(i), value);
  }
  REQUIRE(fixture.engine->flush().ok());
  SizeInfo full;
  REQUIRE(fixture.engine->size(&full).ok());
  CHECK(full.bytes_on_disk >= empty.bytes_on_disk + 1000000);
  CHECK(full.bytes_in_use >= 1000000);
  CHECK(full.bytes_in_use <= full.bytes_on_disk);
}

TEST_CASE("configurations of one family open each other's directories after a clean close") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  put(*fixture.engine, kFirst, "k", "v");
  REQUIRE(fixture.engine->flush().ok());
  fixture.engine.reset();
  for (const EngineConfig& other : engine_configs()) {
    if (other.family == fixture.config.family) {
      INFO("opened by " << other.name);
      CHECK(get(*open(other, fixture.path()), kFirst, "k") == "v");
    }
  }
}

TEST_CASE("both tunings and both maintenance modes open each other's directories") {
  EVERY_CONFIGURATION(name);
  Fixture fixture(name);
  State expected(3);
  int round = 0;
  for (const Tuning tuning : {Tuning::stock, Tuning::lean}) {
    for (const Maintenance maintenance : {Maintenance::free_running, Maintenance::scheduled}) {
      fixture.options = test_options(maintenance, tuning);
      fixture.reopen_keeping_all();
      WriteBatch batch;
      batch.put(kFirst, "round" + std::to_string(round++), to_string(tuning));
      apply_batch(batch, &expected);
      REQUIRE(fixture.engine->write(batch).ok());
      CHECK(read_state(*fixture.engine) == expected);
    }
  }
}

TEST_CASE("configurations describe themselves") {
  EVERY_CONFIGURATION(name);
  const EngineConfig& config = *find_engine_config(name);
  CHECK_FALSE(config.family.empty());
  CHECK_FALSE(config.summary.empty());
  CHECK_FALSE(config.version.empty());
  CHECK(config.contract.flush >= config.contract.commit);
  REQUIRE_FALSE(config.file_classes.empty());
  CHECK(config.file_classes.back().pattern == "*");  // every file has a class
}

namespace {

// Thousands of seeded operations against an engine and a std::map per keyspace, compared all along.
class Differential {
 public:
  Differential(const std::string& name, const EngineOptions& options, std::uint64_t seed)
      : fixture_(name, options), rng_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      INFO("step " << i);
      step();
    }
    compare_all();
    REQUIRE(fixture_.engine->check_integrity().ok());
  }

 private:
  void step() {
    switch (rng_.weighted({500, 300, 120, 30, 20, 8, 6, 4, 6})) {
      case 0:
        return write();
      case 1:
        return read_one();
      case 2:
        return walk();
      case 3:
        return compare_snapshot();
      case 4:
        REQUIRE(fixture_.engine->flush().ok());
        return;
      case 5:
        REQUIRE(fixture_.engine->compact().ok());
        return;
      case 6:
        fixture_.reopen_keeping_all();
        return compare_all();
      case 7:
        return checkpoint();
      default:
        REQUIRE(fixture_.engine->check_integrity().ok());
    }
  }

  KeyspaceId keyspace() { return static_cast<KeyspaceId>(rng_.below(3)); }
  // Few enough keys to overwrite, and prefixes of each other.
  std::string key() {
    std::string key = std::to_string(rng_.below(rng_.chance(1, 2) ? 30 : 600));
    if (rng_.chance(1, 10)) {
      key.append(rng_.below(3), rng_.chance(1, 2) ? '\0' : '\xff');
    }
    return key;
  }

  void write() {
    WriteBatch batch;
    for (std::uint64_t n = rng_.log_between(1, 40); n > 0; --n) {
      switch (rng_.weighted({70, 22, 8})) {
        case 0: {
          std::string value;
          rng_.append_bytes(&value, rng_.chance(1, 10) ? 0 : rng_.log_between(1, 3000));
          batch.put(keyspace(), key(), value);
          break;
        }
        case 1:
          batch.erase(keyspace(), key());
          break;
        default: {
          std::string begin = key();
          std::string end = rng_.chance(1, 2) ? key() : begin + "5";
          if (end < begin) {
            std::swap(begin, end);
          }
          batch.erase_range(keyspace(), begin, end);
        }
      }
    }
    REQUIRE(fixture_.engine->write(batch).ok());
    apply_batch(batch, &model_);
  }

  void read_one() {
    const KeyspaceId where = keyspace();
    const std::string wanted = key();
    const auto found = model_[where].find(wanted);
    const std::optional<std::string> value = get(*fixture_.engine, where, wanted);
    REQUIRE(value.has_value() == (found != model_[where].end()));
    REQUIRE((!value || *value == found->second));
  }

  // Random moves of an iterator beside an iterator of the map.
  void walk() {
    const KeyspaceState& state = model_[keyspace()];
    const std::unique_ptr<Iterator> it =
        fixture_.engine->iterator(static_cast<KeyspaceId>(&state - model_.data()));
    auto at = state.end();
    for (std::uint64_t n = rng_.between(1, 30); n > 0; --n) {
      const std::string target = key();
      switch (rng_.weighted({1, 1, 3, 3, 10, 10})) {
        case 0:
          it->seek_to_first();
          at = state.begin();
          break;
        case 1:
          it->seek_to_last();
          at = before(state, state.end());
          break;
        case 2:
          it->seek(target);
          at = state.lower_bound(target);
          break;
        case 3:
          it->seek_for_prev(target);
          at = before(state, state.upper_bound(target));
          break;
        case 4:
          if (it->valid()) {
            it->next();
            ++at;
          }
          break;
        default:
          if (it->valid()) {
            it->prev();
            at = before(state, at);
          }
      }
      REQUIRE(it->valid() == (at != state.end()));
      REQUIRE((!it->valid() || (it->key() == at->first && it->value() == at->second)));
      REQUIRE(it->status().ok());
    }
  }

  static KeyspaceState::const_iterator before(const KeyspaceState& state, KeyspaceState::const_iterator at) {
    return at == state.begin() ? state.end() : std::prev(at);
  }

  void compare_snapshot() {
    const std::unique_ptr<Snapshot> snapshot = fixture_.engine->snapshot();
    const State then = model_;
    write();
    const KeyspaceId where = keyspace();
    REQUIRE((read_forward(*snapshot->iterator(where)) == then[where]));
    REQUIRE((read_backward(*snapshot->iterator(where)) == then[where]));
  }

  void checkpoint() {
    const fs::path place = fixture_.path("checkpoint");
    REQUIRE(fixture_.engine->checkpoint(place).ok());
    REQUIRE((read_state(*open(fixture_.config, place, fixture_.options)) == model_));
    fs::remove_all(place);
  }

  void compare_all() { REQUIRE((read_state(*fixture_.engine) == model_)); }

  Fixture fixture_;
  Rng rng_;
  State model_ = State(3);
};

}  // namespace

TEST_CASE("thousands of random operations agree with a map, in every mode") {
  EVERY_CONFIGURATION(name);
  const Maintenance maintenance = GENERATE(Maintenance::scheduled, Maintenance::free_running);
  const Tuning tuning = GENERATE(Tuning::lean, Tuning::stock);
  INFO(to_string(maintenance) << ", " << to_string(tuning));
  Differential(name, test_options(maintenance, tuning), 42).run(2000);
}
