#include "harness/campaign/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/group_campaign.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/power_campaign.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/self_test.h"
#include "harness/campaign/tap_probe.h"
#include "harness/campaign/tap_setup.h"
#include "harness/campaign/threads.h"
#include "harness/campaign/work_directory.h"
#include "harness/report/facts.h"
#include "harness/report/journal.h"
#include "harness/wire/message.h"
#include "workloads/generator.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::CampaignReport;
using report::CycleEvent;
using report::EngineSection;

namespace {

// Below this many kills for each step, or each class of files, one that was never hit can be chance, and does
// not make the campaign inconclusive; the report names it all the same.
constexpr std::uint64_t kKillsPerStep = 30;
constexpr std::uint64_t kKillsPerClass = 60;

// Why a cycle without a violation failed.
std::string abnormal_detail(const CycleEvent& event) {
  const report::Death& death = event.last_death();
  return fmt::format("{}: {}", nlohmann::json(death.outcome).get<std::string>(), death.detail);
}

std::vector<std::string> kinds_expected(const crash::PlanOptions& plan) {
  std::vector<std::string> kinds;
  const auto add = [&](bool allowed, const char* kind, bool in_recovery) {
    if (allowed) {
      kinds.emplace_back(kind);
      if (in_recovery && plan.recrash) {
        kinds.push_back(fmt::format("recovery-{}", kind));
      }
    }
  };
  add(plan.timer, "timer", true);
  add(plan.step, "step", true);
  add(plan.call, "call", true);
  return kinds;
}

// Everything the lanes of one engine share.
class EngineRun {
 public:
  EngineRun(const CampaignConfig& config, const wire::EngineDescription& engine, const fs::path& work,
            StopSignal& stop, CampaignOutput& output, report::Journal& journal)
      : config_(config), engine_(engine), work_(work), stop_(stop), output_(output), journal_(journal) {
    report::EngineBegin begin;
    begin.engine = engine.name;
    begin.version = engine.version;
    begin.commit_survives = engine.commit_survives;
    begin.flush_survives = engine.flush_survives;
    begin.kills_wanted = config.kill ? config.kills : 0;
    std::set<std::string> steps;
    for (std::uint64_t lane = 0; lane < config.lanes; ++lane) {
      const wire::Protocol protocol = lane_protocol(config.protocol, lane);
      report::add_once(&begin.protocols, wire::to_string(protocol));
      if (config.key.plan.step) {
        for (const Step step : crash::load_steps(protocol)) {
          steps.emplace(to_string(step));
        }
      }
    }
    if (config.key.plan.step && config.key.plan.recrash) {
      for (const Step step : crash::recovery_steps()) {
        steps.emplace(to_string(step));
      }
    }
    begin.steps_expected.assign(steps.begin(), steps.end());
    classes_ = file_classes(engine).size();
    begin.kinds_expected = kinds_expected(config.key.plan);
    if (config.power) {
      begin.profile = disk::to_string(config.profile);
      begin.images_wanted = config.images;
    }
    journal_.write(begin);
  }

  // Throws what a lane threw.
  void run() {
    const auto begin = std::chrono::steady_clock::now();
    if (config_.kill && config_.replay_regressions && config_.key.fault.empty()) {
      run_thread([this] { replay_regressions(); });
    }
    if (config_.kill) {
      kill_lanes();
    }
    report::EngineEnd end;
    if (config_.power && !ended()) {
      CampaignConfig power = config_;
      power.failures_max -= static_cast<std::uint32_t>(failures_);  // fewer, or it would have ended
      end = run_power(power, engine_, work_, stop_, output_, journal_);
    }
    judge_strength();
    end.engine = engine_.name;
    end.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    journal_.write(end);
  }

 private:
  void kill_lanes() {
    const auto run = [this](std::uint64_t lane) {
      LaneOptions options = lane_options(config_.key, lane_protocol(config_.protocol, lane), lane);
      options.given = plans_of_lane(config_.plans, lane);
      run_lane(std::move(options), share(config_.kills, lane, config_.lanes), UINT64_MAX);
    };
    run_threads(config_.lanes, run, [this] { end(); });
  }

