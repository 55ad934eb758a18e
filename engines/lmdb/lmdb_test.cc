// What is particular to LMDB: a full map, a leftover of compaction, readers that were killed.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "engines/lmdb/lmdb_engine.h"
#include "harness/base/file.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::engines;

namespace fs = std::filesystem;

namespace {

EngineOptions options() {
  EngineOptions result;
  result.keyspaces = {"only"};
  return result;
}

struct Fixture {
  explicit Fixture(std::uint64_t map_bytes = kLmdbMapBytes) : map(map_bytes) { open(true); }
  void open(bool create) {
    engine.reset();
    REQUIRE(open_lmdb(config, directory.path(), options(), create, map, &engine).ok());
  }
  Status put(std::string_view key, std::string_view value) {
    WriteBatch batch;
    batch.put(0, key, value);
    return engine->write(batch);
  }
  std::string get(std::string_view key) {
    std::string value;
    const Status status = engine->get(0, key, &value);
    return status.ok() ? value : status.to_string();
  }

  TempDir directory{fs::temp_directory_path(), "chaosgate-lmdb-"};
  std::uint64_t map;
  EngineConfig config = lmdb_configs().front();
  std::unique_ptr<Engine> engine;
};

}  // namespace

TEST_CASE("a full map is a clear error, nothing of the batch is applied, and the store goes on") {
  Fixture fixture(1 << 20);
  REQUIRE(fixture.put("small", "1").ok());
  const std::string big(400 << 10, 'x');
  WriteBatch batch;
  batch.put(0, "small", "2");
  for (const char* key : {"a", "b", "c"}) {
    batch.put(0, key, big);
  }
  const Status full = fixture.engine->write(batch);
  CHECK(full.code() == StatusCode::io_error);
  CHECK_THAT(full.message(), Catch::Matchers::Contains("the map of 1 MiB is full"));
  CHECK(fixture.get("small") == "1");
  CHECK(fixture.get("a") == "not found: not found");
  CHECK(fixture.put("small", "3").ok());
  CHECK(fixture.get("small") == "3");
  CHECK(fixture.engine->check_integrity().ok());
}

TEST_CASE("an unfinished compaction leaves a file that the next open removes") {
  Fixture fixture;
  REQUIRE(fixture.put("k", "v").ok());
  fixture.engine.reset();
  const fs::path leftover = fixture.directory.path() / "data.mdb.compact";
  std::ofstream(leftover) << "half a copy";
  fixture.open(false);
  CHECK_FALSE(fs::exists(leftover));
  CHECK(fixture.get("k") == "v");
}

TEST_CASE("a store killed inside a compaction opens with its content") {
  Fixture fixture;
  REQUIRE(fixture.put("k", std::string(1 << 20, 'v')).ok());
  fixture.engine.reset();
  for (int delay_us = 0; delay_us < 4000; delay_us += 200) {
    const pid_t child = ::fork();
    if (child == 0) {
      std::unique_ptr<Engine> engine;
      (void)open_lmdb(fixture.config, fixture.directory.path(), options(), false, fixture.map, &engine);
      for (;;) {
        (void)engine->compact();
      }
    }
    ::usleep(static_cast<useconds_t>(2000 + delay_us));
    REQUIRE(::kill(child, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
    fixture.open(false);
    REQUIRE(fixture.get("k").size() == 1 << 20);
    REQUIRE(fixture.engine->check_integrity().ok());
    fixture.engine.reset();
  }
}

TEST_CASE("readers of a killed process do not keep the store from reusing pages") {
  Fixture fixture;
  REQUIRE(fixture.put("k", std::string(1 << 20, 'a')).ok());
  fixture.engine.reset();
  const pid_t child = ::fork();
  if (child == 0) {
    std::unique_ptr<Engine> engine;
    (void)open_lmdb(fixture.config, fixture.directory.path(), options(), false, fixture.map, &engine);
    const std::unique_ptr<Snapshot> snapshot = engine->snapshot();
    ::raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  fixture.open(false);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(fixture.put("k", std::string(1 << 20, static_cast<char>('b' + i))).ok());
  }
  SizeInfo size;
  REQUIRE(fixture.engine->size(&size).ok());
  CHECK(size.bytes_on_disk < (6 << 20));
}

TEST_CASE("a data file that is not LMDB's is corruption") {
  Fixture fixture;
  fixture.engine.reset();
  std::ofstream(fixture.directory.path() / "data.mdb") << std::string(8192, 'x');
  const Status opened =
      open_lmdb(fixture.config, fixture.directory.path(), options(), false, fixture.map, &fixture.engine);
  CHECK(opened.code() == StatusCode::corruption);
}

TEST_CASE("the map of a large store leaves room to grow") {
  CHECK(lmdb_map_bytes(0) == kLmdbMapBytes);
  CHECK(lmdb_map_bytes(kLmdbMapBytes / 4) == kLmdbMapBytes);
  CHECK(lmdb_map_bytes(kLmdbMapBytes) == 4 * kLmdbMapBytes);
}
