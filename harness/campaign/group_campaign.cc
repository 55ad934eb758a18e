#include "harness/campaign/group_campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
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
           CampaignOutput& output, report::EventLog& events, GroupResult* result)
      : config_(config),
        hello_(hello),
        work_(work),
        stop_(stop),
        output_(output),
        events_(events),
        result_(*result) {
    for (const std::string& name : config.engines) {
      const wire::EngineDescription& engine = require_engine(hello, name);
      auto at = std::find_if(result_.sections.begin(), result_.sections.end(),
                             [&](const EngineSection& section) { return section.engine == name; });
      if (at == result_.sections.end()) {
        EngineSection section;
        section.engine = section.tally.engine = name;
        section.version = engine.version;
        section.commit_survives = engine.commit_survives;
        section.flush_survives = engine.flush_survives;
        at = result_.sections.insert(at, std::move(section));
      }
      at->kills_wanted += config.kill ? config.kills : 0;
      if (config.power) {
        report::PowerTally& power = at->power ? *at->power : at->power.emplace();
        power.profile = disk::to_string(config.profile);
        power.wanted += config.images;
      }
      for (std::uint64_t group = 0; group < config.lanes; ++group) {
        report::add_once(&at->protocols, wire::to_string(member_protocol(config, of_member_.size(), group)));
      }
      of_member_.push_back(static_cast<std::size_t>(at - result_.sections.begin()));
    }
  }

  void run() {
    const auto begin = std::chrono::steady_clock::now();
    if (config_.kill) {
      in_groups(config_.kills, [this](std::uint64_t group, std::uint64_t kills) { run_one(group, kills); });
      judge_strength();
    }
    if (config_.power && !ended()) {
      const std::uint64_t groups = in_groups(
          config_.images, [this](std::uint64_t group, std::uint64_t images) { cut_power(group, images); });
      for (EngineSection& section : result_.sections) {
        report::PowerTally& power = *section.power;
        power.threads = static_cast<std::uint32_t>(groups);
        power.seconds = static_cast<double>(power.busy_us()) / 1e6 / power.threads;  // the engines took turns
        section.violation_count += power.violations();
      }
      judge_power_strength();
    }
    for (EngineSection& section : result_.sections) {
      section.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
  }

 private:
  // Runs body(group, its share of `work`) in a thread for each group, and returns how many that are. Throws
  // what one of them threw.
  template <typename Body>
  std::uint64_t in_groups(std::uint64_t work, const Body& body) {
    const std::uint64_t groups = std::min<std::uint64_t>(config_.lanes, work);
    const auto run_one = [this, groups, work, &body](std::uint64_t group) {
      try {
        body(group, share(work, group, groups));
      } catch (...) {
        const std::lock_guard lock(mutex_);
        error_ = error_ ? error_ : std::current_exception();
        ended_ = true;
      }
    };
    run_threads(groups, run_one, [this] {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    });
    if (error_) {
      std::rethrow_exception(error_);
    }
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
    while (!enough() && !ended()) {
      group.run_cycle();
      take(group, "", &done);
    }
    if (!ended()) {
      group.close();
      take(group, "", &done);
    }
    const std::lock_guard lock(mutex_);
    result_.tally.add(group.tally());
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
    for (std::size_t i = 0; i < power.size(); ++i) {
      PowerExplorer& explorer = power.explorer(i);
      explorer.on_failure = [&, i](const PowerFailure& failure, report::PowerFinding* finding) {
        keep_power(power.explorer(i), failure, i, *cycle, finding);
      };
      explorer.on_image = [&] {
        const std::lock_guard lock(mutex_);
        ++judged_;
        if (output_.progress != nullptr) {
          output_.progress->update(
              {"replicas' power cuts", judged_, config_.images * config_.replicas, violations()});
        }
      };
    }
    bool more = true;
    for (; more && power.judged_min() < images && !ended(); ++*cycle) {
      more = power.run_cycle(images);
    }
    if (power.broken_by_kill()) {
      std::vector<std::uint64_t> ignored(power.size(), 0);
      take(power.group(), "power-" + workload + "-", &ignored);
    }
    const std::lock_guard lock(mutex_);
    ended_ = ended_ || power.broken_by_kill();
    for (std::size_t i = 0; i < power.size(); ++i) {
      EngineSection& section = result_.sections[of_member_[i]];
      section.power->add(power.explorer(i).tally());
    }
    result_.tally.add(power.group().tally());
    sent_under_power_ += power.sent_snapshots_judged();
  }

  void keep_power(const PowerExplorer& explorer, const PowerFailure& failure, std::size_t member,
                  std::uint64_t cycle, report::PowerFinding* finding) {
    const std::lock_guard lock(mutex_);
    EngineSection& section = result_.sections[of_member_[member]];
    const std::string id = fmt::format("{}-{}-power-replica{}-cycle{}-{}", section.engine,
                                       seed_text(config_.key.seed), failure.event.lane, cycle, kept_++);
    if (auto violation = keep_power_failure(explorer, failure, id,
                                            fmt::format("replica {} cycle {}", failure.event.lane, cycle),
                                            output_, finding)) {
      if (result_.command.empty()) {
        result_.command = violation->second.command;
      }
      ++power_violations_;
      section.violations.push_back(std::move(*violation));
    }
  }

  std::uint64_t violations() const {
    std::uint64_t count = power_violations_;
    for (const EngineSection& section : result_.sections) {
      count += section.violation_count;
    }
    return count;
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
        keep_failure(group, part, member, &events.back());
      }
      for (const CycleEvent& event : events) {
        (*done)[i] += take_event(event);
      }
    }
    failures_ += failed ? 1 : 0;
    ended_ = ended_ || failures_ >= config_.failures_max;
    if (output_.progress != nullptr) {
      std::uint64_t kills = 0;
      for (const EngineSection& section : result_.sections) {
        kills += section.tally.kills;
      }
      output_.progress->update({"replicas", kills, config_.kills * config_.replicas, violations()});
    }
  }

  // Returns its confirmed kills.
  std::uint64_t take_event(const CycleEvent& event) {
    EngineSection& section =
        *std::find_if(result_.sections.begin(), result_.sections.end(),
                      [&](const EngineSection& one) { return one.engine == event.engine; });
    const std::uint64_t before = section.tally.kills;
    section.tally.add(event);
    events_.write(event);
    const std::string where = fmt::format("replica {} cycle {}", event.lane, event.cycle);
    for (const report::ViolationEvent& violation : event.violations) {
      ++section.violation_count;
      section.violations.emplace_back(where, violation);
    }
    report::note_ends(where, event, &section);
    return section.tally.kills - before;
  }

  void keep_failure(const Group& group, const std::string& part, const GroupMember& member,
                    CycleEvent* event) {
    const std::string id = fmt::format("{}-{}-{}replica{}-cycle{}", event->engine,
                                       seed_text(config_.key.seed), part, event->lane, event->cycle);
    const fs::path directory = output_.directory / "failures" / id;
    fs::create_directories(directory);
    replace_file(directory / "plan.txt", crash::to_string(group.plan(event->cycle)) + "\n");
    std::string command = repeat_command();
    if (config_.keep_images) {
      const fs::path file = fs::path("failures") / id / "bundle.tar.zst";
      write_bundle(member.bundle(*event), member.evidence()->image, member.evidence()->output,
                   output_.directory / file);
      command = fmt::format("chaosgate replay {}", (output_.directory / file).string());
      for (report::ViolationEvent& violation : event->violations) {
        violation.bundle = file.string();
      }
    }
    for (report::ViolationEvent& violation : event->violations) {
      violation.command = command;
      violation.detail += fmt::format("  the cycle: {}\n", crash::to_string(group.plan(event->cycle)));
    }
    if (result_.command.empty()) {
      result_.command = command;
    }
    output_.log(fmt::format("replica {} cycle {}: {}", member.name(), event->cycle,
                            event->violations.empty() ? event->crash.detail
                                                      : event->violations.front().invariant + ": " +
                                                            event->violations.front().explanation));
  }

  std::string repeat_command() const {
    std::string names;
    for (const std::string& name : config_.engines) {
      names += (names.empty() ? "" : ",") + selector(require_engine(hello_, name));
    }
    const std::string power =
        config_.power ? fmt::format(" --faults {}power --images {} --profile {}", config_.kill ? "kill," : "",
                                    config_.images, disk::to_string(config_.profile))
                      : "";
    return fmt::format("chaosgate run --replicas {} --engines {} --kills {}{} --lanes {} --seed {}{}",
                       config_.replicas, names, config_.kills, power, config_.lanes,
                       seed_text(config_.key.seed),
                       config_.key.fault.empty() ? "" : " --fault " + config_.key.fault);
  }

  void judge_strength() {
    if (stop_.requested() || ended_) {
      return;
    }
    const report::GroupTally& tally = result_.tally;
    const auto need = [&](bool there, const char* what) {
      if (!there) {
        result_.inconclusive.emplace_back(what);
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
    for (EngineSection& section : result_.sections) {
      const report::PowerTally& tally = *section.power;
      if (section.violation_count > 0) {
        continue;
      }
      if (tally.judged < tally.wanted) {
        section.inconclusive.push_back(
            fmt::format("{} of {} disk images were judged", tally.judged, tally.wanted));
      }
      const std::vector<std::string> why = power_weaknesses(tally, false);
      section.inconclusive.insert(section.inconclusive.end(), why.begin(), why.end());
    }
    if (sent_under_power_ == 0) {
      result_.inconclusive.emplace_back("no replica that power cuts were tried on needed a snapshot");
    }
  }

  const CampaignConfig& config_;
  const wire::Hello& hello_;
  const fs::path& work_;
  StopSignal& stop_;
  CampaignOutput& output_;
  report::EventLog& events_;
  std::mutex mutex_;  // guards what follows
  GroupResult& result_;
  std::vector<std::size_t> of_member_;  // the section of each
  std::uint64_t failures_ = 0;
  std::uint64_t judged_ = 0;  // disk images
  std::uint64_t kept_ = 0;    // bundles of them
  std::uint64_t power_violations_ = 0;
  std::uint64_t sent_under_power_ = 0;
  bool ended_ = false;
  std::exception_ptr error_;
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
               CampaignOutput& output, report::EventLog& events, GroupResult* result) {
  GroupRun(config, hello, work, stop, output, events, result).run();
}

}  // namespace chaosgate::campaign
