// Snapshots of real engines, sent to each other in pieces, whole and damaged in every way.
#include <fcntl.h>

#include <algorithm>
#include <set>

#include "engines/testing.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "harness/snapshot/archive.h"
#include "harness/snapshot/snapshot_receiver.h"
#include "harness/snapshot/snapshot_source.h"

#include "harness/base/test.h"

namespace chaosgate::snapshot {
namespace {

namespace fs = std::filesystem;

using engines::EngineConfig;
using engines::expect_ok;
using engines::State;

constexpr std::uint64_t kIndex = 77;
constexpr std::uint64_t kTerm = 5;

const EngineConfig& config_of(const std::string& name) { return *engines::find_engine_config(name); }

class SnapshotBench {
 public:
  fs::path path(const std::string& name) const { return temporary_.path() / name; }

  // An engine with a state of its own, flushed.
  std::unique_ptr<engines::Engine> engine(const EngineConfig& config, int keys = 40) const {
    std::unique_ptr<engines::Engine> engine = engines::create(config, path("source-" + config.name));
    engines::WriteBatch batch;
    for (int i = 0; i < keys; ++i) {
      batch.put(engines::kFirst, "key-" + std::to_string(i),
                std::string(static_cast<std::size_t>(i) * 5, 'v'));
      batch.put(engines::kThird, "other-" + std::to_string(i), config.name);
    }
    expect_ok(engine->write(batch));
    expect_ok(engine->flush());
    return engine;
  }
  std::unique_ptr<SnapshotSource> source(engines::Engine& engine, const EngineConfig& config, BodyKind body,
                                         SnapshotFaults faults = {}) const {
    SourceOptions options;
    options.body = body;
    options.index = kIndex;
    options.term = kTerm;
    options.keyspaces = 3;
    options.scratch = path("scratch");
    options.faults = faults;
    std::unique_ptr<SnapshotSource> source;
    expect_ok(SnapshotSource::make(engine, config, options, &source));
    REQUIRE_FALSE(fs::exists(options.scratch));
    return source;
  }
  Status receive(std::string_view bytes, const EngineConfig& config, ReceivedSnapshot* received,
                 std::size_t piece = 1000, std::uint64_t installed = 0, SnapshotFaults faults = {}) const {
    SnapshotReceiver receiver(config, path("received"), installed, faults);
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
      RETURN_IF_ERROR(receiver.feed(bytes.substr(0, piece)));
    }
    RETURN_IF_ERROR(receiver.finish(received));
    REQUIRE_FALSE(fs::exists(path("received")));
    return {};
  }
  // Received, unpacked and read.
  Status arrive(std::string_view bytes, const EngineConfig& config, State* state,
                SnapshotFaults faults = {}) const {
    ReceivedSnapshot received;
    RETURN_IF_ERROR(receive(bytes, config, &received, 1000, 0, faults));
    return unpack(received, config, state);
  }
  Status unpack(const ReceivedSnapshot& received, const EngineConfig& config, State* state) const {
    const fs::path place = path("target");
    fs::remove_all(place);
    RETURN_IF_ERROR(received.unpack(config, engines::test_options(), place));
    std::unique_ptr<engines::Engine> engine;
    RETURN_IF_ERROR(engines::open_engine(config, place, engines::test_options(), &engine));
    RETURN_IF_ERROR(engine->check_integrity());
    *state = engines::read_state(*engine);
    return {};
  }

