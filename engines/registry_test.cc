#include "engines/registry.h"

#include <fcntl.h>

#include <fstream>
#include <set>

#include "engines/directory.h"
#include "engines/marker.h"
#include "engines/testing.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::engines;
using Catch::Matchers::Contains;

namespace fs = std::filesystem;

namespace {

Status try_open(const EngineConfig& config, const fs::path& directory) {
  std::unique_ptr<Engine> engine;
  return open_engine(config, directory, test_options(), &engine);
}

Status try_create(const EngineConfig& config, const fs::path& directory) {
  std::unique_ptr<Engine> engine;
  return create_engine(config, directory, test_options(), &engine);
}

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

// A closed store with one key in it.
fs::path make_store(const TempDir& parent, const EngineConfig& config) {
  const fs::path path = parent.path() / "engine";
  const std::unique_ptr<Engine> engine = create(config, path);
  put(*engine, kFirst, "k", "v");
  expect_ok(engine->flush());
  return path;
}

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    names.insert(entry.path().filename());
  }
  return names;
}

const EngineConfig& of_another_family(const EngineConfig& config) {
  for (const EngineConfig& other : engine_configs()) {
    if (other.family != config.family) {
      return other;
    }
  }
  throw std::runtime_error("there is one family only");
}

}  // namespace

#define EVERY_CONFIGURATION(name)                                \
  const std::string name = GENERATE(from_range(config_names())); \
  INFO("configuration " << (name));                              \
  const EngineConfig& config = *find_engine_config(name)

TEST_CASE("configurations have names of their own and are found by them") {
  std::set<std::string> names;
  for (const EngineConfig& config : engine_configs()) {
    CHECK(names.insert(config.name).second);
    CHECK(find_engine_config(config.name) == &config);
  }
  CHECK(names.contains("rocksdb"));
  CHECK(names.contains("rocksdb-wal"));
  CHECK(names.contains("lmdb"));
  CHECK(names.contains("lmdb-nosync"));
  CHECK(find_engine_config("no-such-engine") == nullptr);
}

TEST_CASE("a created store is marked with its family and keyspaces and leaves nothing beside it") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, config);
  Marker marker;
  REQUIRE(read_marker(path, &marker).ok());
  CHECK(marker == Marker{config.family, test_options().keyspaces});
  CHECK(names_in(parent.path()) == std::set<std::string>{"engine"});
  CHECK(try_open(config, path).ok());
}

TEST_CASE("a path with a trailing slash means the same directory") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = parent.path() / "engine" / "";
  CHECK(try_create(config, path).ok());
  CHECK(try_open(config, path).ok());
  CHECK(names_in(parent.path()) == std::set<std::string>{"engine"});
}

TEST_CASE("creation refuses whatever is there already") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, config);
  const Status again = try_create(config, path);
  CHECK(again.code() == StatusCode::invalid_argument);
  CHECK_THAT(again.message(), Contains("exists already"));
  CHECK(read_keyspace(*open(config, path), kFirst) == KeyspaceState{{"k", "v"}});

  fs::create_directory(parent.path() / "empty");
  CHECK(try_create(config, parent.path() / "empty").code() == StatusCode::invalid_argument);
  write_text(parent.path() / "file", "text");
  CHECK(try_create(config, parent.path() / "file").code() == StatusCode::invalid_argument);
  CHECK(try_create(config, parent.path() / "no-parent" / "engine").code() == StatusCode::io_error);
}

TEST_CASE("creation removes what an unfinished one left, and opening does not take it for a store") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = parent.path() / "engine";
  const fs::path creating = parent.path() / "engine.creating";
  fs::create_directories(creating / "deep");
  write_text(creating / "deep" / "CURRENT", "half a store");

  const Status opened = try_open(config, path);
  CHECK(opened.code() == StatusCode::invalid_argument);
  CHECK_THAT(opened.message(), Contains("does not exist") && Contains("engine.creating"));
  CHECK(fs::exists(creating));
  CHECK(try_create(config, path).ok());
  CHECK(names_in(parent.path()) == std::set<std::string>{"engine"});
}

TEST_CASE("a missing directory is not opened and not made") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const Status opened = try_open(config, parent.path() / "engine");
  CHECK(opened.code() == StatusCode::invalid_argument);
  CHECK_THAT(opened.message(), Contains("does not exist") && Contains(config.family));
  CHECK(names_in(parent.path()).empty());
}

