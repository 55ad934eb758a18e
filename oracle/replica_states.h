// ReplicaStates compares what replicas hold at the same log index with each other, without the oracle's
// model: if both were wrong in the same way, or the model were, this would still be a second opinion.
//
// Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/invariant.h"
#include "oracle/model.h"
#include "workloads/observation.h"

namespace chaosgate::oracle {

class ReplicaStates {
 public:
  // A replica has applied all entries up to state.witness, and holds this. replica.equal when another one
  // held something else at that index, or when the state cannot be read. `replica` names it for people.
  std::vector<Violation> add(std::string_view replica, const workloads::StateObservation& state);

  // Forgets the indexes below `index`.
  void forget(std::uint64_t index) { held_.erase(held_.begin(), held_.lower_bound(index)); }

 private:
  struct Held {
    std::string replica;
    Digest digest;
  };

  std::map<std::uint64_t, Held> held_;  // by index: the first that came there
};

}  // namespace chaosgate::oracle
