#include "harness/replica/batch_state.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engines/registry.h"
#include "harness/base/file.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using workloads::Keyspace;

namespace {

// A new lmdb store and a BatchState over it.
class Fixture {
 public:
  Fixture() : directory_(std::filesystem::temp_directory_path(), "chaosgate-batch-state-") {
    engines::EngineOptions options;
    for (std::size_t i = 0; i < workloads::kKeyspaceCount; ++i) {
      options.keyspaces.emplace_back(workloads::to_string(static_cast<Keyspace>(i)));
    }
    REQUIRE(engines::create_engine(*engines::find_engine_config("lmdb"), directory_.path() / "engine",
                                   options, &engine_)
                .ok());
    state = std::make_unique<BatchState>(*engine_);
  }

  void commit() {
    REQUIRE(state->status().ok());
    REQUIRE(engine_->write(state->batch()).ok());
    state->clear();
  }
  // "absent", or the value in quotes: an empty value must not look like an absent one.
  std::string get(std::string_view key, Keyspace keyspace = Keyspace::object) {
    std::string value;
    return state->get(keyspace, key, &value) ? "'" + value + "'" : "absent";
  }
  std::vector<std::pair<std::string, std::string>> scan(std::string_view begin, std::string_view end,
                                                        std::size_t count_max = SIZE_MAX) {
    std::vector<std::pair<std::string, std::string>> found;
    state->scan(Keyspace::object, begin, end, [&](std::string_view key, std::string_view value) {
      found.emplace_back(key, value);
      return found.size() < count_max;
    });
    return found;
  }
  // What the engine holds, without the batch.
  std::string stored(std::string_view key) {
    std::string value;
    return engine_->get(0, key, &value).ok() ? "'" + value + "'" : "absent";
  }

 private:
  TempDir directory_;
  std::unique_ptr<engines::Engine> engine_;

 public:
  std::unique_ptr<BatchState> state;
};

// Answers every read with an I/O error.
class BrokenEngine final : public engines::Engine {
 public:
  class BrokenIterator final : public engines::Iterator {
   public:
    bool valid() const override { return false; }
    void seek_to_first() override {}
    void seek_to_last() override {}
    void seek(std::string_view) override {}
    void seek_for_prev(std::string_view) override {}
    void next() override {}
    void prev() override {}
    std::string_view key() const override { return {}; }
    std::string_view value() const override { return {}; }
    Status status() const override { return Status::io_error("scan broke"); }
  };

  Status write(const engines::WriteBatch&) override { return {}; }
  Status get(engines::KeyspaceId, std::string_view, std::string*) override {
    return Status::io_error("get " + std::to_string(++gets_) + " broke");
  }
  std::unique_ptr<engines::Iterator> iterator(engines::KeyspaceId) override {
    return std::make_unique<BrokenIterator>();
  }
  std::unique_ptr<engines::Snapshot> snapshot() override { return nullptr; }
  Status flush() override { return {}; }
  Status compact() override { return {}; }
  Status checkpoint(const std::filesystem::path&) override { return {}; }
  Status size(engines::SizeInfo*) override { return {}; }
  Status check_integrity() override { return {}; }

 private:
  int gets_ = 0;
};

}  // namespace

TEST_CASE("a read sees the batch first and the engine below it") {
  Fixture fixture;
  fixture.state->put(Keyspace::object, "below", "engine");
  fixture.state->put(Keyspace::object, "both", "engine");
  fixture.commit();
  fixture.state->put(Keyspace::object, "both", "batch");
  fixture.state->put(Keyspace::object, "above", "batch");
  CHECK(fixture.get("below") == "'engine'");
  CHECK(fixture.get("both") == "'batch'");
  CHECK(fixture.get("above") == "'batch'");
  CHECK(fixture.get("nowhere") == "absent");
  CHECK(fixture.stored("both") == "'engine'");
  CHECK(fixture.stored("above") == "absent");
  fixture.commit();
  CHECK(fixture.stored("both") == "'batch'");
  CHECK(fixture.stored("above") == "'batch'");
}

TEST_CASE("keyspaces of a batch do not see each other") {
  Fixture fixture;
  fixture.state->put(Keyspace::object, "k", "object");
  fixture.commit();
  fixture.state->put(Keyspace::counter, "k", "counter");
  fixture.state->erase_range(Keyspace::revision, "a", "z");
  CHECK(fixture.get("k", Keyspace::object) == "'object'");
  CHECK(fixture.get("k", Keyspace::counter) == "'counter'");
  CHECK(fixture.get("k", Keyspace::revision) == "absent");
}

