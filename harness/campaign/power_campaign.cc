#include "harness/campaign/power_campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/threads.h"
#include "harness/report/facts.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kImagesForStrength = 300;
// A call that comes seldom has its images beside it skipped as alike.
constexpr std::uint64_t kCallsForStrength = 40;
// Most loads are to have an error, and some end before theirs.
constexpr std::uint64_t kLoadsForStrength = 20;
// A campaign that is killed loses what was counted since the last event, and no failure.
constexpr std::uint64_t kImagesPerEvent = 50;

// As findings cite it.
std::string load_text(std::uint64_t lane, std::uint64_t load) {
  return fmt::format("lane {} load {}", lane, load);
}

class PowerRun {
 public:
  PowerRun(const CampaignConfig& config, const wire::EngineDescription& engine, const fs::path& work,
           StopSignal& stop, CampaignOutput& output, report::Journal& journal)
      : config_(config), engine_(engine), work_(work), stop_(stop), output_(output), journal_(journal) {}

  report::EngineEnd run() {
    const auto begin = std::chrono::steady_clock::now();
    const std::uint64_t lanes = power_lanes(config_);
    if (config_.replay_regressions && config_.key.fault.empty()) {
      run_thread([this] { replay_regressions(); });
    }
    run_threads(
        lanes, [this](std::uint64_t lane) { run_lane(lane); }, [this] { end(); });
    report::EngineEnd end;
    end.threads = static_cast<std::uint32_t>(lanes);
    end.images_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    end.exhausted = judge_strength();
    return end;
  }

