// The built-in engines conform; and the suite finds engines that do not.
#include "engines/conformance/conformance.h"

#include <algorithm>
#include <set>

#include "engines/conformance/differential.h"
#include "engines/conformance/store.h"
#include "engines/forwarding_engine.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::engines;
using Catch::Matchers::Contains;

namespace {

constexpr std::uint64_t kSeed = 42;

void run_all(const std::vector<ConformanceCheck>& checks, const EngineConfig& config) {
  for (const ConformanceCheck& check : checks) {
    INFO(config.name << ": " << check.name);
    ConformanceSubject subject;
    subject.config = config;
    for (const EngineConfig& other : engine_configs()) {
      if (other.family == config.family) {
        subject.family.push_back(other);
      }
    }
    const TempDir directory = test_directory();
    subject.directory = directory.path();
    subject.seed = kSeed;
    REQUIRE_NOTHROW(check.run(subject));
  }
}

// Engines that do one thing wrong each.

// Deletes of a key that begins with '1' are forgotten when the batch has more than one mutation.
class ForgetsDeletes final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  Status write(const WriteBatch& batch) override {
    WriteBatch written;
    const Status copied = batch.for_each([&](const WriteBatch::Mutation& mutation) {
      switch (mutation.kind) {
        case WriteBatch::Kind::put:
          written.put(mutation.keyspace, mutation.key, mutation.value);
          break;
        case WriteBatch::Kind::erase:
          if (batch.count() == 1 || !mutation.key.starts_with('1')) {
            written.erase(mutation.keyspace, mutation.key);
          }
          break;
        case WriteBatch::Kind::erase_range:
          written.erase_range(mutation.keyspace, mutation.key, mutation.value);
          break;
      }
      return Status();
    });
    return copied.ok() ? inner().write(written) : copied;
  }
};

class FlushesNothing final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  Status flush() override { return {}; }
};

class CheckpointsElsewhere final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  Status checkpoint(const std::filesystem::path&) override { return {}; }
};

class AlwaysFindsDamage final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  Status check_integrity() override { return Status::corruption("as ever"); }
};

template <typename Engine>
EngineConfig wrong_config() {
  const EngineConfig& right = *find_engine_config("rocksdb");
  EngineConfig wrong = right;
  wrong.open = [&right](const EngineConfig& self, const std::filesystem::path& directory,
                        const EngineOptions& options, bool create,
                        std::unique_ptr<chaosgate::engines::Engine>* engine) {
    const Status status = right.open(self, directory, options, create, engine);
    if (status.ok()) {
      *engine = std::make_unique<Engine>(std::move(*engine));
    }
    return status;
  };
  return wrong;
}

// What the check of this name says about a configuration, or "" when it passes.
std::string found_by(const std::string& name, const EngineConfig& config) {
  for (const ConformanceCheck& check : conformance_checks()) {
    if (check.name.starts_with(name)) {
      const TempDir directory = test_directory();
      try {
        check.run({config, {config}, directory.path(), kSeed});
      } catch (const NotConforming& found) {
        return found.what();
      }
      return "";
    }
  }
  throw std::runtime_error("no check is named " + name);
}

}  // namespace

#define EVERY_CONFIGURATION(name) const std::string name = GENERATE(from_range(config_names()))

TEST_CASE("every built-in engine conforms: batches, keys, values, ranges") {
  EVERY_CONFIGURATION(name);
  run_all(batch_checks(), *find_engine_config(name));
}

TEST_CASE("every built-in engine conforms: iterators and snapshots") {
  EVERY_CONFIGURATION(name);
  run_all(read_checks(), *find_engine_config(name));
}

TEST_CASE("every built-in engine conforms: what survives, copies, compaction, sizes") {
  EVERY_CONFIGURATION(name);
  run_all(store_checks(), *find_engine_config(name));
}

TEST_CASE("every built-in engine conforms: thousands of random operations") {
  EVERY_CONFIGURATION(name);
  run_all(differential_checks(), *find_engine_config(name));
}

TEST_CASE("the names of the checks are unique") {
  std::set<std::string> names;
  for (const ConformanceCheck& check : conformance_checks()) {
    CHECK(names.insert(check.name).second);
  }
}

TEST_CASE("an engine that breaks a promise is found by the check of that promise") {
  CHECK_THAT(found_by("after a kill", wrong_config<FlushesNothing>()), Contains("after a kill"));
  CHECK_THAT(found_by("what a flush covered", wrong_config<FlushesNothing>()), Contains("expected"));
  CHECK_THAT(found_by("a checkpoint opens", wrong_config<CheckpointsElsewhere>()),
             Contains("directory that exists"));
  CHECK_THAT(found_by("a new store is empty", wrong_config<AlwaysFindsDamage>()), Contains("as ever"));
}

TEST_CASE("a contract that understates what survives is found, too") {
  EngineConfig modest = *find_engine_config("rocksdb-wal");
  modest.contract.commit = Durability::nothing;
  // Opened as configured, it keeps more than it says.
  modest.open = [](const EngineConfig&, const std::filesystem::path& directory, const EngineOptions& options,
                   bool create, std::unique_ptr<Engine>* engine) {
    const EngineConfig& config = *find_engine_config("rocksdb-wal");
    return config.open(config, directory, options, create, engine);
  };
  CHECK_THAT(found_by("after a kill", modest), Contains("survives nothing"));
}

