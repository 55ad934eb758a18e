#include "harness/crash/load_plan.h"

#include <array>
#include <cerrno>

namespace chaosgate::crash {
namespace {

constexpr std::uint32_t kSeldomOneIn = 1 << 20;  // in no load

// Most loads are short, and the few calls of each are explored well. A log that no flush empties for long has
// whole records behind any torn one, and what goes wrong at every n-th flush of a process needs many.
enum class Shape : std::uint8_t { brief, without_flush, many_flushes };

Shape draw_shape(const Rng& stream) {
  constexpr std::array kShapes = {Shape::brief, Shape::without_flush, Shape::many_flushes};
  return kShapes.at(stream.fork("shape").weighted({4, 1, 1}));
}

// At a storage call that most loads come to; the others end by themselves. Both are fine. Half of them die
// right after a write to the log: the recovery then finds a tail that is in the page cache only. Of the
// others some die right after a rename: it then finds a name that is there only.
tap::StorageFault draw_death(const Rng& stream, std::uint64_t longer) {
  tap::StorageFault fault;
  Rng death = stream.fork("death");
  if (death.chance(1, 2)) {
    fault.action = tap::FaultAction::kill_after;
    fault.site.file_class = "segment";
    fault.site.call = tap::StorageCall::write;
    fault.site.occurrence = death.between(2, 12 * longer);
  } else if (Rng young = stream.fork("young-name"); young.chance(1, 3)) {
    fault.action = tap::FaultAction::kill_after;
    fault.site.call = tap::StorageCall::rename;
    fault.site.occurrence = young.between(1, 6 * longer);
  } else {
    fault.action = tap::FaultAction::kill_before;
    fault.site.occurrence = death.between(20, 400 * longer);
  }
  return fault;
}

wire::Schedule draw_schedule(const Rng& stream, Shape shape, bool free_running, std::uint64_t longer) {
  wire::Schedule schedule;
  Rng rates = stream.fork("rates");
  schedule.sync_group_max = static_cast<std::uint32_t>(rates.log_between(2, 24));
  schedule.apply_group_max = static_cast<std::uint32_t>(rates.log_between(1, 12));
  // What a flush promises right after an engine's own thread began something is worth a look.
  schedule.flush_one_in =
      static_cast<std::uint32_t>(free_running ? rates.log_between(1, 40) : rates.between(8, 40));
  schedule.truncate_one_in = static_cast<std::uint32_t>(rates.between(8, 40));
  schedule.compact_one_in = static_cast<std::uint32_t>(rates.between(15, 90));
  if (shape == Shape::without_flush) {
    schedule.flush_one_in = schedule.compact_one_in = kSeldomOneIn;
  } else if (shape == Shape::many_flushes) {
    schedule.flush_one_in = static_cast<std::uint32_t>(stream.fork("flushes").between(4, 12));
  }
  schedule.checkpoint_one_in = static_cast<std::uint32_t>(rates.between(60, 240));
  schedule.entries_max = static_cast<std::uint32_t>(rates.between(20, 80 * longer));
  return schedule;
}

}  // namespace

Rng power_stream(std::uint64_t seed, std::uint64_t lane, std::string_view workload) {
  return Rng(seed).fork("power").fork(lane).fork(workload);
}

CyclePlan plan_load(const PlanOptions& options, std::uint64_t seed, std::uint64_t lane,
                    std::string_view workload, std::uint64_t load) {
  const Rng stream = power_stream(seed, lane, workload).fork("plan").fork(load);
  CyclePlan plan;
  plan.lane = lane;
  plan.cycle = load;
  plan.kind = CrashKind::call;
  const Shape shape = draw_shape(stream);
  // Most loads: what goes wrong without an error shows in the others, and without I/O errors.
  const bool fails = options.io && (options.io_one_in == 1 || stream.fork("io").chance(7, 8));
  const std::uint64_t longer = shape != Shape::brief ? 6 : fails ? 3 : 1;  // it is to live until its error
  plan.call = draw_death(stream, longer);
  plan.free_running = !options.scheduled || (options.free_running && stream.fork("mode").chance(1, 4));
  plan.stock_tuning = stream.fork("tuning").chance(1, 8);
  plan.border_sizes = stream.fork("border-sizes").chance(1, 4);
  plan.schedule = draw_schedule(stream, shape, plan.free_running, longer);
  plan.flush_after_replay = stream.fork("flush").chance(1, 2);
  if (fails) {
    plan.error = draw_error(stream.fork("error"), kErrorCallsMax);
    if (plan.error->action == tap::FaultAction::lost_sync) {
      // What becomes of its pages is for disk::Order to say: in the cache, where this load and the recovery
      // after its kill find them, they are whole.
      plan.error->action = tap::FaultAction::error;
      plan.error->site.call = tap::StorageCall::datasync;
      plan.error->error = EIO;
    }
  }
  return plan;
}

}  // namespace chaosgate::crash