TEST_CASE("a file is not a store") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  write_text(parent.path() / "engine", "text");
  const Status opened = try_open(config, parent.path() / "engine");
  CHECK(opened.code() == StatusCode::invalid_argument);
  CHECK_THAT(opened.message(), Contains("not a directory"));
}

TEST_CASE("an empty or unmarked directory is refused and left as it was") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path empty = parent.path() / "empty";
  fs::create_directory(empty);
  Status opened = try_open(config, empty);
  CHECK(opened.code() == StatusCode::invalid_argument);
  CHECK_THAT(opened.message(), Contains("empty directory") && Contains(config.family));
  CHECK(names_in(empty).empty());

  const fs::path path = make_store(parent, config);
  fs::remove(path / kMarkerFile);
  const std::set<std::string> before = names_in(path);
  opened = try_open(config, path);
  CHECK(opened.code() == StatusCode::invalid_argument);
  CHECK_THAT(opened.message(), Contains("no marker ENGINE"));
  CHECK(names_in(path) == before);
}

TEST_CASE("a directory of another family is refused by both names") {
  EVERY_CONFIGURATION(name);
  const EngineConfig& other = of_another_family(config);
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, other);
  const Status opened = try_open(config, path);
  CHECK(opened.code() == StatusCode::invalid_argument);
  CHECK_THAT(opened.message(), Contains("holds a " + other.family) && Contains("expects a " + config.family));
  CHECK(try_open(other, path).ok());
}

TEST_CASE("a damaged marker is corruption, wherever a byte of it differs and wherever it is cut") {
  const EngineConfig& config = engine_configs().front();
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, config);
  std::string marker;
  REQUIRE(read_file(path / kMarkerFile, &marker).ok());
  CHECK(marker == encode_marker({config.family, test_options().keyspaces}));
  for (std::size_t at = 0; at < marker.size(); ++at) {
    std::string damaged = marker;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    write_text(path / kMarkerFile, damaged);
    const Status opened = try_open(config, path);
    CHECK(opened.code() == StatusCode::corruption);
    CHECK_THAT(opened.message(), Contains("damaged"));
    write_text(path / kMarkerFile, marker.substr(0, at));
    CHECK(try_open(config, path).code() == StatusCode::corruption);
  }
  write_text(path / kMarkerFile, marker + "x");
  CHECK(try_open(config, path).code() == StatusCode::corruption);
  write_text(path / kMarkerFile, marker);
  CHECK(try_open(config, path).ok());
}

TEST_CASE("a marker with a valid checksum and a wrong shape is damaged") {
  const TempDir parent = test_directory();
  const auto read_back = [&](std::string content) {
    put_u64(&content, hash64(content));
    write_text(parent.path() / kMarkerFile, content);
    Marker marker;
    return read_marker(parent.path(), &marker);
  };
  std::string zero_version(kMarkerMagic);
  put_u32(&zero_version, 0);
  CHECK(read_back(zero_version).code() == StatusCode::corruption);
  std::string no_family(kMarkerMagic);
  put_u32(&no_family, kMarkerVersion);
  CHECK(read_back(no_family).code() == StatusCode::corruption);
  put_bytes(&no_family, "");
  CHECK(read_back(no_family).code() == StatusCode::corruption);
  std::string no_keyspaces(kMarkerMagic);
  put_u32(&no_keyspaces, kMarkerVersion);
  put_bytes(&no_keyspaces, "lmdb");
  CHECK(read_back(no_keyspaces).code() == StatusCode::corruption);
  put_u32(&no_keyspaces, 2);
  put_bytes(&no_keyspaces, "only one of two");
  CHECK(read_back(no_keyspaces).code() == StatusCode::corruption);
  put_bytes(&no_keyspaces, "the other");
  CHECK(read_back(no_keyspaces).ok());
  put_bytes(&no_keyspaces, "one too many");
  CHECK(read_back(no_keyspaces).code() == StatusCode::corruption);
}

TEST_CASE("a marker of version 1 opens and names no keyspaces") {
  const EngineConfig& config = engine_configs().front();
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, config);
  std::string old(kMarkerMagic);
  put_u32(&old, 1);
  put_bytes(&old, config.family);
  put_u64(&old, hash64(old));
  write_text(path / kMarkerFile, old);
  Marker marker;
  REQUIRE(read_marker(path, &marker).ok());
  CHECK(marker == Marker{config.family, {}});
  CHECK(try_open(config, path).ok());
}

