#include "harness/migrate/side.h"

#include <fstream>
#include <optional>
#include <thread>

#include "engines/marker.h"
#include "engines/testing.h"
#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/base/rng.h"
#include "harness/base/test.h"
#include "harness/migrate/places.h"
#include "harness/migrate/progress_record.h"
#include "harness/wire/channel.h"

using namespace chaosgate;
using namespace chaosgate::engines;
using namespace chaosgate::migrate;
using Catch::Matchers::Contains;
using wire::MigrationOutcome;
using wire::MigrationReport;

namespace fs = std::filesystem;

namespace {

const AppliedIndexPlace kIndexPlace = {"third", "applied-index"};

EngineOptions options() { return test_options(); }

State random_state(std::uint64_t seed, std::size_t keys) {
  Rng rng = Rng(seed).fork("state");
  State state(3);
  for (std::size_t i = 0; i < keys; ++i) {
    std::string key;
    std::string value;
    rng.append_bytes(&key, rng.between(1, 40));
    rng.append_bytes(&value, rng.log_between(1, 2000) - 1);
    state[rng.below(2)][key] = value;
  }
  std::string index;
  put_u64(&index, 4711);
  state[2]["applied-index"] = index;
  return state;
}

void make_store(const EngineConfig& config, const fs::path& path, const State& state) {
  const std::unique_ptr<Engine> engine = create(config, path);
  for (std::size_t id = 0; id < state.size(); ++id) {
    for (const auto& [key, value] : state[id]) {
      WriteBatch batch;
      batch.put(static_cast<KeyspaceId>(id), key, value);
      expect_ok(engine->write(batch));
    }
  }
  expect_ok(engine->flush());
}

struct Both {
  MigrationReport exporter;
  MigrationReport importer;
};

struct Migration {
  std::string from = "rocksdb";
  std::string to = "lmdb";
  fs::path source;
  fs::path target;
  std::string fault;
  bool dry_run = false;
  std::vector<std::string> keyspaces = test_options().keyspaces;

  wire::MigrationOrder order() const {
    wire::MigrationOrder order;
    order.source = source;
    order.target = target;
    order.keyspaces = keyspaces;
    order.source_engine = from;
    order.dry_run = dry_run;
    order.batch_bytes = 4 << 10;
    order.flush_bytes = 32 << 10;
    order.chunk_bytes = 4 << 10;
    return order;
  }

  MigrationReport run_side_of(const std::string& engine, UniqueFd socket, bool exporter) const {
    const wire::MigrationOrder ordered = order();
    wire::FlightRecorder recorder{};
    Pipe pipe(std::move(socket));
    const EngineConfig& config = *find_engine_config(engine);
    const Side side = {ordered, config, config, Tuning::lean, kIndexPlace, recorder};
    return exporter ? run_exporter(side, pipe) : run_importer(side, find_import_faults(fault), pipe);
  }

  Both run() const {
    auto [left, right] = wire::make_stream_pair();
    Both both;
    std::thread exporter(
        [&, end = std::move(left)]() mutable { both.exporter = run_side_of(from, std::move(end), true); });
    both.importer = run_side_of(to, std::move(right), false);
    exporter.join();
    return both;
  }

