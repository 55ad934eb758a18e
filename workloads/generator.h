// Generator makes the content of log entries: a pure function of (seed, profile, term, index).
//
// An entry that was lost and is written again under a higher term differs from the lost one. The first
// preload_entries() indexes hold bulk puts that bring the state to its working size (at least 20,000 live
// keys), whatever the term. Thread-safe: const and without state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/rng.h"
#include "workloads/transaction.h"

namespace chaosgate::workloads {

struct ProfileInfo {
  std::string_view name;
  std::string_view summary;  // one line
};

// "mixed" (the default), "kubernetes", "churn", "bigvalue", "txn".
const std::vector<ProfileInfo>& profiles();

class Generator {
 public:
  // Throws UsageError when there is no such profile.
  Generator(std::string_view profile, std::uint64_t seed);

  std::uint64_t preload_entries() const;
  Transaction transaction(std::uint64_t term, std::uint64_t index) const;
  // transaction(), encoded.
  std::string payload(std::uint64_t term, std::uint64_t index) const;

 private:
  using Draw = void (*)(Rng& rng, Transaction* transaction);

  Draw draw_ = nullptr;
  Draw preload_ = nullptr;
  Rng root_;
};

}  // namespace chaosgate::workloads
