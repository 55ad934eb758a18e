#include "harness/campaign/group_campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>

#include "harness/base/file.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/group.h"
#include "harness/campaign/group_power.h"
#include "harness/campaign/power_campaign.h"
#include "harness/campaign/threads.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::CycleEvent;
using report::EngineSection;

namespace {

// Fewer kills for each replica need not have met every danger of a snapshot.
constexpr std::uint64_t kKillsForStrength = 100;

wire::Protocol member_protocol(const CampaignConfig& config, std::uint64_t member, std::uint64_t group) {
  return lane_protocol(config.protocol, member + group);
}

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
        report::add_once(&begin->protocols, wire::to_string(member_protocol(config, member, group)));
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
      in_groups(config_.kills, [this](std::uint64_t group, std::uint64_t kills) { run_one(group, kills); });
      judge_strength();
    }
    const bool cut = config_.power && !ended();
    if (cut) {
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

  // Runs cycles until every replica has had `kills`.
  void run_one(std::uint64_t number, std::uint64_t kills) {
    GroupOptions options;
    options.members = group_members(config_, hello_, number);
    options.directory = work_ / fmt::format("group-{}", number);
    options.keep_images = config_.keep_images;
    options.group = number;
    Group group(options, &stop_);
    std::vector<std::uint64_t> done(options.members.size(), 0);
    const auto enough = [&] { return *std::min_element(done.begin(), done.end()) >= kills; };
    report::GroupTally written;
    while (!enough() && !ended()) {
      keeping_what_was_found(group, "", [&] { group.run_cycle(); });
      take(group, "", &done);
      write_tally(number, group, &written);
    }
    if (!ended()) {
      group.close();
      take(group, "", &done);
      write_tally(number, group, &written);
    }
  }

  // What a member showed before another one's machine failed is written, too.
  template <typename Body>
  void keeping_what_was_found(Group& group, const std::string& part, const Body& body) {
    try {
      body();
    } catch (...) {
      std::vector<std::uint64_t> ignored(group.members().size(), 0);
      take(group, part, &ignored);
      throw;
    }
  }

  void write_tally(std::uint64_t number, const Group& group, report::GroupTally* written) {
    journal_.write(report::GroupEvent{number, group.tally().counts_since(*written)});
    *written = group.tally();
  }

  // Judges `images` disk images of each replica of a group.
  void cut_power(std::uint64_t number, std::uint64_t images) {
    const std::vector<std::string>& workloads = config_.power_workloads;
    std::uint64_t cycle = 0;
    for (std::size_t i = 0; i < workloads.size() && !ended(); ++i) {
      cut_power(number, workloads[i], share(images, i, workloads.size()), &cycle);
    }
  }

  // `cycle`: how many the group has run.
  void cut_power(std::uint64_t number, const std::string& workload, std::uint64_t images,
                 std::uint64_t* cycle) {
    GroupPowerOptions options;
    options.profile = config_.profile;
    options.members = group_members(config_, hello_, number);
    for (LaneTarget& member : options.members) {
      member.key.workload = workload;
    }
    options.group = number;
    options.directory = work_ / fmt::format("group-power-{}", number);
    options.keep_images = config_.keep_images;
    GroupPower power(options, &stop_);
    std::vector<std::unique_ptr<PowerReporter>> reporters;
    for (std::size_t i = 0; i < power.size(); ++i) {
      report_images(power.explorer(i), options.members[i], cycle,
                    *reporters.emplace_back(std::make_unique<PowerReporter>(
                        config_.invocation, journal_, power.explorer(i), config_.engines[i],
                        options.members[i].lane, images_.at(config_.engines[i]))));
    }
    report::GroupTally written;
    bool more = true;
    const std::string part = "power-" + workload + "-";
    for (; more && power.judged_min() < images && !ended(); ++*cycle) {
      keeping_what_was_found(power.group(), part, [&] { more = power.run_cycle(images); });
      for (const std::unique_ptr<PowerReporter>& reporter : reporters) {
        reporter->write_counts();
      }
      write_tally(number, power.group(), &written);
      if (power.broken_by_kill()) {
        std::vector<std::uint64_t> ignored(power.size(), 0);
        take(power.group(), part, &ignored);
        more = true;  // until there are failures_max
      }
    }
    const std::lock_guard lock(mutex_);
    sent_under_power_ += power.sent_snapshots_judged();
  }

  void report_images(PowerExplorer& explorer, const LaneTarget& member, const std::uint64_t* cycle,
                     PowerReporter& reporter) {
    const auto where = [&member, cycle] { return fmt::format("replica {} cycle {}", member.lane, *cycle); };
    explorer.on_failure = [&, cycle, where](const PowerFailure& failure, report::PowerFinding* finding) {
      const std::lock_guard lock(mutex_);
      const std::string id = fmt::format("{}-{}-power-replica{}-cycle{}-{}", member.engine,
                                         seed_text(config_.key.seed), member.lane, *cycle, kept_++);
      reporter.failed(failure, id, where(), output_, finding);
      if (finding->promised) {
        report::PowerTally& broken = broken_[member.engine];
        const std::size_t before = broken.findings.size();
        broken.add(*finding);
        failures_ += broken.findings.size() - before;
        ended_ = ended_ || failures_ >= config_.failures_max;
      }
    };
    explorer.is_over = [this] { return ended(); };
    explorer.on_failing = [&, where](const report::PowerFinding& finding) {
      reporter.failing(where(), finding);
    };
    explorer.on_repeat = [&, where](const report::PowerFinding& finding) {
      reporter.failed_again(where(), finding);
    };
    explorer.on_image = [&] {
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
  void take(Group& group, const std::string& part, std::vector<std::uint64_t>* done) {
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
          keep_failure(group, part, member, &events.back());
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

  void keep_failure(const Group& group, const std::string& part, const GroupMember& member,
                    CycleEvent* event) {
    const std::string id = fmt::format("{}-{}-{}replica{}-cycle{}", event->engine,
                                       seed_text(config_.key.seed), part, event->lane, event->cycle);
    const fs::path directory = output_.directory / "failures" / id;
    fs::create_directories(directory);
    replace_file(directory / "plan.txt", crash::to_string(group.plan(event->cycle)) + "\n");
    std::string command = config_.invocation.again;
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
      violation.seed_command = config_.invocation.again;
      violation.detail += fmt::format("  the cycle: {}\n", crash::to_string(group.plan(event->cycle)));
    }
    event->command = command;
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
  for (std::size_t i = 0; i < config.engines.size(); ++i) {
    members.push_back(lane_target(config, require_engine(hello, config.engines[i]),
                                  member_protocol(config, i, group), group * config.engines.size() + i));
  }
  return members;
}

void run_group(const CampaignConfig& config, const wire::Hello& hello, const fs::path& work, StopSignal& stop,
               CampaignOutput& output, report::Journal& journal) {
  GroupRun(config, hello, work, stop, output, journal).run();
}

}  // namespace chaosgate::campaign
