#include "harness/campaign/group_campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/group.h"
#include "harness/campaign/group_power.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/power_campaign.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/threads.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::CycleEvent;
using report::EngineSection;

namespace {

// Fewer kills for each replica need not have met every danger of a snapshot.
constexpr std::uint64_t kKillsForStrength = 100;

class GroupRun {
 public:
  GroupRun(const CampaignConfig& config, const wire::Hello& hello, const fs::path& work, StopSignal& stop,
           CampaignOutput& output, report::Journal& journal)
      : config_(config), hello_(hello), work_(work), stop_(stop), output_(output), journal_(journal) {
    std::vector<report::EngineBegin> begins;  // one for each engine among the replicas
    for (std::size_t member = 0; member < config.engines.size(); ++member) {
      const std::string& name = config.engines[member];
      auto begin = std::find_if(begins.begin(), begins.end(),
                                [&](const report::EngineBegin& each) { return each.engine == name; });
      if (begin == begins.end()) {
        const wire::EngineDescription& engine = require_engine(hello, name);
        begin = begins.insert(begin, report::EngineBegin());
        begin->engine = name;
        begin->replicas = true;
        begin->version = engine.version;
        begin->commit_survives = engine.commit_survives;
        begin->flush_survives = engine.flush_survives;
        begin->profile = config.power ? disk::to_string(config.profile) : "";
      }
      begin->kills_wanted += config.kill ? config.kills : 0;
      begin->images_wanted += config.power ? config.images : 0;
      for (std::uint64_t group = 0; group < config.lanes; ++group) {
        report::add_once(
            &begin->protocols,
            wire::to_string(group_protocols(config.protocol, config.engines.size(), group).at(member)));
      }
    }
    for (const report::EngineBegin& begin : begins) {
      engines_.push_back(begin.engine);
      images_[begin.engine] = 0;
      journal_.write(begin);
    }
  }

  void run() {
    const auto begin = std::chrono::steady_clock::now();
    std::uint64_t groups = 1;
    if (config_.kill) {
      replay_regressions(RegressionOf::group_kill);
      in_groups(config_.kills, [this](std::uint64_t group, std::uint64_t kills) { run_one(group, kills); });
      judge_strength();
    }
    const bool cut = config_.power && !ended();
    if (cut) {
      replay_regressions(RegressionOf::group_power_cut);
      groups = in_groups(config_.images,
                         [this](std::uint64_t group, std::uint64_t images) { cut_power(group, images); });
      judge_power_strength();
    }
    for (const std::string& engine : engines_) {
      report::EngineEnd end;
      end.engine = engine;
      end.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (cut) {  // the engines took turns
        end.threads = static_cast<std::uint32_t>(groups);
        end.images_seconds =
            static_cast<double>(journal_.section(engine).power->busy_us()) / 1e6 / end.threads;
      }
      journal_.write(end);
    }
  }

 private:
  // Runs body(group, its share of `work`) in a thread for each group, and returns how many that are. Throws
  // what one of them threw.
  template <typename Body>
  std::uint64_t in_groups(std::uint64_t work, const Body& body) {
    const std::uint64_t groups = std::min<std::uint64_t>(config_.lanes, work);
    const auto run_one = [groups, work, &body](std::uint64_t group) {
      body(group, share(work, group, groups));
    };
    run_threads(groups, run_one, [this] {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    });
    return groups;
  }

  bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_ || stop_.requested();
  }

  // One of the campaign's own, or that of an earlier failure.
  struct Work {
    CampaignConfig config;                                // of the campaign that it is, or was, in
    std::uint64_t group = 0;                              // its number there ...
    std::uint64_t number = 0;                             // ... and here, in events and names
    std::uint64_t cycles = 0;                             // at most so many
    bool again = false;                                   // of an earlier failure
    std::optional<PowerRegression> power = std::nullopt;  // how it is explored, if it is
  };

  Work own(std::uint64_t group) const { return {config_, group, group, UINT64_MAX, false, std::nullopt}; }

  // Runs cycles until every replica has had `kills`.
  void run_one(std::uint64_t group, std::uint64_t kills) { run_cycles(own(group), kills); }

