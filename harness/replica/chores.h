// Chores says which flushes, truncations, compactions and checkpoints are due after entries were applied, and
// does them.
//
// Drawn per entry from (seed, term, index), so there is no state to lose in a crash. One thread.
#pragma once

#include <cstdint>

#include "harness/base/rng.h"
#include "harness/base/status.h"
#include "harness/replica/replica.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

class Chores {
 public:
  // Both must outlive this.
  Chores(const wire::WorkerOrder& order, Replica& replica);

  // Looks at the entries (from, to], which were just applied; `proposed` counts the entries of this load.
  Status run(std::uint64_t from, std::uint64_t to, std::uint64_t proposed);

 private:
  const wire::Schedule& schedule_;
  Replica& replica_;
  Rng stream_;
  std::uint64_t next_forced_;  // proposed entries at which the forced chore is due
};

}  // namespace chaosgate::replica