  LaneOptions lane_options(const PlanKey& key, wire::Protocol protocol, std::uint64_t lane) const {
    LaneOptions options{lane_target(config_, engine_, protocol, lane)};
    options.key = key;
    options.keep_images = config_.keep_images;
    options.watch = config_.tap == TapUse::always;
    return options;
  }

  bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_ || stop_.requested();
  }

  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }

  // Runs cycles until `kills` were confirmed or `cycles` were run.
  void run_lane(LaneOptions options, std::uint64_t kills, std::uint64_t cycles) {
    {
      const std::lock_guard lock(mutex_);
      options.directory = work_ / fmt::format("lane-{}", lanes_made_++);
    }
    Lane lane(options, &stop_);
    std::uint64_t done = 0;
    while (done < kills && lane.next_cycle() < cycles && !ended()) {
      const crash::CyclePlan plan = lane.plan(lane.next_cycle());
      const bool last = done + 1 + plan.recrashes.size() >= kills || lane.next_cycle() + 1 == cycles;
      CycleEvent event = lane.run_cycle(last);
      done += take(options, lane, event);
    }
  }

  // Takes a cycle into the books; returns its confirmed kills.
  std::uint64_t take(const LaneOptions& options, const Lane& lane, CycleEvent& event) {
    const std::lock_guard lock(mutex_);
    if (lane.evidence()) {
      ++failures_;
      try {
        keep_failure(options, lane, event);
      } catch (...) {
        journal_.write(event);  // what was found outlives a bundle that cannot be written
        throw;
      }
    }
    journal_.write(event);
    if (failures_ >= config_.failures_max) {
      ended_ = true;
    }
    if (output_.progress != nullptr) {
      const report::Totals totals = journal_.totals(engine_.name);
      output_.progress->update({engine_.name, totals.kills, config_.kills, "kill", totals.violations});
    }
    return event.kills();
  }

  void keep_failure(const LaneOptions& options, const Lane& lane, CycleEvent& event) {
    const std::string id = fmt::format("{}-{}-lane{}-cycle{}", engine_.name, seed_text(options.key.seed),
                                       event.lane, event.cycle);
    const std::string by_seed = seed_command(config_.invocation, options.key, selector(engine_),
                                             options.protocol, event.lane, event.cycle)
                                    .option_path("--plan", output_.directory / "failures" / id / "plan.txt")
                                    .text();
    const fs::path directory = output_.directory / "failures" / id;
    fs::create_directories(directory);
    replace_file(directory / "plan.txt", crash::to_string(lane.evidence()->plan) + "\n");
    std::string file;
    std::string command = by_seed;
    if (config_.keep_images) {
      const Bundle bundle = lane.bundle(event);
      write_bundle(bundle, lane.evidence()->image, lane.evidence()->output, directory / "bundle.tar.zst");
      file = (fs::path("failures") / id / "bundle.tar.zst").string();
      command = bundle_command(config_.invocation, output_.directory / file, bundle.recovery.order.plugin);
    }
    for (report::ViolationEvent& violation : event.violations) {
      violation.bundle = file;
      violation.command = command;
      violation.seed_command = by_seed;
    }
    event.command = command;
    append_regression(
        config_.results,
        {options.key, engine_.name, options.protocol, event.lane, event.cycle, lane.evidence()->plan,
         event.violations.empty() ? "abnormal" : event.violations.front().invariant});
    output_.log(fmt::format("{}: lane {} cycle {}: {}", engine_.name, event.lane, event.cycle,
                            event.violations.empty() ? abnormal_detail(event)
                                                     : event.violations.front().invariant + ": " +
                                                           event.violations.front().explanation));
  }

  void replay_regressions() {
    const RegressionList list = read_regressions(config_.results, engine_.name, RegressionOf::kill);
    if (!list.note.empty()) {
      output_.log(list.note);
    }
    for (const Regression& regression : list.entries) {
      if (ended()) {
        return;
      }
      if (config_.tap == TapUse::off && needs_tap(regression)) {
        continue;  // the report says so
      }
      output_.log(fmt::format("{}: replaying an earlier failure first: seed {} lane {} cycle {} ({})",
                              engine_.name, seed_text(regression.key.seed), regression.lane, regression.cycle,
                              regression.invariant));
      LaneOptions options = lane_options(regression.key, regression.protocol, regression.lane);
      options.given[regression.cycle] = regression.plan;
      run_lane(std::move(options), UINT64_MAX, regression.cycle + 1);
    }
  }

  // What makes a run without findings prove too little.
  void judge_strength() {
    if (stop_.requested() || failures_ >= config_.failures_max || !config_.kill) {
      return;
    }
    const EngineSection section = journal_.section(engine_.name);
    const report::EngineTally& tally = section.tally;
    const auto doubt = [this](std::string reason) {
      journal_.write(report::DoubtEvent{engine_.name, std::move(reason)});
    };
    if (tally.kills < config_.kills) {
      doubt(fmt::format("{} of {} kills landed", tally.kills, config_.kills));
    }
    if (tally.cycles > 0 && tally.at_risk_cycles * 100 < tally.cycles * config_.at_risk_percent_min) {
      doubt(fmt::format("acknowledged entries were at risk in {} of {} cycles, fewer than {} %",
                        tally.at_risk_cycles, tally.cycles, config_.at_risk_percent_min));
    }
    if (config_.kills >= kKillsPerStep * section.steps_expected.size()) {
      for (const std::string& step : section.steps_expected) {
        if (!tally.kills_by_step.contains(step)) {
          doubt(fmt::format("no kill landed at step {}", step));
        }
      }
    }
    if (config_.kills >= kKillsPerClass * section.kinds_expected.size() && config_.plans.empty()) {
      for (const std::string& kind : section.kinds_expected) {
        if (!tally.kills_by_kind.contains(kind)) {
          doubt(fmt::format("no {} kill landed", kind));
        }
      }
    }
    if (config_.key.plan.call) {
      for (const std::string& file_class : tally.zero_classes()) {
        if (config_.kills >= kKillsPerClass * classes_) {
          doubt(fmt::format("no kill landed at a storage call of class {}", file_class));
        }
      }
    }
  }

 private:
  const CampaignConfig& config_;
  const wire::EngineDescription& engine_;
  fs::path work_;
  StopSignal& stop_;
  CampaignOutput& output_;
  report::Journal& journal_;
  std::uint64_t classes_ = 0;  // of the engine's files, and of ours
  std::mutex mutex_;           // guards what follows
  std::uint64_t failures_ = 0;
  std::uint64_t lanes_made_ = 0;
  bool ended_ = false;
};