  void run_cycles(const Work& work, std::uint64_t kills) {
    GroupOptions options;
    options.members = group_members(work.config, hello_, work.group);
    options.directory = work_ / fmt::format("group-{}", work.number);
    options.keep_images = config_.keep_images;
    options.group = work.group;
    Group group(options, &stop_);
    std::vector<std::uint64_t> done(options.members.size(), 0);
    const auto enough = [&] {
      return *std::min_element(done.begin(), done.end()) >= kills || group.next_cycle() >= work.cycles;
    };
    report::GroupTally written;
    while (!enough() && !ended()) {
      keeping_what_was_found(group, work, "", [&] { group.run_cycle(); });
      take(group, work, "", &done);
      write_tally(work.number, group, &written);
    }
    if (!ended()) {
      group.close();
      take(group, work, "", &done);
      write_tally(work.number, group, &written);
    }
  }

  // What a member showed before another one's machine failed is written, too.
  template <typename Body>
  void keeping_what_was_found(Group& group, const Work& work, const std::string& part, const Body& body) {
    try {
      body();
    } catch (...) {
      std::vector<std::uint64_t> ignored(group.members().size(), 0);
      take(group, work, part, &ignored);
      throw;
    }
  }

  // Those of the same replicas. Each runs its group up to the cycle with the failure.
  void replay_regressions(RegressionOf kind) {
    if (!config_.replay_regressions || !config_.key.fault.empty()) {
      return;
    }
    std::uint64_t number = config_.lanes;  // behind the campaign's own
    for (const std::string& engine : engines_) {
      const RegressionList list = read_regressions(config_.results, engine, kind);
      if (!list.note.empty()) {
        output_.log(list.note);
      }
      for (const Regression& regression : list.entries) {
        const GroupRegression& group = *regression.group;
        if (group.engines != config_.engines || ended()) {
          continue;
        }
        if (config_.tap == TapUse::off && needs_tap(regression)) {
          continue;  // the report says so
        }
        output_.log(fmt::format(
            "{}: replaying an earlier failure first: {}seed {} workload {} group {} cycle {} ({})", engine,
            regression.power ? "power cut, " : "", seed_text(regression.key.seed), regression.key.workload,
            group.number, regression.cycle, regression.invariant));
        Work work{config_, group.number, number++, regression.cycle + 1, true, std::nullopt};
        work.config.key = regression.key;
        work.config.protocol = group.protocol;
        run_thread([&] { replay(std::move(work), regression); });
      }
    }
  }

  void replay(Work work, const Regression& regression) {
    if (!regression.power) {
      run_cycles(work, UINT64_MAX);
      return;
    }
    if (const Status status = disk::parse_profile(regression.power->profile, &work.config.profile);
        !status.ok()) {
      throw UsageError(fmt::format("regression of {}: {}", regression.engine, status.message()));
    }
    std::uint64_t cycle = 0;
    cut_power(std::move(work), regression.key.workload, *regression.power, &cycle);
  }

  void write_tally(std::uint64_t number, const Group& group, report::GroupTally* written) {
    journal_.write(report::GroupEvent{number, group.tally().counts_since(*written)});
    *written = group.tally();
  }

  // Judges `images` disk images of each replica of a group.
  void cut_power(std::uint64_t group, std::uint64_t images) {
    const std::vector<std::string>& workloads = config_.power_workloads;
    std::uint64_t cycle = 0;
    for (std::size_t i = 0; i < workloads.size() && !ended(); ++i) {
      const PowerRegression how{disk::to_string(config_.profile), share(images, i, workloads.size()),
                                images_per_load(config_)};
      cut_power(own(group), workloads[i], how, &cycle);
    }
  }

  // `cycle`: how many the group has run.
  void cut_power(Work work, const std::string& workload, const PowerRegression& how, std::uint64_t* cycle) {
    work.power = how;
    GroupPowerOptions options;
    options.profile = work.config.profile;
    options.images_per_load = how.images_per_load;
    options.members = group_members(work.config, hello_, work.group);
    for (LaneTarget& member : options.members) {
      member.key.workload = workload;
    }
    options.group = work.group;
    options.directory = work_ / fmt::format("group-power-{}", work.number);
    options.keep_images = config_.keep_images;
    GroupPower power(options, &stop_);
    const std::uint64_t begin = *cycle;
    std::vector<std::unique_ptr<PowerReporter>> reporters;
    for (std::size_t i = 0; i < power.size(); ++i) {
      report_images(power.explorer(i), regression_of(work, options.members[i]), begin, cycle,
                    *reporters.emplace_back(std::make_unique<PowerReporter>(
                        config_.invocation, journal_, power.explorer(i), config_.engines[i],
                        work.number * power.size() + i, images_.at(config_.engines[i]))));
    }
    report::GroupTally written;
    bool more = true;
    const std::string part = "power-" + workload + "-";
    for (; more && power.judged_min() < how.images && *cycle - begin < work.cycles && !ended(); ++*cycle) {
      keeping_what_was_found(power.group(), work, part, [&] { more = power.run_cycle(how.images); });
      for (const std::unique_ptr<PowerReporter>& reporter : reporters) {
        reporter->write_counts();
      }
      write_tally(work.number, power.group(), &written);
      if (power.broken_by_kill()) {
        std::vector<std::uint64_t> ignored(power.size(), 0);
        take(power.group(), work, part, &ignored);
        more = true;  // until there are failures_max
      }
    }
    const std::lock_guard lock(mutex_);
    sent_under_power_ += work.again ? 0 : power.sent_snapshots_judged();
  }

