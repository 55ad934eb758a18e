// A lane simulated in memory: an engine that loses its unflushed tail, a log that loses its unsynced one,
// many crashes. A correct one must break nothing; one with a fault must be found.
#include <algorithm>
#include <set>
#include <utility>

#include "harness/base/rng.h"
#include "oracle/lane_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::oracle;
using workloads::Keyspace;
using workloads::kKeyspaceCount;
using workloads::ReadKind;
using workloads::ReadObservation;
using workloads::Transaction;

namespace {

enum class Fault {
  none,
  lost_batch,     // a batch in the middle of those that survive is not there
  half_batch,     // some mutations of the last surviving batch are not there
  torn_keyspace,  // one keyspace loses batches that the others keep
  lost_flush,     // batches that a flush covered are not there
  witness_high,   // the witness is one too high
  witness_low,    // ... or one too low
  double_apply,   // replay applies an entry that the engine has
  skipped_entry,  // replay leaves an entry out
  stale_tail,     // the log shows entries that were lost in the crash before
  lost_entry,     // the log lost a synced entry
  changed_entry,  // the log changed an entry
  index_ahead,    // the durable index is one too high
};

// An LSM-like engine: a memtable of batches over a durable state.
class FakeEngine : public workloads::MutableState {
 public:
  bool get(Keyspace keyspace, std::string_view key, std::string* value) override {
    const Model::Map& map = current(keyspace);
    const auto found = map.find(key);
    if (found == map.end()) {
      return false;
    }
    *value = found->second;
    return true;
  }
  void scan(Keyspace keyspace, std::string_view begin, std::string_view end,
            const std::function<bool(std::string_view, std::string_view)>& visit) override {
    const Model::Map& map = current(keyspace);
    for (auto at = map.lower_bound(begin); at != map.end() && at->first < end && visit(at->first, at->second);
         ++at) {
    }
  }
  void put(Keyspace keyspace, std::string_view key, std::string_view value) override {
    mutate({keyspace, std::string(key), std::string(value)});
  }
  void erase(Keyspace keyspace, std::string_view key) override { mutate({keyspace, std::string(key), {}}); }
  void erase_range(Keyspace keyspace, std::string_view begin, std::string_view end) override {
    std::vector<std::string> keys;
    scan(keyspace, begin, end, [&](std::string_view key, std::string_view) {
      keys.emplace_back(key);
      return true;
    });
    for (const std::string& key : keys) erase(keyspace, key);
  }

  void apply(std::uint64_t index, const Transaction& transaction) {
    memtable_.push_back({index, {}});
    workloads::apply(transaction, *this);
    applied_ = index;
  }
  void flush() {
    for (const Batch& batch : memtable_) {
      for (const Mutation& mutation : batch.mutations) perform(durable_, mutation);
    }
    memtable_.clear();
    flushed_ = applied_;
  }
  // Keeps the first `survivors` batches of the memtable, as the fault has them.
  void crash(std::size_t survivors, Fault fault, Rng& rng) {
    if (fault == Fault::lost_flush) {
      durable_ = earlier_;
      applied_ = earlier_index_;
      survivors = 0;
    }
    const std::uint64_t whole = survivors == 0 ? applied_before_memtable() : memtable_[survivors - 1].index;
    const std::size_t lost = survivors < 2 ? 0 : rng.below(survivors - 1);
    const std::size_t torn = rng.below(survivors + 1);
    const std::size_t torn_keyspace = rng.below(kKeyspaceCount);
    const std::vector<Batch> written = memtable_;  // what current_ has and durable_ may lack
    for (std::size_t i = 0; i < survivors; ++i) {
      std::vector<Mutation>& mutations = memtable_[i].mutations;
      if (fault == Fault::lost_batch && i == lost) mutations.clear();
      if (fault == Fault::half_batch && i + 1 == survivors) mutations.resize(mutations.size() / 2);
      for (const Mutation& mutation : mutations) {
        if (fault == Fault::torn_keyspace && i >= torn &&
            static_cast<std::size_t>(mutation.keyspace) == torn_keyspace) {
          continue;
        }
        perform(durable_, mutation);
      }
    }
    if (fault == Fault::lost_flush) {
      current_ = durable_;
    }
    for (const Batch& batch : written) {
      for (const Mutation& mutation : batch.mutations) {
        perform(current_, {mutation.keyspace, mutation.key, durable_value(mutation)});
      }
    }
    memtable_.clear();
    applied_ = fault == Fault::lost_flush ? earlier_index_ : whole;
    flushed_ = std::max(flushed_, applied_);
  }
  // What lost_flush goes back to.
  void remember() {
    earlier_ = durable_;
    earlier_index_ = flushed_;
  }

