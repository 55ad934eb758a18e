// The part of a campaign that judges disk images from power cuts: lanes side by side, one engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/campaign/campaign.h"
#include "harness/campaign/power.h"
#include "harness/report/journal.h"
#include "harness/report/power_tally.h"

namespace chaosgate::campaign {

// Takes what an explorer finds and counts into the journal, as of one lane. One thread.
class PowerReporter {
 public:
  // `invocation`, `journal` and `images` must outlive this, this the explorer's work. `lane` numbers the
  // events; `images` counts those of the engine, of all lanes.
  PowerReporter(const Invocation& invocation, report::Journal& journal, PowerExplorer& explorer,
                std::string engine, std::uint64_t lane, std::atomic<std::uint64_t>& images);

  // Writes the bundle of a failure, called `id`, below output.directory, says so in the log, completes the
  // finding, and writes it to the journal, without its bundle if that cannot be written.
  void failed(const PowerFailure& failure, const std::string& id, const std::string& where,
              CampaignOutput& output, report::PowerFinding* finding);
  // An image like one before, or one whose cause is being looked for.
  void failed_again(const std::string& where, report::PowerFinding finding);
  void failing(const std::string& where, report::PowerFinding finding);
  // Called after each image: now and then it writes what was counted.
  void judged();
  // Writes what was counted since the last time.
  void write_counts();

 private:
  // How many images of the engine were judged by now.
  std::uint64_t count();

  const Invocation& invocation_;
  report::Journal& journal_;
  PowerExplorer& explorer_;
  const std::string engine_;
  const std::uint64_t lane_;
  std::atomic<std::uint64_t>& images_;
  std::uint64_t counted_ = 0;  // of the explorer's images
  report::PowerTally written_;
};

// What one lane of a campaign does with one workload.
struct PowerWork {
  PowerOptions options;      // without its directory
  std::uint64_t images = 0;  // at most so many
  std::uint64_t loads = 0;   // the same; 0: as many as it takes
};
// What lane `lane` does, one after the other. Its loads are numbered through, from 0.
std::vector<PowerWork> power_works(const CampaignConfig& config, const wire::EngineDescription& engine,
                                   std::uint64_t lane);
// Of one load, at most.
std::uint64_t images_per_load(const CampaignConfig& config);
// How many lanes there are: none without an image to judge.
std::uint64_t power_lanes(const CampaignConfig& config);

// The command that runs one load of the campaign again, and judges it. What findings cite as "lane 1 load 3".
CommandLine load_command(const CampaignConfig& config, const wire::EngineDescription& engine,
                         std::uint64_t lane, std::uint64_t load);

// Why images that broke nothing prove too little; `io`: loads were to have I/O errors.
std::vector<std::string> power_weaknesses(const report::PowerTally& tally, bool io);

// Works in `work`, which exists; bundles go to output.directory. What its engine's part ended with, as far as
// it is of power cuts. It ends after config.failures_max broken promises: those of images count once for each
// cause, those that a kill alone broke once for each load. Lanes that look into a failure by then end that
// first. Throws what a lane throws.
report::EngineEnd run_power(const CampaignConfig& config, const wire::EngineDescription& engine,
                            const std::filesystem::path& work, StopSignal& stop, CampaignOutput& output,
                            report::Journal& journal);

}  // namespace chaosgate::campaign
