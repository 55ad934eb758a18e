#include "oracle/replica_states.h"

#include <fmt/format.h>

#include "oracle/compare.h"

namespace chaosgate::oracle {

using workloads::Keyspace;
using workloads::kKeyspaceCount;

std::vector<Violation> ReplicaStates::add(std::string_view replica,
                                          const workloads::StateObservation& state) {
  Digest digest;
  if (const auto problem = read_dump(state.keyspaces, false, &digest)) {
    return {{Invariant::replica_equal, fmt::format("replica {}: {}", replica, *problem), {}, 0}};
  }
  const auto [at, first] = held_.try_emplace(state.witness, Held{std::string(replica), digest});
  if (first || at->second.digest == digest) {
    return {};
  }
  std::string where;
  for (std::size_t number = 0; number < kKeyspaceCount; ++number) {
    const Digest::OfKeyspace& theirs = at->second.digest.keyspaces.at(number);
    const Digest::OfKeyspace& ours = digest.keyspaces.at(number);
    if (!(theirs == ours)) {
      where += fmt::format("{}{} ({} keys and {})", where.empty() ? "" : ", ",
                           to_string(static_cast<Keyspace>(number)), theirs.keys, ours.keys);
    }
  }
  return {{Invariant::replica_equal,
           fmt::format("replicas {} and {} have both applied entry {} and differ in {}", at->second.replica,
                       replica, state.witness, where),
           {},
           0}};
}

}  // namespace chaosgate::oracle
