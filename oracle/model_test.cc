#include "oracle/model.h"

#include "harness/base/hash.h"
#include "oracle/history.h"
#include "oracle/lane_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::oracle;
using workloads::Generator;
using workloads::Keyspace;

namespace {

std::string saved(const Model& model) {
  std::string bytes;
  model.save(&bytes);
  return bytes;
}

}  // namespace

TEST_CASE("a model that went back and forth equals one that never did") {
  for (const std::string profile : {"mixed", "kubernetes", "churn", "txn"}) {
    CAPTURE(profile);
    const Generator generator(profile, 31);
    const std::uint64_t start = generator.preload_entries();
    const std::uint64_t end = start + 1000;
    std::vector<std::uint64_t> hashes;  // of the state from index `start` on
    Model straight;
    for (std::uint64_t index = 1; index <= end; ++index) {
      straight.advance(index, generator.transaction(1, index));
      if (index >= start && (index - start) % 100 == 0) {
        hashes.push_back(hash64(saved(straight)));
      }
    }
    Model wandering;
    Rng rng(8);
    for (int step = 0; step < 40; ++step) {
      const std::uint64_t target = start + rng.below(11) * 100;
      if (wandering.index() > target) {
        wandering.rewind(target);
      }
      while (wandering.index() < target) {
        wandering.advance(wandering.index() + 1, generator.transaction(1, wandering.index() + 1));
      }
      REQUIRE(hash64(saved(wandering)) == hashes[(target - start) / 100]);
      REQUIRE(wandering.digest_at(target) == straight.digest_at(target));
      Digest anew;
      for (std::size_t number = 0; number < workloads::kKeyspaceCount; ++number) {
        for (const auto& [key, value] : wandering.keyspace(static_cast<Keyspace>(number))) {
          anew.keyspaces[number].add(key, value);
        }
      }
      REQUIRE(anew == wandering.digest_at(target));
    }
    wandering.rewind(0);
    CHECK(wandering.live_keys() == 0);
  }
}

TEST_CASE("a digest tells states apart that differ in a key, a value, their pairing or their keyspace") {
  const auto digest = [](std::vector<std::pair<std::string, std::string>> pairs, Keyspace keyspace) {
    Model model;
    workloads::Transaction transaction;
    for (const auto& [key, value] : pairs) {
      transaction.push_back(
          {.kind = workloads::OperationKind::put, .keyspace = keyspace, .key = key, .value = value});
    }
    model.advance(1, transaction);
    return model.digest_at(1);
  };
  const Digest one = digest({{"a", "1"}, {"b", "2"}}, Keyspace::object);
  CHECK(one == digest({{"b", "2"}, {"a", "x"}, {"a", "1"}}, Keyspace::object));
  CHECK(one != digest({{"a", "2"}, {"b", "1"}}, Keyspace::object));
  CHECK(one != digest({{"a", "1"}, {"b", "2"}, {"c", ""}}, Keyspace::object));
  CHECK(one != digest({{"a", "1"}}, Keyspace::object));
  CHECK(one != digest({{"a", "1"}, {"b", "2"}}, Keyspace::counter));
  CHECK(digest({{"a", "bc"}}, Keyspace::object) != digest({{"ab", "c"}}, Keyspace::object));
  CHECK(digest({{"a", ""}}, Keyspace::object) != digest({}, Keyspace::object));
}

TEST_CASE("forgetting keeps the state and limits the way back") {
  const Generator generator("txn", 2);
  Model model;
  for (std::uint64_t index = 1; index <= 300; ++index) {
    model.advance(index, generator.transaction(1, index));
  }
  const std::string before = saved(model);
  model.forget(250);
  CHECK(model.floor() == 250);
  CHECK(model.index() == 300);
  CHECK(saved(model) == before);
  model.rewind(250);
  CHECK(model.index() == 250);
  model.forget(100);
  CHECK(model.floor() == 250);
  model.forget(10'000);
  CHECK(model.floor() == 250);
  model.advance(251, generator.transaction(1, 251));
  CHECK(model.index() == 251);
}

TEST_CASE("a saved model comes back, without its journal") {
  const Generator generator("txn", 2);
  Model model;
  for (std::uint64_t index = 1; index <= 230; ++index) {
    model.advance(index, generator.transaction(1, index));
  }
  const std::string bytes = saved(model);
  Model loaded;
  REQUIRE(loaded.load(bytes).ok());
  CHECK(loaded.index() == 230);
  CHECK(loaded.floor() == 230);
  CHECK(saved(loaded) == bytes);
  CHECK(maps_of(loaded) == maps_of(model));
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{20}, bytes.size() - 1}) {
    CHECK(loaded.load(std::string_view(bytes).substr(0, size)).code() == StatusCode::corruption);
  }
  CHECK(loaded.load(bytes + "x").code() == StatusCode::corruption);
  CHECK(saved(loaded) == bytes);  // a refused load changes nothing
}

TEST_CASE("a model tells which keys an entry wrote") {
  Model model;
  model.advance(1, {{.kind = workloads::OperationKind::put, .key = "a", .value = "1"},
                    {.kind = workloads::OperationKind::put, .key = "b", .value = "2"}});
  model.advance(2, {{.kind = workloads::OperationKind::erase_range, .key = "a", .end = "c"},
                    {.kind = workloads::OperationKind::erase, .key = "absent"}});
  std::string written;
  model.visit_written(2, [&](Keyspace, std::string_view key) { written += key; });
  CHECK(written == "ab");
}

TEST_CASE("a history knows terms, makes content once, and cuts") {
  const Generator generator("txn", 5);
  History history(generator);
  CHECK(history.last() == 0);
  history.pin(10, 1);
  history.pin(12, 4);
  history.pin(15, 4);
  history.pin(15, 6);  // proposed nothing
  history.pin(16, 7);
  CHECK(history.term_at(1) == 1);
  CHECK(history.term_at(10) == 1);
  CHECK(history.term_at(11) == 4);
  CHECK(history.term_at(15) == 4);
  CHECK(history.term_at(16) == 7);
  CHECK(history.hash_at(11) == history.proposal_hash(4, 11));
  CHECK(history.transaction_at(11) == generator.transaction(4, 11));
  history.cut(11);
  CHECK(history.last() == 10);
  history.pin(11, 9);
  CHECK(history.hash_at(11) == history.proposal_hash(9, 11));
  CHECK(history.transaction_at(11) == generator.transaction(9, 11));
  history.release(5, 8);
  CHECK(history.hash_at(2) == history.proposal_hash(1, 2));  // comes back
  CHECK(history.transaction_at(7) == generator.transaction(1, 7));
  std::string bytes;
  history.save(&bytes);
  History loaded(generator);
  Reader reader(bytes);
  REQUIRE(loaded.load(&reader));
  CHECK(loaded.last() == 11);
  CHECK(loaded.term_at(10) == 1);
  CHECK(loaded.term_at(11) == 9);
  history.cut(1);
  CHECK(history.last() == 0);
}
