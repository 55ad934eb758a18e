#include "harness/replica/floor.h"

#include "harness/base/json.h"
#include "harness/replica/load.h"
#include "harness/replica/replica.h"
#include "workloads/generator.h"

namespace chaosgate::replica {
namespace {

Status open(Replica& replica) {
  RETURN_IF_ERROR(replica.open_log());
  return replica.open_engine();
}

// Reads every key and value, as a check would.
Status scan(engines::Engine& engine, std::uint64_t* bytes) {
  for (std::size_t i = 0; i < workloads::kKeyspaceCount; ++i) {
    const auto iterator = engine.iterator(static_cast<engines::KeyspaceId>(i));
    for (iterator->seek_to_first(); iterator->valid(); iterator->next()) {
      *bytes += iterator->key().size() + iterator->value().size();
    }
    RETURN_IF_ERROR(iterator->status());
  }
  return {};
}

}  // namespace

Status measure_floor(const wire::WorkerOrder& order, StepSink& steps, wire::FlightRecorder& recorder,
                     std::string* times) {
  const workloads::Generator generator(order.workload, order.seed);
  wire::WorkerOrder cycle = order;
  cycle.schedule.entries_max = order.floor_entries;
  std::uint64_t open_ns = 0, load_ns = 0, close_ns = 0, reopen_ns = 0, replay_ns = 0, scan_ns = 0, bytes = 0;
  // Runs `body` and adds its time.
  const auto timed = [](std::uint64_t* total_ns, auto&& body) -> Status {
    const std::uint64_t begin = wire::monotonic_ns();
    RETURN_IF_ERROR(body());
    *total_ns += wire::monotonic_ns() - begin;
    return {};
  };
  {
    Replica replica(cycle, steps, recorder);
    RETURN_IF_ERROR(replica.create());
    RETURN_IF_ERROR(preload(replica, generator, cycle));
  }
  for (std::uint32_t i = 0; i < order.floor_cycles; ++i) {
    ++cycle.term;
    auto loading = std::make_unique<Replica>(cycle, steps, recorder);
    RETURN_IF_ERROR(timed(&open_ns, [&] { return open(*loading); }));
    RETURN_IF_ERROR(loading->replay());
    RETURN_IF_ERROR(timed(&load_ns, [&] { return run_load(*loading, generator, cycle, recorder); }));
    RETURN_IF_ERROR(timed(&close_ns, [&]() -> Status {
      loading.reset();
      return {};
    }));
    Replica checking(cycle, steps, recorder);
    RETURN_IF_ERROR(timed(&reopen_ns, [&] { return open(checking); }));
    RETURN_IF_ERROR(timed(&replay_ns, [&] { return checking.replay(); }));
    RETURN_IF_ERROR(timed(&scan_ns, [&] { return scan(checking.engine(), &bytes); }));
  }
  *times =
      nlohmann::json{{"open", open_ns / 1000},     {"load", load_ns / 1000},     {"close", close_ns / 1000},
                     {"reopen", reopen_ns / 1000}, {"replay", replay_ns / 1000}, {"scan", scan_ns / 1000},
                     {"scanned_bytes", bytes}}
          .dump();
  return {};
}

}  // namespace chaosgate::replica