  const Maps& maps() const { return current_; }
  std::uint64_t applied() const { return applied_; }
  std::uint64_t flushed() const { return flushed_; }
  std::size_t memtable() const { return memtable_.size(); }

 private:
  struct Mutation {
    Keyspace keyspace;
    std::string key;
    std::optional<std::string> value;
  };
  struct Batch {
    std::uint64_t index;
    std::vector<Mutation> mutations;
  };

  static void perform(Maps& maps, const Mutation& mutation) {
    Model::Map& map = maps[static_cast<std::size_t>(mutation.keyspace)];
    if (mutation.value) {
      map.insert_or_assign(mutation.key, *mutation.value);
    } else {
      map.erase(mutation.key);
    }
  }
  std::optional<std::string> durable_value(const Mutation& mutation) const {
    const Model::Map& map = durable_[static_cast<std::size_t>(mutation.keyspace)];
    const auto found = map.find(mutation.key);
    return found == map.end() ? std::nullopt : std::optional(found->second);
  }
  void mutate(Mutation mutation) {
    perform(current_, mutation);
    memtable_.back().mutations.push_back(std::move(mutation));
  }
  const Model::Map& current(Keyspace keyspace) const { return current_[static_cast<std::size_t>(keyspace)]; }
  std::uint64_t applied_before_memtable() const { return flushed_; }

  Maps durable_, current_, earlier_;
  std::vector<Batch> memtable_;
  std::uint64_t applied_ = 0;
  std::uint64_t flushed_ = 0;
  std::uint64_t earlier_index_ = 0;
};

class Simulation {
 public:
  Simulation(std::string_view profile, std::uint64_t seed)
      : lane_(profile, seed), rng_(Rng(seed).fork("simulation")) {}

  // Loads; then dies, recovers and is judged. The fault, if any, strikes this crash.
  std::vector<Violation> cycle(Fault fault = Fault::none) {
    load();
    crash(fault);
    return recover(fault);
  }
  // False when the last fault changed nothing that could be seen.
  bool effective() const { return effective_; }
  int recrashes() const { return recrashes_; }
  int cuts() const { return cuts_; }
  std::uint64_t last() const { return lane_.last(); }

  void save_and_load() {
    std::string bytes;
    lane_.oracle.save(&bytes);
    std::unique_ptr<Oracle> loaded;
    REQUIRE(Oracle::load(bytes, lane_.generator, &loaded).ok());
    lane_.oracle = std::move(*loaded);
  }

  bool remembers = false;  // Fault::lost_flush needs it

 private:
  void load() {
    lane_.oracle.begin_term(++term_);
    synced_ = lane_.last();
    const std::uint64_t preload = lane_.generator.preload_entries();
    const std::uint64_t steps = lane_.last() < preload ? preload + 100 : rng_.between(40, 200);
    for (std::uint64_t step = 0; step < steps; ++step) {
      if (rng_.chance(9, 10)) {
        lane_.append(term_, lane_.last() + rng_.between(1, 4));
      }
      if (rng_.chance(1, 4)) {
        synced_ = lane_.last();
      }
      while (engine_.applied() < synced_ && rng_.chance(7, 8)) {
        replay_one(engine_.applied() + 1);
      }
      if (rng_.chance(1, 40)) {
        if (remembers) {
          engine_.remember();
        }
        engine_.flush();
        first_ = std::max(first_, engine_.flushed() - std::min(engine_.flushed(), rng_.below(50)));
        lane_.oracle.forget(std::min(engine_.flushed(), lane_.oracle.last_index()));
      }
    }
  }