 private:
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }

  // Whether there were no more images.
  bool judge_strength() {
    const report::EngineSection section = journal_.section(engine_.name);
    const report::PowerTally& tally = *section.power;
    std::vector<std::string> why;
    bool exhausted = false;
    if (!ended() && tally.judged < tally.wanted) {
      exhausted = config_.loads_max > 0;
      if (exhausted) {
        output_.log(fmt::format("{}: {} images were asked for; there are {}, from {}", engine_.name,
                                tally.wanted, tally.judged, report::plural(tally.loads, "load")));
      } else {
        why.push_back(fmt::format("{} of {} disk images were judged", tally.judged, tally.wanted));
      }
    }
    if (section.violation_count == 0) {
      for (const std::string& weakness : power_weaknesses(tally, config_.key.plan.io)) {
        why.push_back(weakness);
      }
      for (const std::string& reason : why) {
        journal_.write(report::DoubtEvent{engine_.name, reason});
      }
    }
    return exhausted;
  }

  struct Work : PowerWork {
    std::uint64_t number = 0;     // of the lane in events and names
    std::uint64_t load_done = 0;  // of the lane, before; in names only
  };

  void run_lane(std::uint64_t number) {
    std::uint64_t done = 0;
    bool more = true;
    for (PowerWork& each : power_works(config_, engine_, number)) {
      if (more && !ended()) {
        done += run_work({std::move(each), number, done}, &more);
      }
    }
  }

  // Returns how many loads it ran. *more: false when the lane has nothing to go on with.
  std::uint64_t run_work(Work work, bool* more) {
    work.options.directory = work_ / fmt::format("power-{}", work.number);
    work.options.keep_images = config_.keep_images;
    PowerLane lane(work.options, &stop_);
    std::uint64_t load = 0;
    const auto where = [&] { return load_text(work.options.lane, work.load_done + load); };
    PowerReporter reporter(config_.invocation, journal_, lane.explorer(), engine_.name, work.number, images_);
    lane.explorer().is_over = [this] { return ended(); };
    lane.explorer().on_failure = [&](const PowerFailure& failure, report::PowerFinding* finding) {
      keep(work, load, where(), failure, reporter, finding);
    };
    lane.explorer().on_failing = [&](const report::PowerFinding& finding) {
      reporter.failing(where(), finding);
    };
    lane.explorer().on_repeat = [&](const report::PowerFinding& finding) {
      reporter.failed_again(where(), finding);
    };
    lane.explorer().on_image = [&] {
      reporter.judged();
      if (output_.progress != nullptr) {
        show_progress();
      }
    };
    for (*more = true;
         *more && (work.loads == 0 || load < work.loads) && lane.tally().judged < work.images && !ended();
         ++load) {
      *more = lane.run_load(work.images - lane.tally().judged);
      reporter.write_counts();
      if (lane.broken_by_kill()) {
        keep_broken(work, load, where(), lane);
        *more = lane.go_on();
      }
    }
    return load;
  }

  void show_progress() {
    const std::lock_guard lock(mutex_);
    show_progress_locked();
  }

  void show_progress_locked() {
    const report::Totals totals = journal_.totals(engine_.name);
    output_.progress->update(
        {engine_.name + " power cuts", totals.images, config_.images, "disk image", totals.violations});
  }

  bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_ || stop_.requested();
  }

  // Of a bundle.
  std::string new_id(const Work& work, std::uint64_t load) {
    return fmt::format("{}-{}-power-lane{}-load{}-{}", engine_.name, seed_text(work.options.key.seed),
                       work.number, work.load_done + load, kept_[work.number]++);
  }

  void keep(const Work& work, std::uint64_t load, const std::string& where, const PowerFailure& failure,
            PowerReporter& reporter, report::PowerFinding* finding) {
    const std::lock_guard lock(mutex_);
    finding->seed_command = load_again(work, load);
    reporter.failed(failure, new_id(work, load), where, output_, finding);
    if (finding->promised) {
      keep_regression(work, load, failure.plan, finding->invariant);
      broken_.add(*finding);
      end_when_enough();
    }
  }

  // The command that runs that load again; "" in a replay of an earlier failure.
  std::string load_again(const Work& work, std::uint64_t load) const {
    return work.number < config_.lanes
               ? load_command(config_, engine_, work.number, work.load_done + load).text()
               : "";
  }

  void keep_regression(const Work& work, std::uint64_t load, const crash::CyclePlan& plan,
                       const std::string& invariant) {
    Regression regression{
        work.options.key, engine_.name, work.options.protocol, work.options.lane, load, plan, invariant};
    regression.power = {disk::to_string(work.options.profile), work.images, work.options.images_per_load};
    append_regression(config_.results, regression);
  }

  // What no power cut has broken.
  void keep_broken(const Work& work, std::uint64_t load, const std::string& of_load, const PowerLane& lane) {
    const std::lock_guard lock(mutex_);
    const report::CycleEvent& event = *lane.broken_by_kill();
    std::vector<report::ViolationEvent> violations = event.violations;
    if (violations.empty()) {
      const std::string& detail = event.last_death().detail;
      violations.push_back({"abnormal death", detail, detail + "\n", "", "", ""});
    }
    const std::string where = of_load + (!event.crash.kind.empty() ? ", after a kill"
                                         : load == 0               ? ", before any kill or power cut"
                                                                   : ", before its kill");
    for (report::ViolationEvent& violation : violations) {
      violation.command = violation.seed_command = load_again(work, load);
    }
    const auto write = [&] {
      for (const report::ViolationEvent& violation : violations) {
        journal_.write(report::FindingEvent{engine_.name, work.number, where, images_, violation});
      }
    };
    if (config_.keep_images) {
      const fs::path file = fs::path("failures") / new_id(work, load) / "bundle.tar.zst";
      try {
        fs::create_directories((output_.directory / file).parent_path());
        write_bundle(lane.bundle(), lane.evidence().image, lane.evidence().output, output_.directory / file);
      } catch (...) {  // what was found outlives a bundle that cannot be written
        write();
        throw;
      }
      for (report::ViolationEvent& violation : violations) {
        violation.bundle = file.string();
        violation.command =
            bundle_command(config_.invocation, output_.directory / file, lane.bundle().recovery.order.plugin);
      }
    }
    write();
    output_.log(fmt::format("{}: {}: {}: {}", engine_.name, where, violations.front().invariant,
                            violations.front().explanation));
    if (output_.progress != nullptr) {
      show_progress_locked();
    }
    keep_regression(work, load, lane.evidence().plan, violations.front().invariant);
    ++broken_by_kill_;
    end_when_enough();
  }

  void end_when_enough() {
    ended_ = ended_ || broken_by_kill_ + broken_.findings.size() >= config_.failures_max;
  }

  // Each runs its lane up to the load with the failure, and the images of that.
  void replay_regressions() {
    const RegressionList list = read_regressions(config_.results, engine_.name, RegressionOf::power_cut);
    if (!list.note.empty()) {
      output_.log(list.note);
    }
    std::uint64_t number = config_.lanes;  // behind the campaign's own
    for (const Regression& regression : list.entries) {
      if (ended()) {
        return;
      }
      output_.log(fmt::format(
          "{}: replaying an earlier failure first: power cut, seed {} workload {} lane {} load {} ({})",
          engine_.name, seed_text(regression.key.seed), regression.key.workload, regression.lane,
          regression.cycle, regression.invariant));
      Work work{{{lane_target(config_, engine_, regression.protocol, regression.lane)}}};
      work.options.key = regression.key;
      if (const Status status = disk::parse_profile(regression.power->profile, &work.options.profile);
          !status.ok()) {
        throw UsageError(fmt::format("regression of {}: {}", engine_.name, status.message()));
      }
      work.options.images_per_load = regression.power->images_per_load;
      work.number = number++;
      work.images = regression.power->images;
      work.loads = regression.cycle + 1;
      bool more = true;
      run_work(std::move(work), &more);
    }
  }

  const CampaignConfig& config_;
  const wire::EngineDescription& engine_;
  const fs::path& work_;
  StopSignal& stop_;
  CampaignOutput& output_;
  report::Journal& journal_;
  std::atomic<std::uint64_t> images_{0};         // judged
  std::mutex mutex_;                             // guards what follows
  std::map<std::uint64_t, std::uint64_t> kept_;  // bundles, by lane
  report::PowerTally broken_;                    // promises, by power cuts
  std::uint64_t broken_by_kill_ = 0;             // loads, by a kill alone
  bool ended_ = false;
};

}  // namespace

