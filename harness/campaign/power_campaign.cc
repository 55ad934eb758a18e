#include "harness/campaign/power_campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <mutex>

#include "harness/base/file.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/threads.h"
#include "harness/report/facts.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kImagesForStrength = 300;
// A call that comes seldom has its images beside it skipped as alike.
constexpr std::uint64_t kCallsForStrength = 40;
// Every other load is to have an error, and some end before theirs.
constexpr std::uint64_t kLoadsForStrength = 20;

class PowerRun {
 public:
  PowerRun(const CampaignConfig& config, const wire::EngineDescription& engine, const fs::path& work,
           StopSignal& stop, CampaignOutput& output)
      : config_(config), engine_(engine), work_(work), stop_(stop), output_(output) {}

  PowerResult run() {
    const auto begin = std::chrono::steady_clock::now();
    const std::uint64_t lanes = std::min<std::uint64_t>(config_.lanes, config_.images);
    of_lanes_.resize(lanes);
    const auto run_one = [this, lanes](std::uint64_t lane) {
      try {
        run_lane(lane, share(config_.images, lane, lanes), share(config_.loads_max, lane, lanes));
      } catch (...) {
        const std::lock_guard lock(mutex_);
        error_ = error_ ? error_ : std::current_exception();
        ended_ = true;
      }
    };
    run_threads(lanes, run_one, [this] {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    });
    if (error_) {
      std::rethrow_exception(error_);
    }
    for (LaneResult& of_lane : of_lanes_) {  // in their order, whichever ended first
      if (!of_lane.tally.profile.empty()) {  // it had something to do
        result_.tally.add(of_lane.tally);
      }
      std::move(of_lane.violations.begin(), of_lane.violations.end(), std::back_inserter(result_.violations));
    }
    report::PowerTally& tally = result_.tally;
    tally.wanted = config_.images;
    tally.threads = static_cast<std::uint32_t>(lanes);
    tally.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!stop_.requested() && tally.judged < tally.wanted) {
      tally.exhausted = config_.loads_max > 0;
      if (tally.exhausted) {
        output_.log(fmt::format("{}: {} images were asked for; there are {}, from {}", engine_.name,
                                tally.wanted, tally.judged, report::plural(tally.loads, "load")));
      } else if (result_.violations.empty()) {
        result_.inconclusive.push_back(
            fmt::format("{} of {} disk images were judged", tally.judged, tally.wanted));
      }
    }
    if (result_.violations.empty()) {
      const std::vector<std::string> why = power_weaknesses(tally, config_.key.plan.io);
      result_.inconclusive.insert(result_.inconclusive.end(), why.begin(), why.end());
    }
    return std::move(result_);
  }

 private:
  struct LaneResult {
    report::PowerTally tally;
    std::vector<WhereAndWhat> violations;
    std::uint64_t kept = 0;  // bundles
  };

  // An error happens once in a load, so many loads are worth more than many images of one.
  static constexpr std::uint64_t kImagesPerLoadWithErrors = 80;

  // `loads`: at most so many; 0: as many as it takes.
  void run_lane(std::uint64_t number, std::uint64_t images, std::uint64_t loads) {
    const std::vector<std::string>& workloads = config_.power_workloads;
    std::uint64_t load = 0;
    bool more = true;
    for (std::size_t i = 0; i < workloads.size() && more; ++i) {
      const std::uint64_t loads_of_it = share(loads, i, workloads.size());
      if (config_.loads_max == 0 || loads_of_it > 0) {
        more = run_workload(number, workloads[i], share(images, i, workloads.size()), loads_of_it, &load);
      }
    }
    const std::lock_guard lock(mutex_);
    ended_ = ended_ || !more;
  }

  // `load`: how many the lane has recorded. False when there is nothing to go on with.
  bool run_workload(std::uint64_t number, const std::string& workload, std::uint64_t images,
                    std::uint64_t loads, std::uint64_t* load) {
    PowerOptions options{lane_target(config_, engine_, lane_protocol(config_.protocol, number), number)};
    options.key.workload = workload;
    options.profile = config_.profile;
    if (config_.loads_max > 0) {
      options.images_per_load = UINT64_MAX;
    } else if (config_.key.plan.io) {
      options.images_per_load = kImagesPerLoadWithErrors;
    }
    options.directory = work_ / fmt::format("power-{}", number);
    PowerLane lane(options, &stop_);
    lane.explorer().on_failure = [&](const PowerFailure& failure, report::PowerFinding* finding) {
      keep(lane.explorer(), failure, number, *load, finding);
    };
    lane.explorer().on_image = [&] {
      const std::lock_guard lock(mutex_);
      ++judged_;
      if (output_.progress != nullptr) {
        output_.progress->update({engine_.name + " power cuts", judged_, config_.images, violations_});
      }
    };
    const std::uint64_t first = *load;
    bool more = true;
    for (; more && (loads == 0 || *load - first < loads) && lane.tally().judged < images && !ended();
         ++*load) {
      more = lane.run_load(images - lane.tally().judged);
    }
    const std::lock_guard lock(mutex_);
    LaneResult& mine = of_lanes_[number];
    if (lane.broken_by_kill()) {
      const report::CycleEvent& event = *lane.broken_by_kill();
      const std::string where = event.crash.kind.empty()
                                    ? fmt::format("lane {}, before any kill or power cut", number)
                                    : fmt::format("lane {} load {}, after a kill", number, *load);
      for (const report::ViolationEvent& violation : event.violations) {
        mine.violations.emplace_back(where, violation);
      }
      if (event.violations.empty()) {
        const report::Death& death = event.last_death();
        mine.violations.emplace_back(
            where, report::ViolationEvent{"abnormal death", death.detail, death.detail + "\n", "", ""});
      }
    }
    mine.tally.add(lane.tally());
    return more;
  }

  bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_ || stop_.requested();
  }

  void keep(const PowerExplorer& explorer, const PowerFailure& failure, std::uint64_t number,
            std::uint64_t load, report::PowerFinding* finding) {
    const std::lock_guard lock(mutex_);
    LaneResult& mine = of_lanes_[number];
    const std::string id = fmt::format("{}-{}-power-lane{}-load{}-{}", engine_.name,
                                       seed_text(config_.key.seed), number, load, mine.kept++);
    if (auto violation = keep_power_failure(explorer, failure, id,
                                            fmt::format("lane {} load {}", number, load), output_, finding)) {
      ++violations_;
      mine.violations.push_back(std::move(*violation));
    }
  }

  const CampaignConfig& config_;
  const wire::EngineDescription& engine_;
  const fs::path& work_;
  StopSignal& stop_;
  CampaignOutput& output_;
  std::mutex mutex_;  // guards what follows
  PowerResult result_;
  std::uint64_t judged_ = 0;
  std::vector<LaneResult> of_lanes_;
  std::uint64_t violations_ = 0;
  bool ended_ = false;
  std::exception_ptr error_;
};

}  // namespace