  void replay_one(std::uint64_t index) {
    engine_.apply(index, lane_.generator.transaction(lane_.entries[index - 1].term, index));
  }

  void crash(Fault fault) {
    crash_ = {lane_.last() + rng_.below(2), synced_, engine_.applied(), engine_.flushed()};
    const auto appended = lane_.entries;
    const std::uint64_t keep = rng_.between(synced_, lane_.last());
    lane_.cut(keep + 1);
    if (fault != Fault::none) {
      Simulation healthy = copy_for_fault();
      healthy.engine_.crash(survivors(), Fault::none, healthy.rng_);
      engine_.crash(survivors(), fault, rng_);
      effective_ = engine_.maps() != healthy.engine_.maps() || engine_.applied() != healthy.engine_.applied();
    } else {
      engine_.crash(survivors(), fault, rng_);
    }
    before_last_crash_ =
        std::exchange(lost_tail_, {appended.begin() + static_cast<std::ptrdiff_t>(keep), appended.end()});
  }
  std::size_t survivors() {
    if (!survivors_) {
      survivors_ = rng_.below(engine_.memtable() + 1);
    }
    return *survivors_;
  }
  Simulation copy_for_fault() {
    (void)survivors();
    Simulation copy("txn", 1);
    copy.engine_ = engine_;
    return copy;
  }

  std::vector<Violation> recover(Fault fault) {
    survivors_.reset();
    if (fault == Fault::none && rng_.chance(1, 4)) {  // a worker that dies while it replays
      ++recrashes_;
      lane_.oracle.begin_term(++term_);
      for (std::uint64_t index = engine_.applied() + 1; index <= lane_.last() && rng_.chance(3, 4); ++index) {
        replay_one(index);
      }
      engine_.crash(rng_.below(engine_.memtable() + 1), Fault::none, rng_);
    }
    lane_.oracle.begin_term(++term_);
    std::vector<Violation> all;
    const auto take = [&](std::vector<Violation> violations) {
      std::move(violations.begin(), violations.end(), std::back_inserter(all));
    };
    take(lane_.oracle.check_log(observed_log(fault), crash_));
    take(lane_.oracle.check_before_replay(observed_before(fault), crash_));
    if (!all.empty()) {
      return all;
    }
    const std::uint64_t cut_above = std::max(crash_.synced, engine_.applied());
    if (lane_.last() > cut_above && rng_.chance(1, 3)) {
      ++cuts_;
      const std::uint64_t from = rng_.between(cut_above + 1, lane_.last());
      lane_.cut(from);
      lane_.oracle.cut_suffix(from);
    }
    replay(fault);
    lane_.buffers.clear();
    take(lane_.oracle.check_after_replay(lane_.dump(engine_.maps(), lane_.last())));
    if (rng_.chance(1, 8)) {
      take(lane_.oracle.check_reopened(lane_.dump(engine_.maps(), lane_.last())));
      take(lane_.oracle.check_backward(lane_.dump(engine_.maps(), lane_.last(), true)));
      take(lane_.oracle.check_reads(some_reads()));
    }
    return all;
  }