 private:
  TempDir temporary_ = engines::test_directory();
};

std::string bytes_of(SnapshotSource& source, std::size_t piece = 1 << 20) {
  std::string bytes;
  std::string chunk;
  source.rewind();
  for (;;) {
    expect_ok(source.read(piece, &chunk));
    if (chunk.empty()) {
      return bytes;
    }
    REQUIRE(chunk.size() <= piece);
    bytes += chunk;
  }
}

// A snapshot of a small engine, and what it holds.
struct Sample {
  explicit Sample(const SnapshotBench& bench, const EngineConfig& config, BodyKind body,
                  SnapshotFaults faults = {}) {
    const std::unique_ptr<engines::Engine> engine = bench.engine(config);
    state = engines::read_state(*engine);
    const std::unique_ptr<SnapshotSource> source = bench.source(*engine, config, body, faults);
    header = source->header();
    bytes = bytes_of(*source);
  }
  State state;
  SnapshotHeader header;
  std::string bytes;
};

TEST_CASE("A snapshot announces the size of header and body and trailer together") {
  const SnapshotBench bench;
  for (const BodyKind body : {BodyKind::archive, BodyKind::key_values}) {
    const Sample sample(bench, config_of("lmdb"), body);
    REQUIRE(sample.header.total_bytes == sample.bytes.size());
    REQUIRE(sample.header.index == kIndex);
    REQUIRE(sample.header.term == kTerm);
    REQUIRE(sample.header.family == "lmdb");
    fs::remove_all(bench.path("source-lmdb"));
  }
}

TEST_CASE("A snapshot is the same bytes in pieces of any size and each time") {
  const SnapshotBench bench;
  for (const EngineConfig& config : engines::engine_configs()) {
    const std::unique_ptr<engines::Engine> engine = bench.engine(config);
    const std::unique_ptr<SnapshotSource> source = bench.source(*engine, config, BodyKind::key_values);
    const std::string bytes = bytes_of(*source);
    REQUIRE(bytes_of(*source, 1) == bytes);
    REQUIRE(bytes_of(*source, 33) == bytes);
    REQUIRE(bytes_of(*bench.source(*engine, config, BodyKind::key_values)) == bytes);
    if (config.family == "lmdb") {  // RocksDB gives each checkpoint a manifest with a number of its own
      const std::string archived = bytes_of(*bench.source(*engine, config, BodyKind::archive));
      REQUIRE(bytes_of(*bench.source(*engine, config, BodyKind::archive)) == archived);
    }
  }
}

TEST_CASE("A snapshot does not change when its engine goes on or goes away") {
  const SnapshotBench bench;
  const EngineConfig& config = config_of("rocksdb");
  std::unique_ptr<engines::Engine> engine = bench.engine(config);
  const State before = engines::read_state(*engine);
  const std::unique_ptr<SnapshotSource> source = bench.source(*engine, config, BodyKind::archive);
  engines::put(*engine, engines::kFirst, "later", "write");
  expect_ok(engine->compact());
  engine.reset();
  fs::remove_all(bench.path("source-rocksdb"));
  State found;
  expect_ok(bench.arrive(bytes_of(*source), config, &found));
  REQUIRE(found == before);
}

TEST_CASE("Every engine sends its state to every other as files or as keys and values") {
  const SnapshotBench bench;
  for (const EngineConfig& from : engines::engine_configs()) {
    const std::unique_ptr<engines::Engine> engine = bench.engine(from);
    const State state = engines::read_state(*engine);
    for (const BodyKind body : {BodyKind::archive, BodyKind::key_values}) {
      const std::string bytes = bytes_of(*bench.source(*engine, from, body));
      for (const EngineConfig& to : engines::engine_configs()) {
        INFO(from.name << " to " << to.name << " as " << to_string(body));
        State found;
        const Status status = bench.arrive(bytes, to, &found);
        if (body == BodyKind::archive && from.family != to.family) {
          REQUIRE(status.code() == StatusCode::invalid_argument);
          continue;
        }
        INFO(status.to_string());
        REQUIRE(status.ok());
        REQUIRE(found == state);
      }
    }
  }
}

TEST_CASE("A snapshot with any byte changed is refused") {
  const SnapshotBench bench;
  const std::string engine = GENERATE(as<std::string>{}, "lmdb", "rocksdb");
  const BodyKind body = GENERATE(BodyKind::archive, BodyKind::key_values);
  const Sample sample(bench, config_of(engine), body);
  for (std::size_t at = 0; at < sample.bytes.size(); ++at) {
    std::string changed = sample.bytes;
    changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
    ReceivedSnapshot received;
    Status status = bench.receive(changed, config_of(engine), &received, 1 << 20);
    if (status.ok()) {
      // Without the magic it may be an old one, which only its engine can tell.
      INFO("byte " << at);
      REQUIRE(received.legacy());
      REQUIRE(at < kSnapshotMagic.size());
      State found;
      status = bench.unpack(received, config_of(engine), &found);
    }
    REQUIRE_FALSE(status.ok());
  }
}

TEST_CASE("A snapshot that ends early or goes on is refused") {
  const SnapshotBench bench;
  const Sample sample(bench, config_of("lmdb"), BodyKind::archive);
  ReceivedSnapshot received;
  for (std::size_t size = 0; size < sample.bytes.size(); ++size) {
    const Status status = bench.receive(sample.bytes.substr(0, size), config_of("lmdb"), &received, 1 << 20);
    INFO("cut at " << size);
    REQUIRE(status.code() == StatusCode::corruption);
    REQUIRE(status.message().find("short") != std::string::npos);
  }
  for (const std::string& more : {std::string(1, '\0'), sample.bytes}) {
    for (const std::size_t piece : {std::size_t{1}, std::size_t{1} << 20}) {
      const Status status = bench.receive(sample.bytes + more, config_of("lmdb"), &received, piece);
      REQUIRE(status.code() == StatusCode::corruption);
      REQUIRE(status.message().find("longer") != std::string::npos);
    }
  }
}

TEST_CASE("What cannot be installed is refused by the header before the body comes") {
  const SnapshotBench bench;
  const EngineConfig& lmdb = config_of("lmdb");
  const auto refusal = [&](const SnapshotHeader& header, const EngineConfig& config,
                           std::uint64_t installed) {
    SnapshotReceiver receiver(config, bench.path("received"), installed);
    const Status status = receiver.feed(encode_header(header));
    ReceivedSnapshot received;
    REQUIRE(receiver.finish(&received).code() != StatusCode::ok);
    return status;
  };
  SnapshotHeader header{.total_bytes = 1000, .family = "lmdb", .index = 10, .term = 2};
  REQUIRE(refusal(header, lmdb, 9).ok());
  REQUIRE(refusal(header, lmdb, 10).to_string() ==
          "invalid argument: the snapshot is stale: it ends at entry 10, entry 10 is installed here");
  REQUIRE(refusal(header, lmdb, 11).code() == StatusCode::invalid_argument);
  REQUIRE(refusal(header, config_of("rocksdb"), 0).to_string() ==
          "invalid argument: the snapshot is an archive of a lmdb store, this replica has a rocksdb store");
  header.body = BodyKind::key_values;
  REQUIRE(refusal(header, config_of("rocksdb"), 0).ok());
  header.body = static_cast<BodyKind>('Z');
  REQUIRE(refusal(header, lmdb, 0).code() == StatusCode::corruption);
  header.body = BodyKind::archive;
  header.total_bytes = encode_header(header).size() + kTrailerBytes - 1;
  REQUIRE(refusal(header, lmdb, 0).code() == StatusCode::corruption);

  std::string newer = encode_header({.total_bytes = 1000, .family = "lmdb", .index = 10});
  newer.resize(newer.size() - 8);
  newer[kSnapshotMagic.size()] = 2;
  put_u64(&newer, hash64(newer));
  SnapshotReceiver receiver(lmdb, bench.path("received"), 0);
  REQUIRE(receiver.feed(newer).to_string() ==
          "not supported: a snapshot of format version 2, this program knows versions up to 1");
}

TEST_CASE("A receiver that refused or handed over takes nothing more") {
  const SnapshotBench bench;
  const Sample sample(bench, config_of("lmdb"), BodyKind::archive);
  SnapshotReceiver receiver(config_of("lmdb"), bench.path("received"), 0);
  expect_ok(receiver.feed(sample.bytes));
  ReceivedSnapshot received;
  expect_ok(receiver.finish(&received));
  REQUIRE_FALSE(receiver.feed("x").ok());
  REQUIRE_FALSE(receiver.finish(&received).ok());

  SnapshotReceiver refusing(config_of("lmdb"), bench.path("received"), kIndex);
  REQUIRE_FALSE(refusing.feed(sample.bytes.substr(0, 100)).ok());
  REQUIRE(refusing.feed(sample.bytes.substr(100)).message() == refusing.finish(&received).message());
}

TEST_CASE("A file of an engine that keeps all in one file is a snapshot without a header") {
  const SnapshotBench bench;
  const EngineConfig& config = config_of("lmdb");
  const std::unique_ptr<engines::Engine> engine = bench.engine(config, 400);
  expect_ok(engine->checkpoint(bench.path("copy")));
  std::string file;
  expect_ok(read_file(bench.path("copy") / "data.mdb", &file));
  ReceivedSnapshot received;
  expect_ok(bench.receive(file, config, &received));
  REQUIRE(received.legacy());
  REQUIRE(received.header().total_bytes == file.size());
  State found;
  expect_ok(bench.unpack(received, config, &found));
  REQUIRE(found == engines::read_state(*engine));

  // Any other family says that it is no snapshot.
  const Status other = bench.receive(file, config_of("rocksdb"), &received);
  REQUIRE(other.message() == "the snapshot does not begin with \"CGSNAPSH\"");
  // Cut anywhere it is refused, and nothing dies of it.
  std::set<std::size_t> sizes = {1, 8, 100, 4095, 4096, 4200, 8191, file.size() - 1};
  for (std::size_t size = 8192; size < file.size(); size += 4096) {
    sizes.insert(size);
  }
  for (const std::size_t size : sizes) {
    INFO("cut at " << size << " of " << file.size());
    REQUIRE_FALSE(bench.arrive(file.substr(0, size), config, &found).ok());
  }
}

TEST_CASE("An archive that holds no store of its family is refused") {
  const SnapshotBench bench;
  const EngineConfig& rocksdb = config_of("rocksdb");
  const std::unique_ptr<engines::Engine> engine = bench.engine(rocksdb);
  // A sender that names the wrong family: the marker in the archive knows better.
  EngineConfig lying = rocksdb;
  lying.family = "lmdb";
  State found;
  const Status status =
      bench.arrive(bytes_of(*bench.source(*engine, lying, BodyKind::archive)), config_of("lmdb"), &found);
  REQUIRE(status.to_string() == "corruption: the archive of the snapshot does not hold a lmdb store");
}

TEST_CASE("Planted: a size that forgets header and trailer is seen as truncation") {
  const SnapshotBench bench;
  const SnapshotFaults& faults = find_snapshot_fault("short-snapshot")->faults;
  const Sample sample(bench, config_of("rocksdb"), BodyKind::archive, faults);
  REQUIRE(sample.bytes.size() == sample.header.total_bytes);
  State found;
  REQUIRE(bench.arrive(sample.bytes, config_of("rocksdb"), &found).code() == StatusCode::corruption);
}

// A snapshot of lmdb whose body was damaged on the way: in its data file every value "lmdb" reads "LMDB".
std::string damaged_in_transit(const SnapshotBench& bench, engines::Engine& engine) {
  expect_ok(engine.checkpoint(bench.path("copy")));
  std::string file;
  expect_ok(read_file(bench.path("copy") / "data.mdb", &file));
  for (std::size_t at = 0; (at = file.find("lmdb", at)) != std::string::npos;) {
    file.replace(at, 4, "LMDB");
  }
  replace_file(bench.path("copy") / "data.mdb", file);
  const UniqueFd packed(::open(bench.path("packed").c_str(), O_RDWR | O_CREAT, 0600));
  expect_ok(pack_directory(bench.path("copy"), packed.get()));
  std::string body;
  expect_ok(read_file(bench.path("packed"), &body));
  SnapshotHeader header{.family = "lmdb", .index = kIndex, .term = kTerm};
  header.total_bytes = encode_header(header).size() + body.size() + kTrailerBytes;
  return encode_header(header) + body + std::string(kTrailerBytes, '\0');
}

TEST_CASE("Planted: without a look at the trailer a damaged snapshot is installed") {
  const SnapshotBench bench;
  const SnapshotFaults& faults = find_snapshot_fault("trailer-ignored")->faults;
  const std::unique_ptr<engines::Engine> engine = bench.engine(config_of("lmdb"));
  const std::string damaged = damaged_in_transit(bench, *engine);
  State found;
  REQUIRE(bench.arrive(damaged, config_of("lmdb"), &found).to_string() ==
          "corruption: the snapshot is damaged: its SHA-256 does not match its trailer");
  expect_ok(bench.arrive(damaged, config_of("lmdb"), &found, faults));
  REQUIRE(found != engines::read_state(*engine));
  REQUIRE(found[engines::kThird]["other-1"] == "LMDB");
}

TEST_CASE("Planted faults of snapshots are found by their names and each sets something of its own") {
  std::set<std::string_view> names;
  for (const SnapshotFaultInfo& fault : snapshot_faults()) {
    REQUIRE(find_snapshot_fault(fault.name) == &fault);
    REQUIRE(fault.faults != SnapshotFaults());
    REQUIRE(names.insert(fault.name).second);
    for (const SnapshotFaultInfo& other : snapshot_faults()) {
      REQUIRE((&other == &fault || other.faults != fault.faults));
    }
  }
  REQUIRE(find_snapshot_fault("none") == nullptr);
}

}  // namespace
}  // namespace chaosgate::snapshot