  // The importer alone, with an exporter that sends so many pieces of the stream and dies.
  MigrationReport run_cut_off(const Survey& survey, const State& state, std::size_t pieces) const {
    auto [left, right] = wire::make_stream_pair();
    std::thread exporter([&, end = std::move(left)]() mutable {
      Pipe pipe(std::move(end));
      std::string message;
      encode(survey, &message);
      expect_ok(pipe.send_message(message));
      expect_ok(pipe.receive_message(&message));
      Start start;
      if (!decode(message, &start) || !start.wanted) {
        return;
      }
      std::size_t sent = 0;
      snapshot::KeyValueWriter writer(
          3,
          [&](std::string_view bytes) {
            return sent++ < pieces ? pipe.send(bytes) : Status::io_error("as ordered");
          },
          4 << 10);
      for (std::size_t id = 0; id < state.size(); ++id) {
        for (const auto& [key, value] : state[id]) {
          const bool wanted = id > start.keyspace || (id == start.keyspace && key > start.after);
          if (wanted && !writer.add(static_cast<KeyspaceId>(id), key, value).ok()) {
            return;
          }
        }
      }
      const Status finished = writer.finish();
      if (pieces == SIZE_MAX) {
        expect_ok(finished);
      }
    });
    const MigrationReport report = run_side_of(to, std::move(right), false);
    exporter.join();
    return report;
  }
};

Survey survey_of(const std::string& engine, const fs::path& path) {
  Survey survey;
  const std::unique_ptr<Engine> opened = open(*find_engine_config(engine), path);
  expect_ok(take_survey(
      *opened->snapshot(), options().keyspaces, kIndexPlace, [](std::uint64_t) {}, &survey));
  return survey;
}

std::map<std::string, std::string> contents(const fs::path& directory) {
  std::map<std::string, std::string> all;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      expect_ok(read_file(entry.path(), &all[entry.path().string()]));
    }
  }
  return all;
}

struct Fixture {
  explicit Fixture(const std::string& from = "rocksdb", const std::string& to = "lmdb") {
    migration.from = from;
    migration.to = to;
    migration.source = fs::canonical(directory.path()) / "source";
    migration.target = fs::canonical(directory.path()) / "target";
    make_store(*find_engine_config(from), migration.source, state);
  }

  // Nothing was changed: the source is as it was, and there is nothing beside it but what `allowed` says.
  void expect_refused(const std::string& why) {
    const auto before = contents(directory.path());
    const Both both = migration.run();
    const MigrationReport& report =
        both.exporter.outcome == MigrationOutcome::refused ? both.exporter : both.importer;
    CHECK(report.outcome == MigrationOutcome::refused);
    CHECK_THAT(report.message, Contains(why));
    CHECK(contents(directory.path()) == before);
  }

  TempDir directory = test_directory();
  State state = random_state(1, 600);
  Migration migration;
};

}  // namespace

TEST_CASE("every engine's content comes over to every other engine, and the source stays as it was") {
  for (const std::string& from : config_names()) {
    for (const std::string& to : config_names()) {
      INFO(from << " to " << to);
      Fixture fixture(from, to);
      const auto before = contents(fixture.migration.source);
      const Both both = fixture.migration.run();
      INFO(both.exporter.message << both.importer.message);
      CHECK(both.exporter.outcome == MigrationOutcome::done);
      REQUIRE(both.importer.outcome == MigrationOutcome::done);
      CHECK(both.importer.applied_index == 4711);
      CHECK(both.importer.found == both.exporter.found);
      CHECK(contents(fixture.migration.source) == before);
      CHECK(read_state(*open(*find_engine_config(to), fixture.migration.target)) == fixture.state);
      CHECK(std::distance(fs::directory_iterator(fixture.directory.path()), fs::directory_iterator()) == 2);
    }
  }
}

TEST_CASE("a migration into an empty directory, and of an empty store, is one like any other") {
  Fixture fixture;
  fs::create_directory(fixture.migration.target);
  CHECK(fixture.migration.run().importer.outcome == MigrationOutcome::done);
  CHECK(read_state(*open(*find_engine_config("lmdb"), fixture.migration.target)) == fixture.state);

  Migration empty = fixture.migration;
  empty.source = fixture.migration.source.parent_path() / "nothing";
  empty.target = fixture.migration.source.parent_path() / "still-nothing";
  make_store(*find_engine_config("rocksdb"), empty.source, State(3));
  const Both both = empty.run();
  CHECK(both.importer.outcome == MigrationOutcome::done);
  CHECK_FALSE(both.importer.has_applied_index);
  CHECK(read_state(*open(*find_engine_config("lmdb"), empty.target)) == State(3));
}