  workloads::LogObservation observed_log(Fault fault) {
    workloads::LogObservation seen = lane_.log(std::max<std::uint64_t>(first_, 1));
    if (fault == Fault::stale_tail) {
      // What was lost two crashes ago, at the same indexes: behind the end, or instead of what is there.
      effective_ = false;
      for (const auto& entry : before_last_crash_) {
        const std::uint64_t index = entry_index(entry);
        if (index > seen.last && seen.last + 1 == index) {
          seen.entries.push_back(entry);
          ++seen.last;
          effective_ = true;
        } else if (index > seen.first && index <= seen.last &&
                   seen.entries[index - seen.first].term != entry.term) {
          seen.entries[index - seen.first] = entry;
          effective_ = true;
        }
      }
      crash_.appended += 1000;
    }
    if (fault == Fault::lost_entry) {
      effective_ = crash_.synced > engine_.applied() && crash_.synced >= seen.first;
      if (effective_) {
        seen.entries.resize(crash_.synced - seen.first);
        seen.last = crash_.synced - 1;
      }
    }
    if (fault == Fault::changed_entry) {
      effective_ = !seen.entries.empty();
      if (effective_) {
        seen.entries[rng_.below(seen.entries.size())].hash += 1;
      }
    }
    return seen;
  }
  // Lost tails are few and short: look for the index among those that it can have.
  std::uint64_t entry_index(const workloads::LogObservation::EntryId& entry) const {
    for (std::uint64_t index = first_; index < lane_.last() + 1000; ++index) {
      if (lane_.proposal(entry.term, index).hash == entry.hash) {
        return index;
      }
    }
    return 0;
  }

  workloads::StateObservation observed_before(Fault fault) {
    workloads::StateObservation seen = lane_.dump(engine_.maps(), engine_.applied());
    if (fault == Fault::witness_high || fault == Fault::witness_low) {
      seen.witness += fault == Fault::witness_high ? 1 : std::uint64_t(-1);
      seen.durable_index = seen.witness;
      effective_ = seen.witness > lane_.last() || maps_of(lane_.state(seen.witness)) != engine_.maps();
    }
    if (fault == Fault::index_ahead) {
      ++seen.durable_index;
      effective_ = true;
    }
    return seen;
  }

  void replay(Fault fault) {
    Maps healthy;
    std::uint64_t from = engine_.applied() + 1;
    const std::uint64_t odd = rng_.between(from, std::max(from, lane_.last()));
    if (fault == Fault::double_apply || fault == Fault::skipped_entry) {
      FakeEngine copy = engine_;
      for (std::uint64_t index = from; index <= lane_.last(); ++index) {
        copy.apply(index, lane_.generator.transaction(lane_.entries[index - 1].term, index));
      }
      healthy = copy.maps();
    }
    if (fault == Fault::double_apply) {
      --from;
    }
    for (std::uint64_t index = from; index <= lane_.last(); ++index) {
      if (fault != Fault::skipped_entry || index != odd) {
        replay_one(index);
      }
    }
    if (fault == Fault::double_apply || fault == Fault::skipped_entry) {
      effective_ = engine_.maps() != healthy;
    }
  }

  std::vector<ReadObservation> some_reads() {
    std::vector<ReadObservation> reads;
    const Model::Map& map = engine_.maps()[0];
    for (int i = 0; i < 200; ++i) {
      std::string& target = targets_[static_cast<std::size_t>(i)];
      target.clear();
      rng_.append_bytes(&target, rng_.between(1, 4));
      const auto at = map.lower_bound(target);
      if (at != map.end()) {
        reads.push_back({ReadKind::seek, Keyspace::object, target, true, at->first, at->second});
        reads.push_back({ReadKind::get, Keyspace::object, at->first, true, at->first, at->second});
      } else {
        reads.push_back({ReadKind::seek, Keyspace::object, target, false, {}, {}});
      }
    }
    return reads;
  }