PowerReporter::PowerReporter(const Invocation& invocation, report::Journal& journal, PowerExplorer& explorer,
                             std::string engine, std::uint64_t lane, std::atomic<std::uint64_t>& images)
    : invocation_(invocation),
      journal_(journal),
      explorer_(explorer),
      engine_(std::move(engine)),
      lane_(lane),
      images_(images) {}

std::uint64_t PowerReporter::count() {
  const std::uint64_t more = explorer_.tally().judged - counted_;
  counted_ += more;
  return images_ += more;
}

void PowerReporter::failed(const PowerFailure& failure, const std::string& id, const std::string& where,
                           CampaignOutput& output, report::PowerFinding* finding) {
  write_counts();  // it was judged, before it failed
  finding->after_images = count();
  const fs::path relative = fs::path("failures") / id / "bundle.tar.zst";
  try {
    fs::create_directories((output.directory / relative).parent_path());
    const Bundle bundle = explorer_.bundle(failure);
    write_bundle(bundle, failure.image, failure.output, output.directory / relative, &failure.power);
    finding->bundle = relative.string();
    finding->command = bundle_command(invocation_, output.directory / relative, bundle.recovery.order.plugin);
  } catch (...) {
    journal_.write(report::ImageEvent{engine_, lane_, where, true, *finding});
    throw;
  }
  journal_.write(report::ImageEvent{engine_, lane_, where, true, *finding});
  output.log(fmt::format("{}: power cut, {}, after {}: {}{}: {} (weakest profile {}): {}",
                         failure.event.engine, where, report::plural(finding->after_images, "disk image"),
                         finding->promised ? "" : "not promised: ", finding->invariant, finding->explanation,
                         finding->profile, finding->cause));
}

void PowerReporter::failed_again(const std::string& where, report::PowerFinding finding) {
  write_counts();
  finding.after_images = count();
  journal_.write(report::ImageEvent{engine_, lane_, where, false, std::move(finding)});
}

void PowerReporter::failing(const std::string& where, report::PowerFinding finding) {
  write_counts();
  finding.after_images = count();
  journal_.write(report::FailingEvent{engine_, lane_, where, std::move(finding)});
}

void PowerReporter::judged() {
  count();
  if (explorer_.tally().judged - written_.judged >= kImagesPerEvent) {
    write_counts();
  }
}

void PowerReporter::write_counts() {
  report::PowerTally counts = explorer_.tally().counts_since(written_);
  written_ = explorer_.tally();
  journal_.write(report::ImagesEvent{engine_, lane_, std::move(counts)});
}

std::uint64_t power_lanes(const CampaignConfig& config) {
  return std::min<std::uint64_t>(config.lanes, config.images);
}

std::uint64_t images_per_load(const CampaignConfig& config) {
  return config.loads_max > 0 ? UINT64_MAX
         : config.key.plan.io ? kImagesPerLoadWithErrors
                              : PowerExploration().images_per_load;
}

std::vector<PowerWork> power_works(const CampaignConfig& config, const wire::EngineDescription& engine,
                                   std::uint64_t lane) {
  const std::uint64_t lanes = power_lanes(config);
  const std::vector<std::string>& workloads = config.power_workloads;
  std::vector<PowerWork> works;
  for (std::size_t i = 0; i < workloads.size(); ++i) {
    PowerWork work{{lane_target(config, engine, lane_protocol(config.protocol, lane), lane)}};
    work.options.key.workload = workloads[i];
    work.options.profile = config.profile;
    work.options.images_per_load = images_per_load(config);
    work.images = share(share(config.images, lane, lanes), i, workloads.size());
    work.loads = share(share(config.loads_max, lane, lanes), i, workloads.size());
    if (config.loads_max == 0 || work.loads > 0) {
      works.push_back(std::move(work));
    }
  }
  return works;
}

CommandLine load_command(const CampaignConfig& config, const wire::EngineDescription& engine,
                         std::uint64_t lane, std::uint64_t load) {
  CommandLine command(config.invocation, "replay");
  command.word(seed_text(config.key.seed))
      .option("--engine", selector(engine))
      .option("--faults", config.key.plan.io ? "power,io" : "power")
      .option("--protocol", wire::to_string(lane_protocol(config.protocol, lane)))
      .option("--lane", std::to_string(lane))
      .option("--load", std::to_string(load))
      .option("--lanes", std::to_string(config.lanes))
      .option("--images", std::to_string(config.images));
  if (config.loads_max > 0) {
    command.option("--loads", std::to_string(config.loads_max));
  }
  command.option("--profile", disk::to_string(config.profile));
  if (config.power_workloads.size() == 1) {  // it was named
    command.option("--workload", config.power_workloads.front());
  }
  return add_key_options(config.key, std::move(command))
      .option("--plan-checksum", load_checksum(config, lane, load));
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

report::EngineEnd run_power(const CampaignConfig& config, const wire::EngineDescription& engine,
                            const fs::path& work, StopSignal& stop, CampaignOutput& output,
                            report::Journal& journal) {
  return PowerRun(config, engine, work, stop, output, journal).run();
}

}  // namespace chaosgate::campaign