  static Regression regression_of(const Work& work, const LaneTarget& member) {
    Regression regression{member.key, member.engine, member.protocol, member.lane, 0, {}, ""};
    regression.power = work.power;
    regression.group = {work.config.engines, work.config.protocol, work.group};
    return regression;
  }

  // `place`: what is known of its failures before. `begin`: the cycle from which those of it count.
  void report_images(PowerExplorer& explorer, Regression place, std::uint64_t begin,
                     const std::uint64_t* cycle, PowerReporter& reporter) {
    const auto where = [lane = place.lane, cycle] {
      return fmt::format("replica {} cycle {}", lane, *cycle);
    };
    explorer.on_failure = [this, &reporter, place, begin, cycle, where](const PowerFailure& failure,
                                                                        report::PowerFinding* finding) {
      const std::lock_guard lock(mutex_);
      const std::string id = fmt::format("{}-{}-power-replica{}-cycle{}-{}", place.engine,
                                         seed_text(place.key.seed), place.lane, *cycle, kept_++);
      reporter.failed(failure, id, where(), output_, finding);
      if (finding->promised) {
        Regression regression = place;
        regression.cycle = *cycle - begin;
        regression.plan = failure.plan;
        regression.invariant = finding->invariant;
        append_regression(config_.results, regression);
        report::PowerTally& broken = broken_[place.engine];
        const std::size_t before = broken.findings.size();
        broken.add(*finding);
        failures_ += broken.findings.size() - before;
        ended_ = ended_ || failures_ >= config_.failures_max;
      }
    };
    explorer.is_over = [this] { return ended(); };
    explorer.on_failing = [&reporter, where](const report::PowerFinding& finding) {
      reporter.failing(where(), finding);
    };
    explorer.on_repeat = [&reporter, where](const report::PowerFinding& finding) {
      reporter.failed_again(where(), finding);
    };
    explorer.on_image = [this, &reporter] {
      reporter.judged();
      const report::Totals totals = journal_.totals();
      const std::lock_guard lock(mutex_);
      if (output_.progress != nullptr) {
        output_.progress->update({"replicas' power cuts", totals.images, config_.images * config_.replicas,
                                  "disk image", totals.violations});
      }
    };
  }

  // `part`: of the campaign, for names.
  void take(Group& group, const Work& work, const std::string& part, std::vector<std::uint64_t>* done) {
    const std::lock_guard lock(mutex_);
    bool failed = false;
    for (std::size_t i = 0; i < group.members().size(); ++i) {
      GroupMember& member = *group.members()[i];
      std::vector<CycleEvent> events = member.take_events();
      if (member.evidence() && !member.failure_taken()) {
        failed = true;
        member.take_failure();
        if (events.empty()) {
          events.push_back(make_event(member.options(), group.next_cycle()));
        }
        try {
          keep_failure(group, work, part, member, &events.back());
        } catch (...) {  // what was found outlives a bundle that cannot be written
          for (const CycleEvent& event : events) {
            journal_.write(event);
          }
          throw;
        }
      }
      for (const CycleEvent& event : events) {
        (*done)[i] += take_event(event);
      }
    }
    failures_ += failed ? 1 : 0;
    ended_ = ended_ || failures_ >= config_.failures_max;
    if (output_.progress != nullptr) {
      const report::Totals totals = journal_.totals();
      output_.progress->update(
          {"replicas", totals.kills, config_.kills * config_.replicas, "kill", totals.violations});
    }
  }

  // Returns its confirmed kills.
  std::uint64_t take_event(const CycleEvent& event) {
    journal_.write(event);
    return event.kills();
  }