TEST_CASE("a difference is cut down to the operations that show it") {
  const std::string found = found_by("2000 random operations", wrong_config<ForgetsDeletes>());
  INFO(found);
  CHECK_THAT(found, Contains("the fewest operations found"));
  CHECK_THAT(found, Contains("delete"));
  CHECK(std::count(found.begin(), found.end(), '\n') <= 3);  // at most two operations
}

TEST_CASE("shrinking keeps what matters, and asks no more often than allowed") {
  const std::vector<Operation> operations = draw_operations(7, 200);
  const auto compactions = [](const std::vector<Operation>& list) {
    return std::count_if(list.begin(), list.end(),
                         [](const Operation& one) { return one.kind == Operation::Kind::compact; });
  };
  REQUIRE(compactions(operations) >= 2);
  CHECK(shrink_list(
            operations, [&](const auto& list) { return compactions(list) >= 2; }, 1000)
            .size() == 2);
  for (const auto& shrink : {shrink_list, shrink_inside}) {
    std::size_t asked = 0;
    shrink(
        operations,
        [&](const auto&) {
          ++asked;
          return false;
        },
        10);
    CHECK(asked == 10);
  }
}

TEST_CASE("a long list that cannot be cut leaves room to cut inside its batches") {
  const std::vector<Operation> operations = draw_operations(7, 300);
  const auto fails = [&](const std::vector<Operation>& list) {
    const bool erases = std::any_of(list.begin(), list.end(), [](const Operation& one) {
      return std::any_of(one.edits.begin(), one.edits.end(),
                         [](const Edit& edit) { return edit.kind == WriteBatch::Kind::erase; });
    });
    return list.size() == operations.size() && erases;
  };
  const std::vector<Operation> fewest = shrink_inside(shrink_list(operations, fails, 400), fails, 400);
  CHECK(fewest.size() == operations.size());
  std::size_t edits = 0;
  for (const Operation& operation : fewest) {
    edits += operation.edits.size();
  }
  CHECK(edits == 1);
}

TEST_CASE("operations are shown on lines that can be read, however many there are") {
  std::vector<Operation> operations = draw_operations(7, 2000);
  const std::string text = show(operations);
  CHECK(std::count(text.begin(), text.end(), '\n') <= 21);
  CHECK_THAT(text, Contains("1980 more, and then"));
  std::size_t longest = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at + 1), text.size());
    longest = std::max(longest, end - at);
    at = end;
  }
  CHECK(longest < 900);
}

namespace {

// Every 50th write of a process is forgotten: what fails depends on what ran before.
class ForgetsNowAndThen final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  Status write(const WriteBatch& batch) override {
    static int writes = 0;
    return ++writes == 300 ? Status() : inner().write(batch);
  }
};

// A copy that is flushed and not closed: commits that survive nothing stay.
class CommitsAtClose final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  ~CommitsAtClose() override { (void)inner().flush(); }
};

class NeverFreesSpace final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  Status compact() override { return {}; }
};

class LosesCommitsAtClose final : public ForwardingEngine {
 public:
  using ForwardingEngine::ForwardingEngine;
  ~LosesCommitsAtClose() override {
    WriteBatch batch;
    batch.erase(kThird, "committed");
    (void)inner().write(batch);
    (void)inner().flush();
  }
};

// What the check of this name notes of an engine that passes it.
std::string noted_by(const std::string& name, const EngineConfig& config) {
  std::string notes;
  for (const ConformanceCheck& check : conformance_checks()) {
    if (check.name.starts_with(name)) {
      const TempDir directory = test_directory();
      check.run({config, {config}, directory.path(), kSeed, [&](const std::string& note) { notes += note; }});
    }
  }
  return notes;
}

}  // namespace

TEST_CASE("what breaks no promise is noted and no failure") {
  CHECK_THAT(noted_by("after a kill", wrong_config<CommitsAtClose>()), Contains("a clean close commits"));
  CHECK_THAT(noted_by("compaction keeps", wrong_config<NeverFreesSpace>()), Contains("gave no space back"));
  CHECK(noted_by("after a kill", *find_engine_config("rocksdb")).empty());
  CHECK(noted_by("compaction keeps", *find_engine_config("rocksdb")).empty());
  CHECK_THAT(found_by("after a kill", wrong_config<LosesCommitsAtClose>()), Contains("after a clean close"));
}

TEST_CASE("a checkpoint need not keep more at a close than the contract says") {
  CHECK_NOTHROW(found_by("a checkpoint opens", *find_engine_config("rocksdb")));
  CHECK(found_by("a checkpoint opens", *find_engine_config("rocksdb")).empty());
}

TEST_CASE("a difference that does not come again says so in few words") {
  const std::string found = found_by("2000 random operations", wrong_config<ForgetsNowAndThen>());
  INFO(found);
  CHECK_THAT(found, Contains("(not every time)"));
  CHECK(std::count(found.begin(), found.end(), '\n') == 1);
  CHECK(found.size() < 1500);
}