// `no_tap`: why storage calls could not be seen, or empty.
std::vector<std::string> not_tested(const CampaignConfig& config, const std::string& work_kind,
                                    const std::string& no_tap) {
  const std::string why = no_tap.empty() ? "" : fmt::format(" ({})", no_tap);
  std::vector<std::string> list;
  if (!config.power) {
    list.push_back(
        "power cuts: a SIGKILL leaves the page cache alive, so missing fsyncs and unsynced directories do "
        "not show" +
        why);
  }
  if (!config.key.plan.io) {
    list.push_back("I/O errors and full disks" + why);
  }
  if (!config.kill) {
    list.emplace_back("kills: none were planned, but one of each load that was recorded");
    return list;
  }
  if (!config.key.plan.call) {
    list.push_back("kills at storage calls, before, after and inside each" + why);
  }
  if (work_kind == "tmpfs") {
    list.push_back("a real disk: the work directory was on tmpfs, which a SIGKILL cannot tell from one");
  }
  if (!config.key.plan.timer) {
    list.push_back("asynchronous kills: only steps were planned");
  }
  if (!config.key.plan.step) {
    list.push_back("kills at protocol steps: only timers were planned");
  }
  if (!config.key.plan.recrash) {
    list.push_back("kills during recovery: none were planned");
  }
  if (!config.key.plan.free_running) {
    list.push_back("an engine's own background work: maintenance was scheduled");
  }
  return list;
}