  void keep_failure(const Group& group, const Work& work, const std::string& part, const GroupMember& member,
                    CycleEvent* event) {
    const std::string id = fmt::format("{}-{}-{}replica{}-cycle{}", event->engine,
                                       seed_text(work.config.key.seed), part, event->lane, event->cycle);
    const fs::path directory = output_.directory / "failures" / id;
    fs::create_directories(directory);
    replace_file(directory / "plan.txt", crash::to_string(group.plan(event->cycle)) + "\n");
    const std::string again = again_with_plan(config_);
    std::string command = again;
    if (config_.keep_images) {
      const fs::path file = fs::path("failures") / id / "bundle.tar.zst";
      const Bundle bundle = member.bundle(*event);
      write_bundle(bundle, member.evidence()->image, member.evidence()->output, output_.directory / file);
      command = bundle_command(config_.invocation, output_.directory / file, bundle.recovery.order.plugin);
      for (report::ViolationEvent& violation : event->violations) {
        violation.bundle = file.string();
      }
    }
    for (report::ViolationEvent& violation : event->violations) {
      violation.command = command;
      violation.seed_command = again;
      violation.detail += fmt::format("  the cycle: {}\n", crash::to_string(group.plan(event->cycle)));
    }
    event->command = command;
    Regression regression = regression_of(work, member.options());
    regression.cycle = event->cycle;
    regression.plan = member.evidence()->plan;
    regression.invariant = event->violations.empty() ? "abnormal" : event->violations.front().invariant;
    append_regression(config_.results, regression);
    output_.log(fmt::format("replica {} cycle {}: {}", member.name(), event->cycle,
                            event->violations.empty() ? event->crash.detail
                                                      : event->violations.front().invariant + ": " +
                                                            event->violations.front().explanation));
  }

  void judge_strength() {
    if (stop_.requested() || ended_) {
      return;
    }
    const report::GroupTally tally = journal_.group();
    const auto need = [&](bool there, const char* what) {
      if (!there) {
        journal_.write(report::DoubtEvent{"", what});
      }
    };
    need(tally.installed() > 0, "no replica needed a snapshot");
    need(tally.states_compared > 0, "no states were compared");
    if (config_.kills >= kKillsForStrength) {
      need(tally.damaged() > 0, "no snapshot was damaged on its way");
      need(tally.repeated > 0 && tally.swapped > 0 && tally.late > 0,
           "no message came twice, out of order, or late");
      need(!config_.key.plan.call || (tally.receivers_killed > 0 && tally.senders_killed > 0),
           "nobody was killed while a snapshot was sent or installed");
    }
  }

  void judge_power_strength() {
    if (stop_.requested() || ended_) {
      return;
    }
    for (const std::string& engine : engines_) {
      const EngineSection section = journal_.section(engine);
      const report::PowerTally& tally = *section.power;
      if (section.violation_count > 0) {
        continue;
      }
      if (tally.judged < tally.wanted) {
        journal_.write(report::DoubtEvent{
            engine, fmt::format("{} of {} disk images were judged", tally.judged, tally.wanted)});
      }
      for (const std::string& weakness : power_weaknesses(tally, false)) {
        journal_.write(report::DoubtEvent{engine, weakness});
      }
    }
    if (sent_under_power_ == 0) {
      journal_.write(report::DoubtEvent{"", "no replica that power cuts were tried on needed a snapshot"});
    }
  }

  const CampaignConfig& config_;
  const wire::Hello& hello_;
  const fs::path& work_;
  StopSignal& stop_;
  CampaignOutput& output_;
  report::Journal& journal_;
  std::vector<std::string> engines_;                          // among the replicas
  std::map<std::string, std::atomic<std::uint64_t>> images_;  // judged, by engine
  std::mutex mutex_;                                          // guards what follows
  std::uint64_t failures_ = 0;                                // cycles, and causes of broken images
  std::map<std::string, report::PowerTally> broken_;          // promises, by power cuts, by engine
  std::uint64_t kept_ = 0;                                    // bundles of disk images
  std::uint64_t sent_under_power_ = 0;
  bool ended_ = false;
};

}  // namespace

std::vector<LaneTarget> group_members(const CampaignConfig& config, const wire::Hello& hello,
                                      std::uint64_t group) {
  std::vector<LaneTarget> members;
  const std::vector<wire::Protocol> protocols =
      group_protocols(config.protocol, config.engines.size(), group);
  for (std::size_t i = 0; i < config.engines.size(); ++i) {
    members.push_back(lane_target(config, require_engine(hello, config.engines[i]), protocols[i],
                                  group * config.engines.size() + i));
  }
  return members;
}

void run_group(const CampaignConfig& config, const wire::Hello& hello, const fs::path& work, StopSignal& stop,
               CampaignOutput& output, report::Journal& journal) {
  GroupRun(config, hello, work, stop, output, journal).run();
}

}  // namespace chaosgate::campaign
