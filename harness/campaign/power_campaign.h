// The part of a campaign that judges disk images from power cuts: lanes side by side, one engine.
#pragma once

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
  // `invocation` and `journal` must outlive this, this the explorer's work. `lane` numbers the events.
  PowerReporter(const Invocation& invocation, report::Journal& journal, PowerExplorer& explorer,
                std::string engine, std::uint64_t lane);

  // Writes the bundle of a failure, called `id`, below output.directory, says so in the log, completes the
  // finding, and writes it to the journal, without its bundle if that cannot be written.
  void failed(const PowerFailure& failure, const std::string& id, const std::string& where,
              CampaignOutput& output, report::PowerFinding* finding);
  // An image like one before, or one whose cause is being looked for.
  void failed_again(const std::string& where, const report::PowerFinding& finding);
  void failing(const std::string& where, const report::PowerFinding& finding);
  // Called after each image: now and then it writes what was counted.
  void judged();
  // Writes what was counted since the last time.
  void write_counts();

 private:
  const Invocation& invocation_;
  report::Journal& journal_;
  PowerExplorer& explorer_;
  const std::string engine_;
  const std::uint64_t lane_;
  report::PowerTally written_;
};

// Why images that broke nothing prove too little; `io`: loads were to have I/O errors.
std::vector<std::string> power_weaknesses(const report::PowerTally& tally, bool io);

// Works in `work`, which exists; bundles go to output.directory. What its engine's part ended with, as far as
// it is of power cuts. Throws what a lane throws.
report::EngineEnd run_power(const CampaignConfig& config, const wire::EngineDescription& engine,
                            const std::filesystem::path& work, StopSignal& stop, CampaignOutput& output,
                            report::Journal& journal);

}  // namespace chaosgate::campaign