// What was asked for that storage calls must be seen for, as a flag; empty when there is nothing. What was
// asked for is done or refused. Kills at storage calls that nobody named are a choice of ours, and left out.
std::string asked_of_tap(const CampaignConfig& config) {
  const crash::PlanOptions& plan = config.key.plan;
  return config.power                                                       ? "--faults power"
         : plan.io                                                          ? "--faults io"
         : plan.call && (config.calls_asked || (!plan.timer && !plan.step)) ? "--crash call"
         : !config.plans.empty()                                            ? "--plan"
         : config.tap == TapUse::always                                     ? "--tap always"
                                                                            : "";
}

// What is left when storage calls cannot be seen. Throws UsageError when it was asked for.
CampaignConfig without_tap(CampaignConfig config, const std::string& reason) {
  if (const std::string asked = asked_of_tap(config); !asked.empty()) {
    throw UsageError(fmt::format("{}: storage calls cannot be seen here: {}", asked, reason));
  }
  config.key.plan.call = false;
  config.tap = TapUse::off;
  return config;
}

bool uses_tap(const CampaignConfig& config) {
  const crash::PlanOptions& plan = config.key.plan;
  return config.tap != TapUse::off &&
         (config.tap == TapUse::always || plan.call || plan.io || config.power || !config.plans.empty());
}

// Which engines cannot be tapped, and why. The built-in ones can. Throws UsageError when they are asked for
// what needs it.
std::map<std::string, std::string> find_untappable(const CampaignConfig& config, const wire::Hello& hello,
                                                   const fs::path& work, StopSignal& stop) {
  std::map<std::string, std::string> untappable;
  for (const std::string& name : config.engines) {
    const wire::EngineDescription& engine = require_engine(hello, name);
    if (engine.plugin.empty() || untappable.contains(name) || !uses_tap(config)) {
      continue;
    }
    const std::string why =
        why_untappable(lane_target(config, engine, wire::Protocol::in_batch), work / "tap-probe", &stop);
    if (const std::string asked = asked_of_tap(config); !why.empty() && !asked.empty()) {
      throw UsageError(
          fmt::format("{}: {}; {} needs to see them, '--faults kill --crash timer,step --tap off' does not",
                      name, why, asked));
    }
    if (!why.empty()) {
      untappable[name] = why;
    }
  }
  return untappable;
}

// "1000 kills and 500 disk images".
std::string work_text(const CampaignConfig& config) {
  const std::string kills = config.kill ? fmt::format("{} kills", config.kills) : "";
  const std::string images = config.power ? fmt::format("{} disk images", config.images) : "";
  return kills + (kills.empty() || images.empty() ? "" : " and ") + images;
}

}  // namespace

CommandLine add_key_options(const PlanKey& key, CommandLine command) {
  if (!key.fault.empty()) {
    command.option("--fault", key.fault);
  }
  if (!key.plan.free_running || !key.plan.scheduled) {
    command.option("--maintenance", key.plan.scheduled ? "scheduled" : "free-running");
  }
  if (key.segment_bytes != PlanKey().segment_bytes) {
    command.option("--segment-bytes", std::to_string(key.segment_bytes));
  }
  return command;
}

CommandLine seed_command(const Invocation& invocation, const PlanKey& key, const std::string& engine,
                         wire::Protocol protocol, std::uint64_t lane, std::uint64_t cycle) {
  const PlanKey defaults;
  CommandLine command(invocation, "replay");
  command.word(seed_text(key.seed))
      .option("--engine", engine)
      .option("--protocol", wire::to_string(protocol))
      .option("--lane", std::to_string(lane))
      .option("--cycle", std::to_string(cycle));
  if (key.workload != defaults.workload) {
    command.option("--workload", key.workload);
  }
  if (!key.plan.timer || !key.plan.step || !key.plan.call) {
    command.option("--crash", crash_kinds_text(key.plan));
  }
  if (key.plan.io) {
    command.option("--faults", "kill,io");
  }
  if (!key.plan.recrash) {
    command.word("--no-recrash");
  }
  if (key.plan.timer_us_max != defaults.plan.timer_us_max) {
    command.option("--timer-us-max", std::to_string(key.plan.timer_us_max));
  }
  return add_key_options(key, std::move(command))
      .option("--plan-checksum", plan_checksum(key, protocol, lane, cycle + 1));
}

