#include "harness/replica/chores.h"

namespace chaosgate::replica {

using wire::Chore;

Chores::Chores(const wire::WorkerOrder& order, Replica& replica)
    : schedule_(order.schedule),
      replica_(replica),
      stream_(Rng(order.seed).fork("chores").fork(order.term)),
      next_forced_(order.schedule.forced_every) {}

Status Chores::run(std::uint64_t from, std::uint64_t to, std::uint64_t proposed) {
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

}  // namespace chaosgate::replica