TEST_CASE("a migration whose exporter dies is no store before it is complete, and goes on") {
  for (const std::string& to : config_names()) {
    Fixture fixture("rocksdb", to);
    const Places places(fixture.migration.target);
    const Survey survey = survey_of("rocksdb", fixture.migration.source);
    std::uint64_t durable = 0;
    for (const std::size_t pieces : {2, 10, 5}) {
      INFO(to << ", " << pieces << " pieces");
      const MigrationReport cut = fixture.migration.run_cut_off(survey, fixture.state, pieces);
      CHECK(cut.outcome == MigrationOutcome::failed);
      CHECK(cut.peer_gone);
      CHECK(cut.keys_resumed == durable);
      CHECK_FALSE(fs::exists(fixture.migration.target));
      std::unique_ptr<Engine> engine;
      CHECK_FALSE(open_engine(*find_engine_config(to), places.store, options(), &engine).ok());
      ProgressRecord record;
      REQUIRE(read_record(places.work, &record).ok());
      CHECK(record.state == ProgressState::moving);
      CHECK(record.durable_keys() > durable);
      durable = record.durable_keys();
    }
    const Both rest = fixture.migration.run();
    INFO(rest.importer.message);
    CHECK(rest.importer.outcome == MigrationOutcome::done);
    CHECK(rest.importer.keys_resumed == durable);
    CHECK(read_state(*open(*find_engine_config(to), fixture.migration.target)) == fixture.state);
    CHECK_FALSE(fs::exists(places.work));
  }
}

TEST_CASE("an interrupted migration goes on with the same source and engines only") {
  Fixture fixture;
  const Survey survey = survey_of("rocksdb", fixture.migration.source);
  REQUIRE(fixture.migration.run_cut_off(survey, fixture.state, 8).outcome == MigrationOutcome::failed);

  Migration& migration = fixture.migration;
  migration.to = "lmdb-nosync";
  fixture.expect_refused("from rocksdb to lmdb, not from rocksdb to lmdb-nosync");
  migration.to = "lmdb";
  migration.from = "rocksdb-wal";
  fixture.expect_refused("not from rocksdb-wal to lmdb");
  migration.from = "rocksdb";

  const fs::path source = migration.source;
  migration.source = source.parent_path() / "other";
  State other = fixture.state;
  other[0].begin()->second += "x";
  make_store(*find_engine_config("rocksdb"), migration.source, other);
  fixture.expect_refused("of another source: here, keyspace first has other keys or values");
  migration.source = source;

  const fs::path record = Places(migration.target).work / kProgressFile;
  std::string bytes;
  expect_ok(read_file(record, &bytes));
  std::ofstream(record) << bytes.substr(0, bytes.size() - 1);
  fixture.expect_refused("is damaged");
  fs::remove(record);
  fixture.expect_refused("it has no progress record");
}

TEST_CASE("what cannot be done is refused before anything is made") {
  Fixture fixture;
  Migration& migration = fixture.migration;
  migration.target = migration.source;
  fixture.expect_refused("it is the source");
  migration.target = migration.source.parent_path() / "target";
  fs::create_directory(migration.target);
  std::ofstream(migration.target / "file") << "text";
  fixture.expect_refused("it is not empty");
  fs::remove_all(migration.target);

  migration.keyspaces = {"first", "unknown"};
  fixture.expect_refused("");
  migration.keyspaces = test_options().keyspaces;
  migration.from = "lmdb";
  fixture.expect_refused("holds a rocksdb store");
  migration.from = "rocksdb";

  for (const fs::directory_entry& entry : fs::directory_iterator(migration.source)) {
    if (entry.path().extension() == ".sst") {
      std::string bytes;
      expect_ok(read_file(entry.path(), &bytes));
      bytes[bytes.size() / 4] = static_cast<char>(bytes[bytes.size() / 4] ^ 1);
      std::ofstream(entry.path()) << bytes;
    }
  }
  fixture.expect_refused("orruption");
}