TEST_CASE("a checkpoint is marked like its store") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const std::unique_ptr<Engine> engine = create(config, parent.path() / "engine");
  expect_ok(engine->checkpoint(parent.path() / "copy"));
  Marker marker;
  REQUIRE(read_marker(parent.path() / "copy", &marker).ok());
  CHECK(marker == Marker{config.family, test_options().keyspaces});
}

TEST_CASE("a store opened for reading only gives everything and its directory stays as it was") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, config);
  const std::set<std::string> before = names_in(path);
  std::vector<std::string> contents;
  const auto read_all = [&] {
    std::vector<std::string> all;
    for (const std::string& file : names_in(path)) {
      REQUIRE(read_file(path / file, &all.emplace_back()).ok());
    }
    return all;
  };
  contents = read_all();
  REQUIRE(config.opens_read_only);
  EngineOptions options = test_options();
  options.read_only = true;
  {
    const std::unique_ptr<Engine> engine = open(config, path, options);
    CHECK(read_state(*engine) == State{{{"k", "v"}}, {}, {}});
    WriteBatch batch;
    batch.put(kFirst, "new", "value");
    CHECK_FALSE(engine->write(batch).ok());
    CHECK_FALSE(engine->flush().ok());
    CHECK(read_state(*engine) == State{{{"k", "v"}}, {}, {}});
  }
  CHECK(names_in(path) == before);
  CHECK(read_all() == contents);
}

TEST_CASE("an unfinished store can be filled over several openings and is no store before it is finished") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = parent.path() / "engine";
  expect_ok(create_unfinished_engine(config, path, test_options()));
  CHECK_FALSE(create_unfinished_engine(config, path, test_options()).ok());
  for (const char* key : {"a", "b"}) {
    CHECK(try_open(config, path).code() == StatusCode::invalid_argument);
    std::unique_ptr<Engine> engine;
    expect_ok(open_unfinished_engine(config, path, test_options(), &engine));
    put(*engine, kFirst, key, "v");
    expect_ok(engine->flush());
  }
  expect_ok(finish_engine(config, path, test_options()));
  CHECK(read_keyspace(*open(config, path), kFirst) == KeyspaceState{{"a", "v"}, {"b", "v"}});

  fs::create_directory(parent.path() / "nothing");
  std::unique_ptr<Engine> engine;
  CHECK(open_unfinished_engine(config, parent.path() / "nothing", test_options(), &engine).code() ==
        StatusCode::corruption);
}

TEST_CASE("a marker of a newer version is refused with both versions, not called damaged") {
  const EngineConfig& config = engine_configs().front();
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, config);
  std::string newer(kMarkerMagic);
  put_u32(&newer, kMarkerVersion + 6);
  newer += "things that this version does not know";
  put_u64(&newer, hash64(newer));
  write_text(path / kMarkerFile, newer);
  const Status opened = try_open(config, path);
  CHECK(opened.code() == StatusCode::invalid_argument);
  CHECK_THAT(opened.message(), Contains("format version 8") && Contains("up to 2"));
}

TEST_CASE("a marked directory without a store is half-installed, never an empty database") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = parent.path() / "engine";
  fs::create_directory(path);
  REQUIRE(write_marker(path, {config.family, test_options().keyspaces}).ok());
  Status opened = try_open(config, path);
  CHECK(opened.code() == StatusCode::corruption);
  CHECK_THAT(opened.message(), Contains("half-installed"));
  CHECK(names_in(path) == std::set<std::string>{std::string(kMarkerFile)});
}

TEST_CASE("a store that lost any of its essential files is refused or complete, never silently empty") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path whole = make_store(parent, config);
  const fs::path path = parent.path() / "damaged";
  int refused = 0;
  for (const std::string& file : names_in(whole)) {
    for (const bool emptied : {false, true}) {
      INFO((emptied ? "emptied " : "removed ") << file);
      fs::remove_all(path);
      copy_tree(whole, path);
      if (emptied) {
        fs::resize_file(path / file, 0);
      } else {
        fs::remove(path / file);
      }
      std::unique_ptr<Engine> engine;
      if (open_engine(config, path, test_options(), &engine).ok()) {
        CHECK(read_keyspace(*engine, kFirst) == KeyspaceState{{"k", "v"}});
      } else {
        ++refused;
      }
    }
  }
  CHECK(refused >= 4);  // at least the marker and the data, each removed and emptied
}

