#include "harness/snapshot/key_value_stream.h"

#include <algorithm>

#include "engines/testing.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "harness/base/test.h"

namespace chaosgate::snapshot {
namespace {

using engines::State;

State sample_state() {
  State state(3);
  for (int i = 0; i < 20; ++i) {
    state[0]["key-" + std::to_string(100 + i)] = std::string(static_cast<std::size_t>(i) * 3, 'v');
  }
  state[2][std::string("\0\xff", 2)] = std::string("\0", 1);
  state[2]["key-100"] = "in another keyspace";
  return state;
}

std::string written(const State& state, std::size_t chunk_bytes = kKeyValueChunkBytes,
                    std::vector<KeyspaceTotals>* totals = nullptr) {
  std::string bytes;
  KeyValueWriter writer(
      state.size(),
      [&](std::string_view piece) {
        bytes.append(piece);
        return Status();
      },
      chunk_bytes);
  for (std::size_t id = 0; id < state.size(); ++id) {
    for (const auto& [key, value] : state[id]) {
      engines::expect_ok(writer.add(static_cast<engines::KeyspaceId>(id), key, value));
    }
  }
  engines::expect_ok(writer.finish());
  if (totals != nullptr) {
    *totals = writer.totals();
  }
  return bytes;
}

Status read(std::string_view bytes, State* state, std::size_t piece = 4096, std::size_t keyspaces = 3) {
  state->assign(keyspaces, {});
  KeyValueReader reader(keyspaces, [&](engines::KeyspaceId id, std::string_view key, std::string_view value) {
    state->at(id).emplace(key, value);
    return Status();
  });
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    RETURN_IF_ERROR(reader.feed(bytes.substr(0, piece)));
  }
  return reader.finish();
}

// A stream made by hand: parts with right checksums, whatever they say.
class Forger {
 public:
  Forger() {
    bytes_.append(kKeyValueMagic);
    put_u32(&bytes_, kKeyValueVersion);
    put_u32(&bytes_, 3);
    seal(0, 0);
  }
  Forger& part(char kind, std::string_view content) {
    const std::size_t begin = bytes_.size();
    bytes_.push_back(kind);
    put_bytes(&bytes_, content);
    seal(begin, chain_);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void seal(std::size_t begin, std::uint64_t seed) {
    chain_ = hash64(std::string_view(bytes_).substr(begin), seed);
    put_u64(&bytes_, chain_);
  }

  std::string bytes_;
  std::uint64_t chain_ = 0;
};

std::string record(engines::KeyspaceId keyspace, std::string_view key, std::string_view value) {
  std::string bytes;
  put_u8(&bytes, keyspace);
  put_bytes(&bytes, key);
  put_bytes(&bytes, value);
  return bytes;
}

Status read_forged(const Forger& forger) {
  State state;
  return read(forger.bytes(), &state);
}

TEST_CASE("A key-value stream gives back what was written in pieces of any size") {
  const State state = sample_state();
  for (const std::size_t chunk_bytes : {std::size_t{1}, std::size_t{100}, kKeyValueChunkBytes}) {
    const std::string bytes = written(state, chunk_bytes);
    for (const std::size_t piece : {1, 7, 1000000}) {
      State found;
      const Status status = read(bytes, &found, piece);
      INFO(status.to_string());
      REQUIRE(status.ok());
      REQUIRE(found == state);
    }
  }
}

TEST_CASE("A key-value stream of nothing is a stream") {
  State found;
  REQUIRE(read(written(State(3)), &found).ok());
  REQUIRE(found == State(3));
}

TEST_CASE("Totals of a key-value stream depend on the records and not on the chunks") {
  std::vector<KeyspaceTotals> small;
  std::vector<KeyspaceTotals> large;
  State state = sample_state();
  written(state, 1, &small);
  written(state, kKeyValueChunkBytes, &large);
  REQUIRE(small == large);
  REQUIRE(small[0].count == 20);
  REQUIRE(small[1] == KeyspaceTotals());
  REQUIRE(small[2].count == 2);
  // The same bytes, split in another way between key and value.
  State shifted(3);
  shifted[0] = {{"ab", "c"}};
  written(shifted, 1, &small);
  shifted[0] = {{"a", "bc"}};
  written(shifted, 1, &large);
  REQUIRE(small != large);
}

TEST_CASE("A key-value stream with any byte changed is refused") {
  const std::string bytes = written(sample_state(), 100);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const int bit : {0, 7}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      State found;
      const Status status = read(changed, &found);
      INFO("byte " << at << " bit " << bit);
      REQUIRE_FALSE(status.ok());
    }
  }
}

TEST_CASE("A key-value stream that ends early or goes on is refused") {
  const std::string bytes = written(sample_state(), 100);
  State found;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    INFO("cut at " << size);
    REQUIRE(read(std::string_view(bytes).substr(0, size), &found).code() == StatusCode::corruption);
  }
  REQUIRE(read(bytes + '\0', &found).code() == StatusCode::corruption);
  REQUIRE(read(bytes + bytes, &found).code() == StatusCode::corruption);
}

TEST_CASE("A chunk of a key-value stream that is lost or doubled or out of place is refused") {
  const std::string bytes = written(sample_state(), 100);
  std::vector<std::string> parts = {bytes.substr(0, 24)};  // the header
  for (std::size_t at = 24; at < bytes.size(); at += parts.back().size()) {
    parts.push_back(bytes.substr(at, 5 + load_fixed<std::uint32_t>(bytes.data() + at + 1) + 8));
  }
  REQUIRE(parts.size() > 5);
  const auto joined = [](const std::vector<std::string>& all) {
    std::string result;
    for (const std::string& part : all) {
      result += part;
    }
    return result;
  };
  State found;
  REQUIRE(read(joined(parts), &found).ok());
  std::vector<std::string> changed = parts;
  changed.erase(changed.begin() + 2);
  REQUIRE_FALSE(read(joined(changed), &found).ok());
  changed = parts;
  changed.insert(changed.begin() + 2, parts[2]);
  REQUIRE_FALSE(read(joined(changed), &found).ok());
  changed = parts;
  std::swap(changed[2], changed[3]);
  REQUIRE_FALSE(read(joined(changed), &found).ok());
}

