// Model is the ordered in-memory state at one log index, with a journal to go back.
//
// advance() applies the next transaction; rewind() undoes down to any index not forgotten. Keys are ordered
// by memcmp, like an engine's. For each index of the journal the model also knows a digest of the state, so
// that most questions need no going back. A value: copies are independent. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"
#include "workloads/state_machine.h"
#include "workloads/transaction.h"

namespace chaosgate::oracle {

// What identifies a state: for each keyspace the number of keys and the sum, modulo 2^64, of hash64 over its
// (key, value) pairs. Equal states have equal digests; two different ones meet with a probability of 2^-64,
// which the oracle takes for never. The order of keys does not count.
struct Digest {
  struct OfKeyspace {
    std::uint64_t keys = 0;
    std::uint64_t sum = 0;

    void add(std::string_view key, std::string_view value);
    void remove(std::string_view key, std::string_view value);
    bool operator==(const OfKeyspace&) const = default;
  };
  std::array<OfKeyspace, workloads::kKeyspaceCount> keyspaces;

  std::uint64_t keys() const { return keyspaces[0].keys + keyspaces[1].keys + keyspaces[2].keys; }
  bool operator==(const Digest&) const = default;
};

class Model {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;

  // The empty state at index 0.
  Model() = default;

  std::uint64_t index() const { return floor_ + journal_.size(); }
  // The lowest index that rewind() reaches.
  std::uint64_t floor() const { return floor_; }
  const Map& keyspace(workloads::Keyspace keyspace) const {
    return maps_[static_cast<std::size_t>(keyspace)];
  }
  std::uint64_t live_keys() const { return digest_.keys(); }
  // REQUIRES: floor() <= index <= index()
  const Digest& digest_at(std::uint64_t index) const;

  // REQUIRES: index == index() + 1
  void advance(std::uint64_t index, const workloads::Transaction& transaction);
  // REQUIRES: floor() <= index <= index()
  void rewind(std::uint64_t index);
  // Gives up going back below `index`. Larger than index() means index().
  void forget(std::uint64_t index);

  // Calls visit for every key that the entry at `index` wrote, some of them more than once.
  // REQUIRES: floor() < index <= index()
  void visit_written(std::uint64_t index,
                     const std::function<void(workloads::Keyspace, std::string_view)>& visit) const;

  // Appends the state at the current index, without the journal, for a bundle. load() replaces everything;
  // it refuses what save() cannot have written and then leaves the model as it was.
  void save(std::string* out) const;
  Status load(std::string_view bytes);

 private:
  class Recorder;

  // What a key was before a mutation.
  struct Undo {
    workloads::Keyspace keyspace;
    bool present;
    std::string key;
    std::string value;
  };

  // One entry of the journal.
  struct Step {
    Digest before;
    std::vector<Undo> undo;
  };

  Map& map(workloads::Keyspace keyspace) { return maps_[static_cast<std::size_t>(keyspace)]; }

  std::array<Map, workloads::kKeyspaceCount> maps_;
  std::uint64_t floor_ = 0;
  Digest digest_;             // of maps_
  std::deque<Step> journal_;  // of the indexes floor_ + 1 ..
};

}  // namespace chaosgate::oracle