TEST_CASE("a dry run checks everything and makes nothing") {
  Fixture fixture;
  fixture.migration.dry_run = true;
  const auto before = contents(fixture.directory.path());
  const Both both = fixture.migration.run();
  CHECK(both.exporter.outcome == MigrationOutcome::done);
  CHECK(both.importer.outcome == MigrationOutcome::done);
  CHECK(both.importer.bytes_needed > 0);
  CHECK(both.importer.found == both.exporter.found);
  CHECK(contents(fixture.directory.path()) == before);
  CHECK(std::distance(fs::directory_iterator(fixture.directory.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a target that turns out different gets no name, and its migration does not go on") {
  Fixture fixture;
  const Places places(fixture.migration.target);
  const Survey good = survey_of("rocksdb", fixture.migration.source);
  Survey survey = good;
  survey.keyspaces[1].totals.hash ^= 1;
  const MigrationReport report = fixture.migration.run_cut_off(survey, fixture.state, SIZE_MAX);
  CHECK(report.outcome == MigrationOutcome::differs);
  CHECK_THAT(report.message, Contains("keyspace second has other keys or values"));
  CHECK_FALSE(fs::exists(fixture.migration.target));
  CHECK_FALSE(fs::exists(places.store / kMarkerFile));
  ProgressRecord record;
  REQUIRE(read_record(places.work, &record).ok());
  CHECK(record.state == ProgressState::failed);
  record.source = good;
  REQUIRE(write_record(places.work, record).ok());
  fixture.expect_refused("ended with something else than the source");
}

TEST_CASE("an engine that promises little after a power cut begins anew when its store is not what it was") {
  for (const std::string to : {"lmdb-nosync", "lmdb"}) {
    Fixture fixture("rocksdb", to);
    const Places places(fixture.migration.target);
    const Survey survey = survey_of("rocksdb", fixture.migration.source);
    REQUIRE(fixture.migration.run_cut_off(survey, fixture.state, 12).outcome == MigrationOutcome::failed);
    {
      std::unique_ptr<Engine> engine;
      expect_ok(open_unfinished_engine(*find_engine_config(to), places.store, options(), &engine));
      WriteBatch batch;
      batch.erase(0, fixture.state[0].begin()->first);
      expect_ok(engine->write(batch));
    }
    const MigrationReport report = fixture.migration.run().importer;
    if (to == "lmdb") {
      CHECK(report.outcome == MigrationOutcome::differs);
      continue;
    }
    CHECK(report.outcome == MigrationOutcome::failed);
    CHECK_THAT(report.message, Contains("the next run begins anew"));
    CHECK(fixture.migration.run().importer.outcome == MigrationOutcome::done);
    CHECK(read_state(*open(*find_engine_config(to), fixture.migration.target)) == fixture.state);
  }
}

TEST_CASE("a store is filled by a configuration of its family that survives power cuts") {
  const auto filler = [](const std::string& name) {
    return careful_config(engine_configs(), *find_engine_config(name)).name;
  };
  CHECK(filler("lmdb") == "lmdb");
  CHECK(filler("lmdb-nosync") == "lmdb");
  CHECK(filler("rocksdb") == "rocksdb");
  CHECK(careful_config({}, *find_engine_config("lmdb-nosync")).name == "lmdb-nosync");
}

TEST_CASE("a marker of version 1 leaves the keyspaces to the caller") {
  Fixture fixture;
  wire::MigrationOrder order = fixture.migration.order();
  order.keyspaces.clear();
  CHECK(inspect(order, {"own"}).keyspaces == test_options().keyspaces);
  expect_ok(write_marker(fixture.migration.source, {"rocksdb", {}}));
  const MigrationReport report = inspect(order, {"own"});
  CHECK(report.outcome == MigrationOutcome::done);
  CHECK(report.keyspaces == std::vector<std::string>{"own"});
  CHECK(report.family == "rocksdb");
  order.keyspaces = {"a", "b"};
  CHECK(inspect(order, {"own"}).keyspaces == order.keyspaces);
}

TEST_CASE("faults of an importer have names, and others are refused") {
  for (const ImportFaultInfo& fault : import_faults()) {
    const std::string& name = fault.name;
    const ImportFaults faults = find_import_faults(name);
    CHECK((faults.record_written || faults.thrown_away || faults.unverified || faults.unsynced));
  }
  CHECK_FALSE(find_import_faults("").record_written);
  CHECK_THROWS_AS(find_import_faults("no-such-fault"), UsageError);
}