  Lane lane_;
  Rng rng_;
  FakeEngine engine_;
  std::uint64_t term_ = 0;
  std::uint64_t synced_ = 0;
  std::uint64_t first_ = 1;
  CrashIndexes crash_;
  std::optional<std::size_t> survivors_;
  std::vector<workloads::LogObservation::EntryId> lost_tail_, before_last_crash_;
  std::array<std::string, 200> targets_;
  bool effective_ = true;
  int recrashes_ = 0;
  int cuts_ = 0;
};

std::string text(const std::vector<Violation>& violations) {
  std::string out;
  for (const Violation& violation : violations) {
    out += describe(violation) + "\n";
  }
  return out;
}

void check_correct(std::string_view profile) {
  Simulation simulation(profile, 77);
  for (int cycle = 0; cycle < 100; ++cycle) {
    const auto violations = simulation.cycle();
    CAPTURE(cycle, text(violations));
    REQUIRE(violations.empty());
    if (cycle % 50 == 49) {
      simulation.save_and_load();
    }
  }
  CHECK(simulation.last() > 4'000);
  CHECK(simulation.recrashes() > 12);
  CHECK(simulation.cuts() > 2);
}

// Strikes with the fault in many lanes; every effective strike must be found, as one of `allowed`.
void check_found(Fault fault, std::initializer_list<Invariant> allowed) {
  const std::set<Invariant> set(allowed);
  int effective = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(static_cast<int>(fault), seed);
    Simulation simulation(seed % 2 == 0 ? "txn" : "mixed", seed);
    simulation.remembers = fault == Fault::lost_flush;
    for (int warm_up = 0; warm_up < 3; ++warm_up) {
      const auto violations = simulation.cycle();
      CAPTURE(text(violations));
      REQUIRE(violations.empty());
    }
    const auto violations = simulation.cycle(fault);
    CAPTURE(text(violations));
    if (!simulation.effective()) {
      CHECK(violations.empty());
      continue;
    }
    ++effective;
    REQUIRE_FALSE(violations.empty());
    CHECK(set.count(violations[0].invariant) == 1);
  }
  CHECK(effective >= 3);
}

}  // namespace

TEST_CASE("a correct engine and log break nothing in 100 crashes of mixed") { check_correct("mixed"); }
TEST_CASE("a correct engine and log break nothing in 100 crashes of kubernetes") {
  check_correct("kubernetes");
}
TEST_CASE("a correct engine and log break nothing in 100 crashes of churn") { check_correct("churn"); }
TEST_CASE("a correct engine and log break nothing in 100 crashes of txn") { check_correct("txn"); }

TEST_CASE("a lost batch is found") { check_found(Fault::lost_batch, {Invariant::state_prefix}); }
TEST_CASE("half a batch is found") { check_found(Fault::half_batch, {Invariant::state_prefix}); }
TEST_CASE("a keyspace behind the others is found") {
  check_found(Fault::torn_keyspace, {Invariant::state_prefix});
}
TEST_CASE("a lost flush is found") { check_found(Fault::lost_flush, {Invariant::index_not_lost}); }
TEST_CASE("a witness that is one too high is found") {
  check_found(Fault::witness_high, {Invariant::state_prefix, Invariant::log_acked});
}
TEST_CASE("a witness that is one too low is found") {
  check_found(Fault::witness_low, {Invariant::state_prefix, Invariant::index_not_lost});
}
TEST_CASE("an entry that is applied twice is found") {
  check_found(Fault::double_apply, {Invariant::state_replayed});
}
TEST_CASE("an entry that replay skips is found") {
  check_found(Fault::skipped_entry, {Invariant::state_replayed});
}
TEST_CASE("a stale tail is found") { check_found(Fault::stale_tail, {Invariant::log_content}); }
TEST_CASE("a lost log entry is found") { check_found(Fault::lost_entry, {Invariant::log_acked}); }
TEST_CASE("a changed log entry is found") { check_found(Fault::changed_entry, {Invariant::log_content}); }
TEST_CASE("a durable index that is ahead is found") {
  check_found(Fault::index_ahead, {Invariant::index_not_ahead});
}