TEST_CASE("A key-value stream of another version or number of keyspaces is named as such") {
  State found;
  const Status other = read(written(State(2)), &found);
  REQUIRE(other.code() == StatusCode::invalid_argument);
  REQUIRE(other.message() == "key-value stream of 2 keyspaces, expected 3");

  std::string newer(kKeyValueMagic);
  put_u32(&newer, kKeyValueVersion + 1);
  put_u32(&newer, 3);
  put_u64(&newer, hash64(newer));
  REQUIRE(read(newer, &found).code() == StatusCode::not_supported);
}

TEST_CASE("A forged key-value stream with right checksums is refused for what it says") {
  const auto refused = [](const Forger& forger, std::string_view why) {
    const Status status = read_forged(forger);
    INFO(status.to_string());
    REQUIRE(status.code() == StatusCode::corruption);
    REQUIRE(status.message().find(why) != std::string::npos);
  };
  refused(Forger().part('C', record(0, "b", "") + record(0, "a", "")), "out of order");
  refused(Forger().part('C', record(0, "a", "")).part('C', record(0, "a", "")), "out of order");
  refused(Forger().part('C', record(1, "a", "") + record(0, "b", "")), "out of order");
  refused(Forger().part('C', record(3, "a", "")), "does not hold records");
  refused(Forger().part('C', record(0, "", "")), "does not hold records");
  refused(Forger().part('C', record(0, "a", "value").substr(0, 12)), "does not hold records");
  refused(Forger().part('C', ""), "impossible length");
  refused(Forger().part('E', ""), "impossible length");
  refused(Forger().part('X', "x"), "neither a chunk nor the end");
  refused(Forger().part('C', record(0, "a", "")).part('E', std::string(48, '\0')), "came with 1 records");
}

TEST_CASE("A writer of a key-value stream refuses what no reader would take and keeps refusing") {
  std::string bytes;
  const auto sink = [&](std::string_view piece) {
    bytes.append(piece);
    return Status();
  };
  const auto refused = [&](engines::KeyspaceId keyspace, std::string_view key) {
    KeyValueWriter writer(2, sink);
    engines::expect_ok(writer.add(1, "m", "value"));
    const Status status = writer.add(keyspace, key, "value");
    return status.code() == StatusCode::invalid_argument && writer.finish().code() == status.code();
  };
  REQUIRE(refused(1, "m"));
  REQUIRE(refused(1, "a"));
  REQUIRE(refused(0, "z"));
  REQUIRE(refused(2, "n"));
  REQUIRE(refused(1, ""));
  REQUIRE(refused(1, std::string(engines::kKeyBytesMax + 1, 'z')));
  REQUIRE(bytes.empty());

  KeyValueWriter writer(2, sink);
  engines::expect_ok(writer.finish());
  REQUIRE_FALSE(writer.add(0, "a", "").ok());
  REQUIRE_FALSE(writer.finish().ok());
}

TEST_CASE("Failures of a sink and of a visitor end the key-value stream") {
  KeyValueWriter writer(
      1, [](std::string_view) { return Status::io_error("no room"); }, 1);
  REQUIRE(writer.add(0, "a", "").message() == "no room");
  REQUIRE(writer.add(0, "b", "").message() == "no room");

  KeyValueReader reader(
      3, [](engines::KeyspaceId, std::string_view, std::string_view) { return Status::io_error("enough"); });
  REQUIRE(reader.feed(written(sample_state())).message() == "enough");
  REQUIRE(reader.finish().message() == "enough");
}

TEST_CASE("A key-value stream carries a state from every engine to every other") {
  const State state = sample_state();
  const TempDir temporary = engines::test_directory();
  for (const engines::EngineConfig& from : engines::engine_configs()) {
    std::unique_ptr<engines::Engine> source = engines::create(from, temporary.path() / ("from-" + from.name));
    engines::WriteBatch batch;
    for (std::size_t id = 0; id < state.size(); ++id) {
      for (const auto& [key, value] : state[id]) {
        batch.put(static_cast<engines::KeyspaceId>(id), key, value);
      }
    }
    engines::expect_ok(source->write(batch));
    std::string bytes;
    KeyValueWriter writer(3, [&](std::string_view piece) {
      bytes.append(piece);
      return Status();
    });
    engines::expect_ok(write_key_values(*source->snapshot(), 3, writer));
    REQUIRE(bytes == written(state));

    for (const engines::EngineConfig& to : engines::engine_configs()) {
      INFO(from.name << " to " << to.name);
      const std::unique_ptr<engines::Engine> target =
          engines::create(to, temporary.path() / (from.name + "-to-" + to.name));
      KeyValueLoader loader(*target);
      KeyValueReader reader(3, [&](engines::KeyspaceId id, std::string_view key, std::string_view value) {
        return loader.add(id, key, value);
      });
      engines::expect_ok(reader.feed(bytes));
      engines::expect_ok(reader.finish());
      engines::expect_ok(loader.finish());
      REQUIRE(engines::read_state(*target) == state);
    }
  }
}

}  // namespace
}  // namespace chaosgate::snapshot
