// Model is the ordered in-memory state at one log index, with a journal to go back.
//
// advance() applies the next transaction; rewind() undoes down to any index not forgotten. Keys are ordered
// by memcmp, like an engine's. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"
#include "workloads/state_machine.h"
#include "workloads/transaction.h"

namespace chaosgate::oracle {

class Model {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;

  Model();

  std::uint64_t index() const;
  // The lowest index that rewind() reaches.
  std::uint64_t floor() const;
  const Map& keyspace(workloads::Keyspace keyspace) const;
  std::uint64_t live_keys() const;

  // REQUIRES: index == index() + 1
  void advance(std::uint64_t index, const workloads::Transaction& transaction);
  // REQUIRES: floor() <= index <= index()
  void rewind(std::uint64_t index);
  // Gives up going back below `index`. Larger than index() means index().
  void forget(std::uint64_t index);

  // The state at the current index, without the journal, for a bundle. load() replaces everything.
  void save(std::string* out) const;
  Status load(std::string_view bytes);
};

}  // namespace chaosgate::oracle
