#include "harness/migrate/source.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <fstream>

#include "engines/testing.h"
#include "harness/base/test.h"
#include "harness/migrate/places.h"

using namespace chaosgate;
using namespace chaosgate::engines;
using namespace chaosgate::migrate;
using Catch::Matchers::Contains;

namespace fs = std::filesystem;

namespace {

const EngineConfig& rocksdb() { return *find_engine_config("rocksdb"); }

// A closed store with one key in it.
fs::path make_store(const TempDir& parent, const EngineConfig& config) {
  const fs::path path = parent.path() / "engine";
  const std::unique_ptr<Engine> engine = create(config, path);
  put(*engine, kFirst, "k", "v");
  expect_ok(engine->flush());
  return path;
}

nlink_t links_of(const fs::path& file) {
  struct stat info {};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  return info.st_nlink;
}

void append(const fs::path& file) { std::ofstream(file, std::ios::app) << "x"; }

}  // namespace

TEST_CASE("a source that a process has open is in use, whatever lock its engine takes") {
  for (const std::string& name : config_names()) {
    INFO(name);
    const EngineConfig& config = *find_engine_config(name);
    const TempDir parent = test_directory();
    const fs::path path = make_store(parent, config);
    {
      SourceHold hold;
      CHECK(hold.take(config, path).ok());
      CHECK(hold.check_unchanged().ok());
    }
    const std::unique_ptr<Engine> user = open(config, path);
    SourceHold hold;
    const Status taken = hold.take(config, path);
    CHECK(taken.code() == StatusCode::invalid_argument);
    CHECK_THAT(taken.message(), Contains("is in use"));
  }
}

TEST_CASE("a source with what is neither a file nor a directory is refused, and nobody waits for it") {
  for (const std::string kind : {"pipe", "link to nowhere"}) {
    INFO(kind);
    const TempDir parent = test_directory();
    const fs::path path = make_store(parent, rocksdb());
    if (kind == "pipe") {
      REQUIRE(::mkfifo((path / "strange").c_str(), 0600) == 0);
    } else {
      fs::create_symlink("nowhere", path / "strange");
    }
    SourceHold hold;
    const Status taken = hold.take(rocksdb(), path);
    CHECK(taken.code() == StatusCode::invalid_argument);
    CHECK_THAT(taken.message(), Contains("strange, which is neither a file nor a directory"));
  }
}

TEST_CASE("a lock by flock is seen, and the hold keeps one away") {
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, rocksdb());
  const UniqueFd user(::open((path / "CURRENT").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(user.get(), LOCK_EX) == 0);
  {
    SourceHold hold;
    CHECK(hold.take(rocksdb(), path).code() == StatusCode::invalid_argument);
  }
  REQUIRE(::flock(user.get(), LOCK_UN) == 0);
  SourceHold hold;
  REQUIRE(hold.take(rocksdb(), path).ok());
  CHECK(::flock(user.get(), LOCK_EX | LOCK_NB) != 0);
}

TEST_CASE("a writer that comes later is kept out, and so is a second reader") {
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, rocksdb());
  SourceHold first;
  REQUIRE(first.take(rocksdb(), path).ok());
  std::unique_ptr<Engine> writer;
  CHECK_FALSE(open_engine(rocksdb(), path, test_options(), &writer).ok());
  SourceHold second;
  CHECK_THAT(second.take(rocksdb(), path).message(), Contains("is in use"));
}

TEST_CASE("a source that changes while it is read is found out") {
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, rocksdb());
  {
    SourceHold hold;
    REQUIRE(hold.take(rocksdb(), path).ok());
    append(path / "IDENTITY");
    CHECK_THAT(hold.check_unchanged().message(), Contains("was changed") && Contains("IDENTITY"));
  }
  SourceHold another;
  REQUIRE(another.take(rocksdb(), path).ok());
  append(path / "new");
  CHECK_THAT(another.check_unchanged().message(), Contains("list of files"));
}

TEST_CASE("a copy links what is never changed, copies the rest, opens, and goes with its object") {
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, rocksdb());
  const fs::path place = parent.path() / "copy";
  fs::create_directory(place);
  append(place / "left by a killed one");
  {
    SourceCopy copy;
    REQUIRE(copy.make(rocksdb(), path, place).ok());
    CHECK_FALSE(fs::exists(place / "left by a killed one"));
    std::size_t tables = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
      const bool table = entry.path().extension() == ".sst";
      tables += table ? 1 : 0;
      CHECK(links_of(entry.path()) == (table ? 2 : 1));
    }
    CHECK(tables > 0);
    SourceCopy second;
    CHECK_THAT(second.make(rocksdb(), path, place).message(), Contains("another migration"));
    CHECK(read_keyspace(*open(rocksdb(), place), kFirst) == KeyspaceState{{"k", "v"}});
  }
  CHECK_FALSE(fs::exists(place));
  CHECK(read_keyspace(*open(rocksdb(), path), kFirst) == KeyspaceState{{"k", "v"}});
}

TEST_CASE("a store is found in its own directory and in a replica's, and nowhere else") {
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, rocksdb());
  fs::path found;
  REQUIRE(find_store(path, &found).ok());
  CHECK(found == fs::canonical(path));
  REQUIRE(find_store(parent.path(), &found).ok());
  CHECK(found == fs::canonical(path));
  CHECK_THAT(find_store(path / "CURRENT", &found).message(), Contains("not a directory"));
  CHECK_THAT(find_store(parent.path() / "none", &found).message(), Contains("not a directory"));
  fs::remove(path / "ENGINE");
  CHECK_THAT(find_store(parent.path(), &found).message(), Contains("neither"));
}

TEST_CASE("too little room is refused with both numbers, also where the place is not made yet") {
  const TempDir parent = test_directory();
  std::uint64_t free_bytes = 0;
  CHECK(require_room(parent.path() / "a" / "b", 1, &free_bytes).ok());
  CHECK(free_bytes > 0);
  const Status refused = require_room(parent.path() / "a", UINT64_MAX, &free_bytes);
  CHECK(refused.code() == StatusCode::invalid_argument);
  CHECK_THAT(refused.message(), Contains("MiB left"));
}

TEST_CASE("places that are or hold one another are refused, and so are those that are taken") {
  const TempDir parent = test_directory();
  const fs::path source = fs::canonical(make_store(parent, rocksdb()));
  const auto check = [&](const fs::path& target) {
    return check_places(source, Places(find_target(target))).message();
  };
  CHECK(check(parent.path() / "new").empty());
  CHECK_THAT(check(parent.path() / "engine" / ".." / "engine" / ""), Contains("it is the source"));
  fs::create_directory_symlink(source, parent.path() / "link");
  CHECK_THAT(check(parent.path() / "link"), Contains("it is the source"));
  CHECK_THAT(check(source / "new"), Contains("lies in the other"));
  CHECK_THAT(check(parent.path()), Contains("lies in the other"));
  CHECK_THAT(check(parent.path() / "none" / "new"), Contains("there is no directory"));
  fs::create_directory(parent.path() / "empty");
  CHECK(check(parent.path() / "empty").empty());
  append(parent.path() / "empty" / "file");
  CHECK_THAT(check(parent.path() / "empty"), Contains("not empty"));
  append(parent.path() / "file");
  CHECK_THAT(check(parent.path() / "file"), Contains("not empty"));

  fs::create_directories(parent.path() / "replica" / "log");
  CHECK(find_target(parent.path() / "replica") == fs::canonical(parent.path()) / "replica" / "engine");
}
