#include "harness/replica/load.h"

#include <algorithm>

#include "harness/base/rng.h"

namespace chaosgate::replica {
namespace {

using wire::Chore;

// Which chores are due after an entry was applied. Drawn per entry, so there is no state to lose in a crash.
class Chores {
 public:
  Chores(const wire::WorkerOrder& order, Replica& replica)
      : schedule_(order.schedule),
        replica_(replica),
        stream_(Rng(order.seed).fork("chores").fork(order.term)),
        next_forced_(order.schedule.forced_every) {}

  // Looks at the entries (from, to], which were just applied; `proposed` counts the entries of this load.
  Status run(std::uint64_t from, std::uint64_t to, std::uint64_t proposed) {
    bool flush = false;
    bool compact = false;
    bool checkpoint = false;
    bool truncate = false;
    for (std::uint64_t index = from + 1; index <= to; ++index) {
      Rng draw = stream_.fork(index);
      flush = flush || draw.chance(1, schedule_.flush_one_in);
      truncate = truncate || draw.chance(1, schedule_.truncate_one_in);
      compact = compact || draw.chance(1, schedule_.compact_one_in);
      checkpoint = checkpoint || draw.chance(1, schedule_.checkpoint_one_in);
    }
    if (schedule_.forced != Chore::none && proposed >= next_forced_) {
      next_forced_ = proposed + schedule_.forced_every;
      flush = flush || schedule_.forced == Chore::flush;
      truncate = truncate || schedule_.forced == Chore::truncate;
      compact = compact || schedule_.forced == Chore::compact;
      checkpoint = checkpoint || schedule_.forced == Chore::checkpoint;
    }
    // Before the flush: what was applied since the last one is not durable, and must not be dropped from the
    // log.
    if (truncate) {
      RETURN_IF_ERROR(replica_.truncate_prefix());
    }
    if (flush) {
      RETURN_IF_ERROR(replica_.flush());
    }
    if (compact) {
      RETURN_IF_ERROR(replica_.compact());
    }
    if (checkpoint) {
      RETURN_IF_ERROR(replica_.checkpoint());
    }
    return {};
  }

 private:
  const wire::Schedule& schedule_;
  Replica& replica_;
  Rng stream_;
  std::uint64_t next_forced_;  // proposed entries at which the forced chore is due
};

}  // namespace

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
