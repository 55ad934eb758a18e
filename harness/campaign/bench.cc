#include "harness/campaign/bench.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/base/usage.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/power.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

double mean_ms(const std::vector<std::uint64_t>& values_us, std::size_t first, std::size_t count) {
  double sum = 0;
  for (std::size_t i = first; i < first + count; ++i) {
    sum += static_cast<double>(values_us[i]);
  }
  return count == 0 ? 0 : sum / static_cast<double>(count) / 1000;
}

// Throws when there was no end to measure.
report::CycleEvent run_fine_cycle(Lane& lane, const StopSignal& stop) {
  report::CycleEvent event = lane.run_cycle(false);
  if (stop.requested() || lane.evidence()) {
    throw EnvironmentError("the bench was stopped, or found a failure that 'chaosgate run' would report");
  }
  return event;
}

// A lane beside the one that is measured, and what its loads cost.
struct Beside {
  std::optional<Lane> lane;
  const StopSignal* stop = nullptr;
  std::uint64_t load_us = 0;
  std::uint64_t operations = 0;

  void begin(const LaneOptions& options, StopSignal* stopping) {
    stop = stopping;
    lane.emplace(options, stopping);
    run_fine_cycle(*lane, *stop);  // creates and preloads; not measured
  }
  void run_cycle() {
    if (lane) {
      const report::CycleEvent event = run_fine_cycle(*lane, *stop);
      load_us += event.timings.load;
      operations += event.crash.operations;
    }
  }
};

nlohmann::json measure_floor(const CampaignConfig& config, const wire::EngineDescription& engine,
                             wire::Protocol protocol, std::uint64_t cycles, std::uint64_t entries,
                             const fs::path& directory, StopSignal& stop) {
  fs::create_directory(directory);
  WorkerParent parent(config.worker, {}, directory / "worker.output", &stop);
  wire::WorkerOrder order;
  order.directory = (directory / "data").string();
  fs::create_directory(order.directory);
  order.plugin = engine.plugin;
  order.engine = engine.name;
  order.workload = config.key.workload;
  order.seed = config.key.seed;
  order.protocol = protocol;
  order.segment_bytes = config.key.segment_bytes;
  order.term = 1;
  order.floor_cycles = static_cast<std::uint32_t>(cycles);
  order.floor_entries = static_cast<std::uint32_t>(std::max<std::uint64_t>(entries, 1));
  parent.start(order);
  constexpr std::uint64_t kBoundMs = 3'600'000;
  for (wire::AwakeBound bound(kBoundMs);;) {
    const WorkerParent::Event event = parent.wait(&bound);
    if (event == WorkerParent::Event::death) {
      break;
    }
    if (event != WorkerParent::Event::notice) {
      throw EnvironmentError("the floor was not measured: stopped");
    }
  }
  const Exit exit = parent.reap();
  if (!exit.clean()) {
    throw EnvironmentError("the floor was not measured: " + exit.describe() + ", " +
                           parent.recorder().said());
  }
  return parse_json(parent.recorder().said());
}

}  // namespace