std::optional<WhereAndWhat> keep_power_failure(const PowerExplorer& explorer, const PowerFailure& failure,
                                               const std::string& id, const std::string& where,
                                               CampaignOutput& output, report::PowerFinding* finding) {
  const fs::path relative = fs::path("failures") / id / "bundle.tar.zst";
  fs::create_directories((output.directory / relative).parent_path());
  write_bundle(explorer.bundle(failure), failure.image, failure.output, output.directory / relative,
               &failure.power);
  finding->bundle = relative.string();
  finding->command = fmt::format("chaosgate replay {}", (output.directory / relative).string());
  output.log(fmt::format("{}: power cut, {}: {}{}: {} (weakest profile {}): {}", failure.event.engine, where,
                         finding->promised ? "" : "not promised: ", finding->invariant, finding->explanation,
                         finding->profile, finding->cause));
  if (!finding->promised) {
    return std::nullopt;
  }
  return WhereAndWhat{fmt::format("power cut, {}, weakest profile {}", where, finding->profile),
                      report::ViolationEvent{finding->invariant, finding->cause + ": " + finding->explanation,
                                             finding->detail, finding->bundle, finding->command}};
}

std::vector<std::string> power_weaknesses(const report::PowerTally& tally, bool io) {
  std::vector<std::string> why;
  if (tally.in_recovery == 0 && tally.judged >= kImagesForStrength) {
    why.emplace_back("no power cut during a recovery was judged");
  }
  if (io && tally.loads_with_errors == 0 && tally.loads >= kLoadsForStrength) {
    why.emplace_back("no load with an I/O error was recorded");
  }
  for (const auto& [kind, coverage] : tally.cuts) {
    if (coverage.seen >= kCallsForStrength && coverage.cut == 0 && tally.judged >= kImagesForStrength) {
      why.push_back(fmt::format("no power cut came right behind a {}", kind));
    }
  }
  return why;
}

PowerResult run_power(const CampaignConfig& config, const wire::EngineDescription& engine,
                      const fs::path& work, StopSignal& stop, CampaignOutput& output) {
  return PowerRun(config, engine, work, stop, output).run();
}

}  // namespace chaosgate::campaign
