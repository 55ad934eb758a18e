// bench measures what a cycle of the gate costs, phase by phase, and its ratio to the floor: the same work
// (open, load, close, open, replay, scan) in one process without the harness.
//
// Machines differ and are noisy; the ratio, taken in one run, holds better than any time in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/power_tally.h"

namespace chaosgate::campaign {

struct BenchResult {
  std::string engine;
  std::string protocol;
  std::uint64_t cycles = 0;
  double entries_per_cycle = 0;
  double live_keys = 0;
  // Milliseconds per cycle by phase, in the order of a cycle.
  std::vector<std::pair<std::string, double>> phases;
  double load_ms_per_1000_operations = 0;
  double tapped_load_ms_per_1000_operations = 0;  // every storage call through the tap; 0 where it cannot be
  // Every storage call handed to the driver and let through unseen: what no tap of this kind can be without.
  double handed_over_load_ms_per_1000_operations = 0;
  report::PowerTally power;  // of one lane; nothing judged where storage calls cannot be seen
  double cycle_ms = 0;
  double floor_ms = 0;  // per cycle of the floor
  std::vector<std::pair<std::string, double>> floor_phases;
  double first_tenth_ms = 0;               // cycle time at the beginning ...
  double last_tenth_ms = 0;                // ... and at the end, to see whether it stays flat
  std::uint64_t driver_rss_first_kib = 0;  // driver memory at the beginning and at the end
  std::uint64_t driver_rss_last_kib = 0;

  // What the tap costs: at most 1.3 is the aim.
  double tap_ratio() const { return to_load(tapped_load_ms_per_1000_operations); }
  double hand_over_ratio() const { return to_load(handed_over_load_ms_per_1000_operations); }
  double to_load(double ms) const {
    return load_ms_per_1000_operations > 0 ? ms / load_ms_per_1000_operations : 0;
  }
  double ratio() const { return floor_ms > 0 ? cycle_ms / floor_ms : 0; }
};

// One lane in `directory`, which exists. Timers and steps as planned, scheduled maintenance, no crash in
// recovery. In turn with it two others run the same cycles, one with all workers tapped, one with their calls
// handed over only. Then one lane judges so many disk images from power cuts.
BenchResult run_bench(const CampaignConfig& config, const wire::EngineDescription& engine,
                      wire::Protocol protocol, std::uint64_t cycles, std::uint64_t images,
                      const std::filesystem::path& directory, StopSignal& stop);

}  // namespace chaosgate::campaign