std::string bundle_command(const Invocation& invocation, const fs::path& file, const std::string& plugin) {
  CommandLine command(invocation, "replay");
  command.path(file);
  if (!plugin.empty() && !is_installed(plugin)) {
    command.option_path("--engine", plugin);
  }
  return command.text();
}

namespace {

void validate_group(const CampaignConfig& config) {
  if (config.replicas < 2) {
    throw UsageError("--replicas 1: a group has at least two");
  }
  if (config.engines.size() != config.replicas) {
    throw UsageError(
        fmt::format("--replicas {}: --engines names {} of them", config.replicas, config.engines.size()));
  }
  if (config.key.plan.io || !config.plans.empty()) {
    throw UsageError(
        "--replicas: replicas are killed and cut off from power; I/O errors and plans from a file are for "
        "single engines");
  }
  if (config.loads_max > 0) {
    throw UsageError("--loads: power cuts of replicas are tried on as many loads as it takes");
  }
  std::vector<std::string> workloads = {config.key.workload};
  if (config.power) {
    workloads.insert(workloads.end(), config.power_workloads.begin(), config.power_workloads.end());
  }
  for (const std::string& workload : workloads) {
    const workloads::Generator generator(workload, config.key.seed);
    constexpr std::uint64_t kSample = 2000;
    for (std::uint64_t index = 1; index <= kSample; ++index) {
      if (generator.payload(2, generator.preload_entries() + index).size() > wire::kAppendBytesMax) {
        throw UsageError(
            fmt::format("--workload {}: its entries are too large for a message between replicas", workload));
      }
    }
  }
}

}  // namespace

void validate_key(const PlanKey& key, const wire::Hello& hello) {
  workloads::Generator(key.workload, key.seed);  // throws for an unknown one
  if (!key.fault.empty()) {
    require_fault(hello, key.fault);
  }
}

void validate(const CampaignConfig& config, const wire::Hello& hello) {
  if (config.engines.empty()) {
    throw UsageError("no engine: name one with --engine");
  }
  for (const std::string& engine : config.engines) {
    require_engine(hello, engine);
  }
  if (config.replicas > 0) {
    validate_group(config);
  } else if (std::set(config.engines.begin(), config.engines.end()).size() != config.engines.size()) {
    throw UsageError("--engine: an engine is named twice");
  }
  if (config.kill && config.kills == 0) {
    throw UsageError("--kills 0: at least one kill is needed");
  }
  if (config.power && config.images == 0) {
    throw UsageError("--images 0: at least one disk image is needed");
  }
  if (config.lanes == 0 || (config.kill && config.lanes > config.kills)) {
    throw UsageError(fmt::format("--lanes {}: must be between 1 and the number of kills ({})", config.lanes,
                                 config.kills));
  }
  validate_key(config.key, hello);
  for (const std::string& workload : config.power_workloads) {
    workloads::Generator(workload, config.key.seed);  // throws for an unknown one
  }
  for (const crash::CyclePlan& plan : config.plans) {
    for (const std::string& engine : config.engines) {
      check_classes(plan, require_engine(hello, engine));
    }
  }
  if (config.key.fault.empty()) {
    return;
  }
  const wire::FaultDescription& fault = require_fault(hello, config.key.fault);
  if (!fault.migrates_from.empty()) {
    throw UsageError(fmt::format("planted fault '{}' is of a migration: 'chaosgate migrate --gate' plants it",
                                 config.key.fault));
  }
  if (!fault.replicas.empty() && config.replicas == 0) {
    throw UsageError(fmt::format("planted fault '{}' is of a replica group: --replicas {} --engines {}",
                                 config.key.fault, fault.replicas.size(), fmt::join(fault.replicas, ",")));
  }
}

