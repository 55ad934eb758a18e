#include "engines/conformance/differential.h"

#include <chrono>
#include <iterator>

#include "engines/conformance/store.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kOperations = 2000;
// Of each part of the shrinking, so that a long list leaves room to look inside its operations.
constexpr std::size_t kShrinkTriesMax = 400;
constexpr auto kShrinkTimeMax = std::chrono::seconds(10);

WriteBatch to_batch(const std::vector<Edit>& edits) {
  WriteBatch batch;
  for (const Edit& edit : edits) {
    switch (edit.kind) {
      case WriteBatch::Kind::put:
        batch.put(edit.keyspace, edit.key, edit.value);
        break;
      case WriteBatch::Kind::erase:
        batch.erase(edit.keyspace, edit.key);
        break;
      case WriteBatch::Kind::erase_range:
        batch.erase_range(edit.keyspace, edit.key, edit.value);
        break;
    }
  }
  return batch;
}

KeyspaceState::const_iterator before(const KeyspaceState& state, KeyspaceState::const_iterator at) {
  return at == state.begin() ? state.end() : std::prev(at);
}

// An engine and the model beside it. Every call throws NotConforming at a difference.
class Pair {
 public:
  Pair(const ConformanceSubject& subject, const EngineOptions& options) : store_(subject, options) {}

  void run(const Operation& operation) {
    using Kind = Operation::Kind;
    switch (operation.kind) {
      case Kind::write:
        return store_.write(to_batch(operation.edits), &model_);
      case Kind::get:
        return compare_get(operation.keyspace, operation.key);
      case Kind::walk:
        return walk(operation.keyspace, operation.moves);
      case Kind::snapshot:
        return compare_snapshot(operation);
      case Kind::flush:
        return expect(store_->flush(), "flush");
      case Kind::compact:
        return expect(store_->compact(), "compact");
      case Kind::reopen:
        store_.reopen_keeping_all();
        return compare_all();
      case Kind::checkpoint:
        return compare_checkpoint();
      case Kind::integrity:
        return expect(store_->check_integrity(), "check_integrity");
    }
  }

  void compare_all() { expect_state(*store_, model_); }

 private:
  void compare_get(KeyspaceId keyspace, const std::string& key) {
    const auto at = model_[keyspace].find(key);
    const std::optional<std::string> value = get(*store_, keyspace, key);
    EXPECT(value.has_value() == (at != model_[keyspace].end()), "the key is {}there", value ? "" : "not ");
    EXPECT(!value || *value == at->second, "\"{}\" is not \"{}\"", printable(*value), printable(at->second));
  }

  // Moves an iterator beside an iterator of the map.
  void walk(KeyspaceId keyspace, const std::vector<Move>& moves) {
    const KeyspaceState& state = model_[keyspace];
    const std::unique_ptr<Iterator> it = store_->iterator(keyspace);
    auto at = state.end();
    for (const Move& move : moves) {
      make_move(move, state, it.get(), &at);
      expect(it->status(), "the move");
      expect_same("the iterator stands", printable(key_or_end(*it)),
                  at == state.end() ? "end" : printable(at->first));
      EXPECT(!it->valid() || it->value() == at->second, "at \"{}\"", printable(it->key()));
    }
  }

  static void make_move(const Move& move, const KeyspaceState& state, Iterator* it,
                        KeyspaceState::const_iterator* at) {
    switch (move.kind) {
      case Move::Kind::first:
        it->seek_to_first();
        *at = state.begin();
        break;
      case Move::Kind::last:
        it->seek_to_last();
        *at = before(state, state.end());
        break;
      case Move::Kind::seek:
        it->seek(move.target);
        *at = state.lower_bound(move.target);
        break;
      case Move::Kind::seek_for_prev:
        it->seek_for_prev(move.target);
        *at = before(state, state.upper_bound(move.target));
        break;
      case Move::Kind::next:
        if (it->valid()) {
          it->next();
          ++*at;
        }
        break;
      case Move::Kind::prev:
        if (it->valid()) {
          it->prev();
          *at = before(state, *at);
        }
        break;
    }
  }

  void compare_snapshot(const Operation& operation) {
    const std::unique_ptr<Snapshot> snapshot = store_->snapshot();
    const KeyspaceState then = model_[operation.keyspace];
    store_.write(to_batch(operation.edits), &model_);
    for (const auto& read : {read_forward, read_backward}) {
      const std::string differs = difference({read(*snapshot->iterator(operation.keyspace))}, {then});
      EXPECT(differs.empty(), "{}", differs);
    }
  }

  void compare_checkpoint() {
    expect(store_->checkpoint(store_.path("checkpoint")), "checkpoint");
    expect_state(*store_.open_beside("checkpoint"), model_);
    fs::remove_all(store_.path("checkpoint"));
  }

  Store store_;
  State model_ = State(3);
};

// Fails with the fewest operations that still show a difference.
void agree(const ConformanceSubject& subject, Maintenance maintenance, Tuning tuning) {
  const EngineOptions options = test_options(maintenance, tuning);
  std::vector<Operation> operations = draw_operations(subject.seed, kOperations);
  std::size_t failed = 0;
  std::string found = run_operations(subject, options, operations, &failed);
  if (found.empty()) {
    return;
  }
  operations.resize(std::min(failed + 1, operations.size()));
  const std::size_t first_failed = failed;
  auto give_up = std::chrono::steady_clock::now() + kShrinkTimeMax;
  const Fails fails = [&](const std::vector<Operation>& candidate) {
    std::size_t ignored = 0;
    return std::chrono::steady_clock::now() < give_up &&
           !run_operations(subject, options, candidate, &ignored).empty();
  };
  std::vector<Operation> fewest = shrink_list(operations, fails, kShrinkTriesMax);
  give_up = std::chrono::steady_clock::now() + kShrinkTimeMax;
  fewest = shrink_inside(std::move(fewest), fails, kShrinkTriesMax);
  fewest = shrink_list(std::move(fewest), fails, kShrinkTriesMax);
  // As it is now: a difference that comes and goes says so.
  const std::string again = run_operations(subject, options, fewest, &failed);
  if (again.empty()) {
    throw NotConforming(fmt::format(
        "operation {} of seed {} differs: {} (not every time)\n  the operation: {}", first_failed,
        subject.seed, found,
        first_failed < operations.size() ? to_string(operations[first_failed]) : "the final comparison"));
  }
  throw NotConforming(fmt::format("operation {} of seed {} differs: {}\n  the fewest operations found:{}",
                                  failed, subject.seed, again, show(fewest)));
}

}  // namespace

std::string run_operations(const ConformanceSubject& subject, const EngineOptions& options,
                           const std::vector<Operation>& operations, std::size_t* failed) {
  *failed = 0;
  try {
    Pair pair(subject, options);
    for (const Operation& operation : operations) {
      pair.run(operation);
      ++*failed;
    }
    pair.compare_all();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::vector<ConformanceCheck> differential_checks() {
  std::vector<ConformanceCheck> checks;
  for (const Maintenance maintenance : {Maintenance::scheduled, Maintenance::free_running}) {
    for (const Tuning tuning : {Tuning::lean, Tuning::stock}) {
      checks.push_back({fmt::format("{} random operations agree with an ordered map, {}, {}", kOperations,
                                    to_string(maintenance), to_string(tuning)),
                        [=](const ConformanceSubject& subject) { agree(subject, maintenance, tuning); }});
    }
  }
  return checks;
}

}  // namespace chaosgate::engines
