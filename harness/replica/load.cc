#include "harness/replica/load.h"

#include <algorithm>

#include "harness/base/rng.h"
#include "harness/replica/chores.h"

namespace chaosgate::replica {

Status run_load(Replica& replica, const workloads::Generator& generator, const wire::WorkerOrder& order,
                wire::FlightRecorder& recorder) {
  const wire::Schedule& schedule = order.schedule;
  Rng groups = Rng(order.seed).fork("groups").fork(order.term);
  Chores chores(order, replica);
  std::uint64_t index = replica.log().last_index();
  std::uint64_t applied = index;
  std::uint64_t proposed = 0;
  while (proposed < schedule.entries_max) {
    const std::uint64_t count = groups.between(1, schedule.sync_group_max);
    std::uint64_t operations = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const workloads::Transaction transaction = generator.transaction(order.term, ++index);
      operations += transaction.size();
      RETURN_IF_ERROR(replica.append(index, transaction));
    }
    proposed += count;
    recorder.entries.store(proposed, std::memory_order_relaxed);
    RETURN_IF_ERROR(replica.sync());
    recorder.operations.fetch_add(operations, std::memory_order_relaxed);
    // Now and then some acknowledged entries stay unapplied until the next round.
    const std::size_t left_behind = groups.chance(1, 4) ? groups.below(replica.pending() + 1) : 0;
    while (replica.pending() > left_behind) {
      const std::size_t room = replica.pending() - left_behind;
      const std::size_t size = std::min<std::size_t>(room, groups.between(1, schedule.apply_group_max));
      RETURN_IF_ERROR(replica.apply_pending(size));
      RETURN_IF_ERROR(chores.run(applied, applied + size, proposed));
      applied += size;
    }
  }
  return {};
}

Status preload(Replica& replica, const workloads::Generator& generator, const wire::WorkerOrder& order) {
  constexpr std::uint64_t kGroup = 20;
  for (std::uint64_t index = 1; index <= generator.preload_entries(); ++index) {
    RETURN_IF_ERROR(replica.append(index, generator.transaction(order.term, index)));
    if (index % kGroup == 0 || index == generator.preload_entries()) {
      RETURN_IF_ERROR(replica.sync());
      RETURN_IF_ERROR(replica.apply_pending(replica.pending()));
    }
  }
  RETURN_IF_ERROR(replica.flush());
  return replica.truncate_prefix();
}

}  // namespace chaosgate::replica