BenchResult run_bench(const CampaignConfig& config, const wire::EngineDescription& engine,
                      wire::Protocol protocol, std::uint64_t cycles, std::uint64_t images,
                      const fs::path& directory, StopSignal& stop) {
  BenchResult result;
  result.engine = engine.name;
  result.protocol = wire::to_string(protocol);
  LaneOptions options{lane_target(config, engine, protocol)};
  options.key.plan.call = options.key.plan.io = false;
  options.key.plan.recrash = false;
  options.key.plan.free_running = false;
  options.directory = directory / "lane";
  report::Timings sum;
  std::vector<std::uint64_t> totals;
  std::uint64_t entries = 0;
  std::uint64_t operations = 0;
  std::uint64_t live_keys = 0;
  bool tappable = false;
  Beside tapped;
  Beside handed_over;
  {
    Lane lane(options, &stop);
    run_fine_cycle(lane, stop);  // creates and preloads; not measured
    tappable = lane.hello().tap_unavailable.empty();
    if (tappable) {
      options.watch = true;
      options.directory = directory / "tapped";
      tapped.begin(options, &stop);
      options.hand_over_only = true;
      options.directory = directory / "handed-over";
      handed_over.begin(options, &stop);
    }
    result.driver_rss_first_kib = resident_kib();
    const auto run_plain = [&] {
      const report::CycleEvent event = run_fine_cycle(lane, stop);
      totals.push_back(event.timings.total);
      entries += event.crash.entries;
      operations += event.crash.operations;
      live_keys += event.live_keys;
      const report::Timings& t = event.timings;
      sum.start += t.start;
      sum.open += t.open;
      sum.dump_before += t.dump_before;
      sum.replay += t.replay;
      sum.dump_after += t.dump_after;
      sum.checks += t.checks;
      sum.compare += t.compare;
      sum.load += t.load;
      sum.kill += t.kill;
      sum.mirror += t.mirror;
      sum.total += t.total;
    };
    // Each lane follows each other one equally often: what one leaves for the disk to do, the next one pays.
    const std::array<std::function<void()>, 3> lanes = {run_plain, [&] { tapped.run_cycle(); },
                                                        [&] { handed_over.run_cycle(); }};
    for (std::uint64_t cycle = 0; cycle < cycles; ++cycle) {
      const std::size_t step = cycle % 2 == 0 ? 1 : 2;
      for (std::size_t i = 0, at = 0; i < lanes.size(); ++i, at += step) {
        lanes.at(at % lanes.size())();
      }
    }
    result.driver_rss_last_kib = resident_kib();
    tapped.lane.reset();
    handed_over.lane.reset();
  }
  const double count = static_cast<double>(std::max<std::uint64_t>(cycles, 1));
  const auto per_cycle = [&](std::uint64_t us) { return static_cast<double>(us) / 1000 / count; };
  result.cycles = cycles;
  result.entries_per_cycle = static_cast<double>(entries) / count;
  result.live_keys = static_cast<double>(live_keys) / count;
  result.phases = {{"load", per_cycle(sum.load)},
                   {"kill and reap", per_cycle(sum.kill)},
                   {"keep the image", per_cycle(sum.mirror)},
                   {"start a worker", per_cycle(sum.start)},
                   {"open log and engine", per_cycle(sum.open)},
                   {"dump before replay", per_cycle(sum.dump_before)},
                   {"replay", per_cycle(sum.replay)},
                   {"dump after replay", per_cycle(sum.dump_after)},
                   {"reads and probe", per_cycle(sum.checks)},
                   {"compare (overlaps)", per_cycle(sum.compare)}};
  // Microseconds an operation are milliseconds a thousand.
  const auto per_operation = [](std::uint64_t us, std::uint64_t count_of_them) {
    return count_of_them == 0 ? 0 : static_cast<double>(us) / static_cast<double>(count_of_them);
  };
  result.load_ms_per_1000_operations = per_operation(sum.load, operations);
  result.tapped_load_ms_per_1000_operations = per_operation(tapped.load_us, tapped.operations);
  result.handed_over_load_ms_per_1000_operations = per_operation(handed_over.load_us, handed_over.operations);
  result.cycle_ms = per_cycle(sum.total);
  const std::size_t tenth = std::max<std::size_t>(totals.size() / 10, 1);
  result.first_tenth_ms = mean_ms(totals, 0, tenth);
  result.last_tenth_ms = mean_ms(totals, totals.size() - tenth, tenth);
  if (tappable && images > 0) {
    PowerOptions power{lane_target(config, engine, protocol)};
    power.key.workload = config.power_workloads.front();
    power.profile = config.profile;
    power.directory = directory / "power";
    const std::uint64_t begin = wire::monotonic_ns();
    PowerLane lane(power, &stop);
    while (lane.tally().judged < images && lane.run_load(images - lane.tally().judged)) {
    }
    result.power = lane.tally();
    result.power.seconds = static_cast<double>(wire::monotonic_ns() - begin) / 1e9;
  }
  const nlohmann::json floor =
      measure_floor(config, engine, protocol, cycles, entries / cycles, directory / "floor", stop);
  for (const char* phase : {"open", "load", "close", "reopen", "replay", "scan"}) {
    const double ms = per_cycle(floor.at(phase).get<std::uint64_t>());
    result.floor_phases.emplace_back(phase, ms);
    result.floor_ms += ms;
  }
  return result;
}

}  // namespace chaosgate::campaign
