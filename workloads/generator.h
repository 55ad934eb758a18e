// Generator makes the content of log entries: a pure function of (seed, profile, term, index).
//
// An entry that was lost and is written again under a higher term differs from the lost one. The first
// preload_entries() indexes hold bulk puts that bring the state to its working size (at least 20,000 live
// keys, 500 in "small"), whatever the term; from there on the number of live keys and their bytes stay within
// the profile's bounds for ever. After the preload 1 index in 64 is an empty Transaction, a Raft no-op.
// mvcc_compact is always alone in its transaction. A seed means the same in every build: generator_test.cc
// pins hashes of the content. Thread-safe: const and without state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/rng.h"
#include "workloads/transaction.h"

namespace chaosgate::workloads {

struct Profile;  // workloads/profile.h

struct ProfileInfo {
  std::string_view name;
  std::string_view summary;  // one line
};

// "mixed" (the default), "kubernetes", "churn", "bigvalue", "txn", "small", "rollover".
const std::vector<ProfileInfo>& profiles();

class Generator {
 public:
  // Throws UsageError when there is no such profile.
  Generator(std::string_view profile, std::uint64_t seed);

  // The indexes 1 to preload_entries() are the preload.
  std::uint64_t preload_entries() const;
  Transaction transaction(std::uint64_t term, std::uint64_t index) const;
  // transaction(), encoded. The entry's type is entry_type(payload).
  std::string payload(std::uint64_t term, std::uint64_t index) const;

 private:
  const Profile* profile_;  // static
  Rng root_;
  Rng preload_;
  std::uint64_t salt_;  // shapes the keys of this seed
};

}  // namespace chaosgate::workloads
