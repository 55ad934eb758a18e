// GroupTally is what happened between the replicas of a group; the kills are counted with their engines.
//
// Plain data; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"

namespace chaosgate::report {

struct GroupTally {
  std::vector<std::string> replicas;  // "0 rocksdb in-batch", ...
  std::uint64_t cycles = 0;
  std::uint64_t entries = 0;   // proposed by the leader
  std::uint64_t messages = 0;  // with entries
  std::uint64_t repeated = 0;  // of them
  std::uint64_t swapped = 0;
  std::uint64_t late = 0;
  std::uint64_t gaps_refused = 0;
  std::map<std::string, std::uint64_t> snapshots_installed;  // "rocksdb -> lmdb" -> how often
  std::map<std::string, std::uint64_t> snapshots_damaged;    // by what was wrong -> all were refused
  std::uint64_t senders_killed = 0;                          // while they made or sent one
  std::uint64_t receivers_killed = 0;                        // while they took or installed one
  std::uint64_t states_compared = 0;  // with the oracle and with each other, at the same index

  void add(const GroupTally& other);
  // What was counted since the tally was `before`.
  GroupTally counts_since(const GroupTally& before) const;
  std::uint64_t installed() const;
  std::uint64_t damaged() const;
  bool operator==(const GroupTally&) const = default;
};

// A label and what to say, a line each.
std::vector<std::pair<std::string, std::string>> group_facts(const GroupTally& tally);
void to_json(nlohmann::json& json, const GroupTally& tally);
void from_json(const nlohmann::json& json, GroupTally& tally);

}  // namespace chaosgate::report