TEST_CASE("unusable keyspace lists are refused before anything is made") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  using Names = std::vector<std::string>;
  for (const Names& keyspaces : {Names{}, Names{"a", "a"}, Names{""}, Names(257, "x")}) {
    EngineOptions options = test_options();
    options.keyspaces = keyspaces;
    std::unique_ptr<Engine> engine;
    CHECK(create_engine(config, parent.path() / "engine", options, &engine).code() ==
          StatusCode::invalid_argument);
    CHECK(names_in(parent.path()).empty());
  }
}

TEST_CASE("a keyspace that the store does not have is an error, not a new keyspace") {
  EVERY_CONFIGURATION(name);
  const TempDir parent = test_directory();
  const fs::path path = make_store(parent, config);
  EngineOptions options = test_options();
  options.keyspaces = {"first", "second", "another"};
  std::unique_ptr<Engine> engine;
  CHECK_FALSE(open_engine(config, path, options, &engine).ok());
  CHECK(engine == nullptr);
  CHECK(read_keyspace(*open(config, path), kFirst) == KeyspaceState{{"k", "v"}});
}

TEST_CASE("the bytes of a directory are the sum of its files") {
  const TempDir parent = test_directory();
  fs::create_directory(parent.path() / "inner");
  write_text(parent.path() / "a", "12345");
  write_text(parent.path() / "inner" / "b", "123");
  std::uint64_t bytes = 0;
  REQUIRE(directory_bytes(parent.path(), &bytes).ok());
  CHECK(bytes == 8);
  CHECK(sync_tree(parent.path()).ok());
  CHECK_FALSE(directory_bytes(parent.path() / "missing", &bytes).ok());
  CHECK_FALSE(sync_tree(parent.path() / "missing").ok());
}

TEST_CASE("a tree is removed with all that is in it and links are not followed") {
  const TempDir temporary = test_directory();
  const fs::path tree = temporary.path() / "tree";
  fs::create_directories(tree / "a" / "b");
  fs::create_directory(temporary.path() / "beside");
  replace_file(temporary.path() / "beside" / "kept", "x");
  replace_file(tree / "a" / "file", "x");
  fs::create_directory_symlink(temporary.path() / "beside", tree / "link");
  REQUIRE(remove_tree(tree).ok());
  CHECK_FALSE(fs::exists(fs::symlink_status(tree)));
  CHECK(fs::exists(temporary.path() / "beside" / "kept"));
  CHECK(remove_tree(tree).ok());
  CHECK(remove_tree(temporary.path() / "beside" / "kept" / "below a file").ok());
}

TEST_CASE("a copy of a directory has all that is in it, and never goes into one that exists") {
  const TempDir temporary = test_directory();
  const fs::path from = temporary.path() / "from";
  const fs::path to = temporary.path() / "to";
  const std::string large(3 << 20, 'x');
  fs::create_directories(from / "inner");
  replace_file(from / "large", large);
  replace_file(from / "inner" / "empty", "");
  REQUIRE(copy_directory(from, to).ok());
  std::string bytes;
  REQUIRE(read_file(to / "large", &bytes).ok());
  CHECK(bytes == large);
  REQUIRE(read_file(to / "inner" / "empty", &bytes).ok());
  CHECK(bytes == "");
  CHECK_FALSE(copy_directory(from, to).ok());
  CHECK_FALSE(copy_directory(temporary.path() / "missing", temporary.path() / "other").ok());
  CHECK_FALSE(fs::exists(temporary.path() / "other"));
}

TEST_CASE("a batch knows how many bytes of keys and values are in it") {
  WriteBatch batch;
  CHECK(batch.payload_bytes() == 0);
  batch.put(0, "key", "value");
  batch.erase(1, "gone");
  batch.erase_range(2, "a", "bb");
  CHECK(batch.payload_bytes() == 8 + 4 + 3);
  CHECK(batch.bytes() > batch.payload_bytes());
  batch.clear();
  CHECK(batch.payload_bytes() == 0);
}