namespace {

// What a campaign consists of.
// `untappable`: engines that cannot be tapped, and why.
void run_parts(const CampaignConfig& config, const wire::Hello& hello,
               const std::map<std::string, std::string>& untappable, const fs::path& work, StopSignal& stop,
               CampaignOutput& output, report::Journal& journal) {
  if (config.replicas > 0) {
    run_group(untappable.empty() ? config : without_tap(config, untappable.begin()->second), hello, work,
              stop, output, journal);
  } else {
    for (const std::string& name : config.engines) {
      if (stop.requested()) {
        break;
      }
      const auto why = untappable.find(name);
      const CampaignConfig mine = why == untappable.end() ? config : without_tap(config, why->second);
      EngineRun(mine, require_engine(hello, name), work, stop, output, journal).run();
    }
  }
  if (config.self_test && !stop.requested()) {
    SelfTestOptions options;
    options.seeds = {config.key.seed};
    options.worker = config.worker;
    options.hang_ms = config.hang_ms;
    options.on_fault = [&](std::size_t number, const report::FaultResult& result) {
      journal.write(report::FaultEvent{number, result});
    };
    run_self_test(options, hello, work, stop, output.progress);
  }
}

}  // namespace

CampaignReport run_campaign(const CampaignConfig& given, StopSignal& stop, CampaignOutput& output) {
  CampaignConfig resolved = given;
  const wire::Hello hello = resolve_engines(given.worker, &resolved.engines);
  validate(resolved, hello);
  std::map<std::string, RegressionList> earlier;  // a damaged file is found before anything is written
  if (resolved.replay_regressions && resolved.key.fault.empty()) {
    const bool group = resolved.replicas > 0;
    for (const std::string& engine : resolved.engines) {
      RegressionList kills =
          read_regressions(resolved.results, engine, group ? RegressionOf::group_kill : RegressionOf::kill);
      std::erase_if(kills.entries, [&](const Regression& each) {
        return each.group && each.group->engines != resolved.engines;
      });
      if (resolved.kill) {
        earlier[engine] = std::move(kills);
      }
    }
  }
  if (given.self_test && !hello.tap_unavailable.empty()) {
    throw UsageError(
        fmt::format("--selftest: its faults show at storage calls, which cannot be seen here: {}",
                    hello.tap_unavailable));
  }
  const std::string no_tap = given.tap == TapUse::off ? "--tap off" : hello.tap_unavailable;
  const CampaignConfig config = no_tap.empty() ? resolved : without_tap(resolved, no_tap);
  const std::string planned = campaign_checksum(config);
  require_plan(config.plan_checksum, planned, config.key.seed);
  const WorkDirectory work(config.directory, config.engines, &stop);
  const std::map<std::string, std::string> untappable = find_untappable(config, hello, work.path(), stop);
  if (output.directory.empty()) {
    output.directory = make_result_directory(
        config.results, fmt::format("{}", fmt::join(config.engines, "+")), config.key.seed, output.log);
  }
  report::CampaignBegin frame = begin_of(config.key.seed);
  frame.plan_checksum = planned;
  frame.settings = output.settings;
  frame.work_directory_kind = work.kind();
  frame.not_tested = not_tested(config, work.kind(), no_tap);
  for (const auto& [name, why] : untappable) {
    frame.not_tested.push_back(fmt::format("kills at storage calls of {}: {}; --tap off says so", name, why));
  }
  for (const auto& [name, list] : earlier) {
    const auto left_out = std::count_if(list.entries.begin(), list.entries.end(), needs_tap);
    const bool unseen = untappable.contains(name) || (config.replicas > 0 && !untappable.empty());
    if (left_out > 0 && (!no_tap.empty() || unseen)) {
      frame.not_tested.push_back(fmt::format("{} of {}: their storage calls cannot be seen",
                                             report::plural(left_out, "earlier failure"), name));
    }
  }
  frame.command = output.command;
  set_check_context(fmt::format("seed {} engines {}", frame.seed, fmt::join(config.engines, "+")));
  output.log(fmt::format("seed {}, plan {}, engines {}, {} each; the same seed repeats operations and plans",
                         frame.seed, frame.plan_checksum, fmt::join(config.engines, "+"), work_text(config)));
  return record(output.directory, frame, stop, output.log, [&](report::Journal& journal) {
    run_parts(config, hello, untappable, work.path(), stop, output, journal);
  });
}

}  // namespace chaosgate::campaign