TEST_CASE("an erased key is absent, in the batch and in the engine") {
  Fixture fixture;
  fixture.state->put(Keyspace::object, "k", "old");
  fixture.commit();
  fixture.state->erase(Keyspace::object, "k");
  CHECK(fixture.get("k") == "absent");
  CHECK(fixture.stored("k") == "'old'");
  fixture.state->put(Keyspace::object, "k", "new");
  CHECK(fixture.get("k") == "'new'");
  fixture.state->erase(Keyspace::object, "k");
  fixture.commit();
  CHECK(fixture.get("k") == "absent");
  CHECK(fixture.stored("k") == "absent");
}

TEST_CASE("a range erase hides what came before it and not what comes after") {
  Fixture fixture;
  for (const char* key : {"a", "b", "c", "d"}) {
    fixture.state->put(Keyspace::object, key, "engine");
  }
  fixture.commit();
  fixture.state->put(Keyspace::object, "bb", "before");
  fixture.state->erase_range(Keyspace::object, "b", "d");
  CHECK(fixture.get("a") == "'engine'");
  CHECK(fixture.get("b") == "absent");
  CHECK(fixture.get("bb") == "absent");
  CHECK(fixture.get("c") == "absent");
  CHECK(fixture.get("d") == "'engine'");  // the end is excluded
  fixture.state->put(Keyspace::object, "c", "after");
  CHECK(fixture.get("c") == "'after'");
  CHECK(fixture.get("b") == "absent");
  fixture.commit();
  CHECK(fixture.scan("a", "z") ==
        std::vector<std::pair<std::string, std::string>>{{"a", "engine"}, {"c", "after"}, {"d", "engine"}});
}

TEST_CASE("a second range erase hides a put behind the first one") {
  Fixture fixture;
  fixture.state->erase_range(Keyspace::object, "a", "z");
  fixture.state->put(Keyspace::object, "k", "between");
  fixture.state->erase_range(Keyspace::object, "k", "l");
  CHECK(fixture.get("k") == "absent");
  fixture.commit();
  CHECK(fixture.stored("k") == "absent");
}

TEST_CASE("an empty value is not an absent one") {
  Fixture fixture;
  fixture.state->put(Keyspace::object, "k", "");
  CHECK(fixture.get("k") == "''");
  fixture.commit();
  CHECK(fixture.get("k") == "''");
  fixture.state->erase(Keyspace::object, "k");
  CHECK(fixture.get("k") == "absent");
}

TEST_CASE("a cleared batch state shows the engine alone") {
  Fixture fixture;
  fixture.state->put(Keyspace::object, "kept", "engine");
  fixture.commit();
  fixture.state->put(Keyspace::object, "dropped", "batch");
  fixture.state->erase(Keyspace::object, "kept");
  fixture.state->erase_range(Keyspace::object, "a", "z");
  fixture.state->clear();
  CHECK(fixture.state->batch().empty());
  CHECK(fixture.get("dropped") == "absent");
  CHECK(fixture.get("kept") == "'engine'");
}

TEST_CASE("a scan over an empty batch gives the range in order and stops when told") {
  Fixture fixture;
  for (const char* key : {"a", "b", "c", "d"}) {
    fixture.state->put(Keyspace::object, key, key);
  }
  fixture.commit();
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(fixture.scan("b", "d") == Pairs{{"b", "b"}, {"c", "c"}});
  CHECK(fixture.scan("", "z", 3) == Pairs{{"a", "a"}, {"b", "b"}, {"c", "c"}});
  CHECK(fixture.scan("x", "z").empty());
  CHECK(fixture.state->status().ok());
}

TEST_CASE("a scan over a batch that was not written is refused by a CHECK") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::signal(SIGABRT, SIG_DFL);  // Catch2's handler would report the test from here
    std::freopen("/dev/null", "w", stderr);
    BrokenEngine engine;
    BatchState state(engine);
    state.put(Keyspace::object, "k", "v");
    state.scan(Keyspace::object, "a", "z", [](std::string_view, std::string_view) { return true; });
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
}

TEST_CASE("the first engine error is kept, and reads answer absent from then on") {
  BrokenEngine engine;
  BatchState state(engine);
  std::string value;
  CHECK(state.status().ok());
  state.put(Keyspace::object, "in batch", "v");
  CHECK(state.get(Keyspace::object, "in batch", &value));
  CHECK(state.status().ok());  // the engine was not asked
  CHECK_FALSE(state.get(Keyspace::object, "k", &value));
  CHECK_FALSE(state.get(Keyspace::object, "l", &value));
  CHECK(state.status().to_string() == Status::io_error("get 1 broke").to_string());
  state.clear();
  CHECK_FALSE(state.status().ok());
}

TEST_CASE("an error that ends a scan is kept") {
  BrokenEngine engine;
  BatchState state(engine);
  bool visited = false;
  state.scan(Keyspace::object, "a", "z", [&](std::string_view, std::string_view) { return visited = true; });
  CHECK_FALSE(visited);
  CHECK(state.status().message() == "scan broke");
}
