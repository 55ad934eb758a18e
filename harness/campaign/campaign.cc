#include "harness/campaign/campaign.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/group_campaign.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/power_campaign.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/self_test.h"
#include "harness/campaign/tap_probe.h"
#include "harness/campaign/tap_setup.h"
#include "harness/campaign/threads.h"
#include "harness/campaign/versions.h"
#include "harness/campaign/work_directory.h"
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
constexpr std::size_t kViolationsKept = 20;

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
            StopSignal& stop, CampaignOutput& output, report::EventLog& events)
      : config_(config), engine_(engine), work_(work), stop_(stop), output_(output), events_(events) {
    section_.engine = engine.name;
    section_.version = engine.version;
    section_.commit_survives = engine.commit_survives;
    section_.flush_survives = engine.flush_survives;
    section_.kills_wanted = config.kill ? config.kills : 0;
    section_.tally.engine = engine.name;
    std::set<std::string> steps;
    for (std::uint64_t lane = 0; lane < config.lanes; ++lane) {
      const wire::Protocol protocol = lane_protocol(config.protocol, lane);
      report::add_once(&section_.protocols, wire::to_string(protocol));
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
    section_.steps_expected.assign(steps.begin(), steps.end());
    classes_ = file_classes(engine).size();
    section_.kinds_expected = kinds_expected(config.key.plan);
  }

  // Throws what a lane threw.
  EngineSection run() {
    const auto begin = std::chrono::steady_clock::now();
    if (config_.kill && config_.replay_regressions && config_.key.fault.empty()) {
      in_thread([this] { replay_regressions(); });
    }
    if (config_.kill) {
      kill_lanes();
    }
    if (config_.power && !ended()) {
      take_power(run_power(config_, engine_, work_, stop_, output_));
    }
    section_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    judge_strength();
    return section_;
  }

 private:
  void kill_lanes() {
    const auto run = [this](std::uint64_t lane) {
      guard([&] {
        LaneOptions options = lane_options(config_.key, lane_protocol(config_.protocol, lane), lane);
        options.given = plans_of_lane(config_.plans, lane);
        run_lane(std::move(options), share(config_.kills, lane, config_.lanes), UINT64_MAX);
      });
    };
    run_threads(config_.lanes, run, [this] { end(); });
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

  void take_power(PowerResult result) {
    section_.power = std::move(result.tally);
    for (auto& [where, violation] : result.violations) {
      if (first_command_.empty()) {
        first_command_ = violation.command;
      }
      section_.violations.emplace_back(std::move(where), std::move(violation));
    }
    section_.violation_count +=
        std::max<std::uint64_t>(section_.power->violations(), result.violations.size());
    section_.inconclusive = std::move(result.inconclusive);
  }

  LaneOptions lane_options(const PlanKey& key, wire::Protocol protocol, std::uint64_t lane) const {
    LaneOptions options{lane_target(config_, engine_, protocol, lane)};
    options.key = key;
    options.keep_images = config_.keep_images;
    options.watch = config_.tap == TapUse::always;
    return options;
  }

  // A lane lives on one thread; what it throws is kept for run().
  template <typename Body>
  void guard(Body&& body) {
    try {
      body();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) {
        error_ = std::current_exception();
      }
      ended_ = true;
    }
  }

  template <typename Body>
  void in_thread(Body&& body) {
    std::thread thread([&] { guard(body); });
    thread.join();
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
      keep_failure(options, lane, event);
    }
    const std::uint64_t before = section_.tally.kills;
    section_.tally.add(event);
    events_.write(event);
    const std::string where = fmt::format("lane {} cycle {}", event.lane, event.cycle);
    for (const report::ViolationEvent& violation : event.violations) {
      ++section_.violation_count;
      if (section_.violations.size() < kViolationsKept) {
        section_.violations.emplace_back(where, violation);
      }
    }
    report::note_ends(where, event, &section_);
    if (failures_ >= config_.failures_max) {
      ended_ = true;
    }
    if (output_.progress != nullptr) {
      output_.progress->update({engine_.name, section_.tally.kills, config_.kills, section_.violation_count});
    }
    return section_.tally.kills - before;
  }

  void keep_failure(const LaneOptions& options, const Lane& lane, CycleEvent& event) {
    const std::string id = fmt::format("{}-{}-lane{}-cycle{}", engine_.name, seed_text(options.key.seed),
                                       event.lane, event.cycle);
    const std::string by_seed =
        replay_command(options.key, selector(engine_), options.protocol, event.lane, event.cycle) +
        " --plan " + (output_.directory / "failures" / id / "plan.txt").string();
    const fs::path directory = output_.directory / "failures" / id;
    fs::create_directories(directory);
    replace_file(directory / "plan.txt", crash::to_string(lane.evidence()->plan) + "\n");
    std::string file;
    if (config_.keep_images) {
      write_bundle(lane.bundle(event), lane.evidence()->image, lane.evidence()->output,
                   directory / "bundle.tar.zst");
      file = (fs::path("failures") / id / "bundle.tar.zst").string();
    }
    const std::string command =
        file.empty() ? by_seed : fmt::format("chaosgate replay {}", (output_.directory / file).string());
    for (report::ViolationEvent& violation : event.violations) {
      violation.bundle = file;
      violation.command = command;
    }
    if (first_command_.empty()) {
      first_command_ = command;
    }
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
    const RegressionList list = read_regressions(config_.results, engine_.name);
    if (!list.note.empty()) {
      output_.log(list.note);
    }
    for (const Regression& regression : list.entries) {
      if (ended()) {
        return;
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
    const report::EngineTally& tally = section_.tally;
    if (stop_.requested() || failures_ >= config_.failures_max || !config_.kill) {
      return;
    }
    if (tally.kills < config_.kills) {
      section_.inconclusive.push_back(fmt::format("{} of {} kills landed", tally.kills, config_.kills));
    }
    if (tally.cycles > 0 && tally.at_risk_cycles * 100 < tally.cycles * config_.at_risk_percent_min) {
      section_.inconclusive.push_back(
          fmt::format("acknowledged entries were at risk in {} of {} cycles, fewer than {} %",
                      tally.at_risk_cycles, tally.cycles, config_.at_risk_percent_min));
    }
    if (config_.kills >= kKillsPerStep * section_.steps_expected.size()) {
      for (const std::string& step : section_.steps_expected) {
        if (!tally.kills_by_step.contains(step)) {
          section_.inconclusive.push_back(fmt::format("no kill landed at step {}", step));
        }
      }
    }
    if (config_.kills >= kKillsPerClass * section_.kinds_expected.size() && config_.plans.empty()) {
      for (const std::string& kind : section_.kinds_expected) {
        if (!tally.kills_by_kind.contains(kind)) {
          section_.inconclusive.push_back(fmt::format("no {} kill landed", kind));
        }
      }
    }
    if (config_.key.plan.call) {
      for (const std::string& file_class : tally.zero_classes()) {
        if (config_.kills >= kKillsPerClass * classes_) {
          section_.inconclusive.push_back(
              fmt::format("no kill landed at a storage call of class {}", file_class));
        }
      }
    }
  }

 public:
  const std::string& first_command() const { return first_command_; }
  const EngineSection& section() const { return section_; }

 private:
  const CampaignConfig& config_;
  const wire::EngineDescription& engine_;
  fs::path work_;
  StopSignal& stop_;
  CampaignOutput& output_;
  report::EventLog& events_;
  std::uint64_t classes_ = 0;  // of the engine's files, and of ours
  std::mutex mutex_;           // guards what follows
  EngineSection section_;
  std::string first_command_;
  std::uint64_t failures_ = 0;
  std::uint64_t lanes_made_ = 0;
  bool ended_ = false;
  std::exception_ptr error_;
};

fs::path make_result_directory(const CampaignConfig& config) {
  std::error_code error;
  fs::create_directories(config.results, error);
  if (error) {
    throw UsageError(fmt::format("--results {}: {}", config.results.string(), error.message()));
  }
  const std::string base = fmt::format("{}-{}-{}", utc_now("%Y%m%dT%H%M%SZ"), fmt::join(config.engines, "+"),
                                       seed_text(config.key.seed));
  for (int attempt = 0; attempt < 100; ++attempt) {  // two campaigns may start in one second
    const fs::path path = config.results / (attempt == 0 ? base : fmt::format("{}.{}", base, attempt));
    if (fs::create_directory(path, error)) {
      return path;
    }
    if (error) {
      break;
    }
  }
  throw UsageError(
      fmt::format("--results {}: cannot create {}: {}", config.results.string(), base, error.message()));
}

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

// What is left when storage calls cannot be seen. Throws UsageError when nothing is, or when it was asked
// for.
CampaignConfig without_tap(CampaignConfig config, const std::string& reason) {
  crash::PlanOptions& plan = config.key.plan;
  // What was asked for is done or refused. Kills at storage calls alone are a choice of ours.
  const std::string asked = config.power ? "power" : plan.io ? "io" : "";
  if (!asked.empty()) {
    throw UsageError(fmt::format("--faults {}: storage calls cannot be seen here: {}", asked, reason));
  }
  if (config.tap == TapUse::always || (!plan.timer && !plan.step) || !config.plans.empty()) {
    throw UsageError("storage calls cannot be seen here: " + reason);
  }
  plan.call = false;
  return config;
}

bool uses_tap(const CampaignConfig& config) {
  const crash::PlanOptions& plan = config.key.plan;
  return config.tap != TapUse::off &&
         (config.tap == TapUse::always || plan.call || plan.io || config.power || !config.plans.empty());
}

// Kills without storage calls are left, and nobody asked for more.
bool can_do_without_tap(const CampaignConfig& config) {
  const crash::PlanOptions& plan = config.key.plan;
  return config.kill && !config.power && !plan.io && config.plans.empty() &&
         config.tap == TapUse::automatic && (plan.timer || plan.step);
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
    if (!why.empty() && !can_do_without_tap(config)) {
      throw UsageError(fmt::format(
          "{}: {}; power cuts and I/O errors need to see them, '--faults kill --tap off' does not", name,
          why));
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

std::string campaign_checksum(const CampaignConfig& config) {
  std::uint64_t checksum = 0;
  for (std::uint64_t lane = 0; lane < config.lanes; ++lane) {
    checksum = checksum * 31 + plan_checksum(config.key, lane_protocol(config.protocol, lane), lane,
                                             config.kills / config.lanes);
  }
  return fmt::format("{:016x}", checksum);
}

}  // namespace

std::string utc_now(const char* format) {
  return fmt::format(fmt::runtime(fmt::format("{{:{}}}", format)), fmt::gmtime(std::time(nullptr)));
}

std::string seed_text(std::uint64_t seed) { return fmt::format("{:#x}", seed); }

std::string replay_command(const PlanKey& key, const std::string& engine, wire::Protocol protocol,
                           std::uint64_t lane, std::uint64_t cycle) {
  const PlanKey defaults;
  std::string command = fmt::format("chaosgate replay {} --engine {} --protocol {} --lane {} --cycle {}",
                                    seed_text(key.seed), engine, wire::to_string(protocol), lane, cycle);
  if (key.workload != defaults.workload) {
    command += " --workload " + key.workload;
  }
  if (!key.fault.empty()) {
    command += " --fault " + key.fault;
  }
  if (!key.plan.timer || !key.plan.step || !key.plan.call) {
    command += " --crash " + crash_kinds_text(key.plan);
  }
  if (key.plan.io) {
    command += " --faults kill,io";
  }
  if (!key.plan.recrash) {
    command += " --no-recrash";
  }
  if (!key.plan.free_running || !key.plan.scheduled) {
    command += key.plan.scheduled ? " --maintenance scheduled" : " --maintenance free-running";
  }
  if (key.plan.timer_us_max != defaults.plan.timer_us_max) {
    command += fmt::format(" --timer-us-max {}", key.plan.timer_us_max);
  }
  if (key.segment_bytes != defaults.segment_bytes) {
    command += fmt::format(" --segment-bytes {}", key.segment_bytes);
  }
  return command + fmt::format(" --plan-checksum {:016x}", plan_checksum(key, protocol, lane, cycle + 1));
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

CampaignReport run_campaign(const CampaignConfig& given, StopSignal& stop, CampaignOutput& output) {
  CampaignConfig resolved = given;
  const wire::Hello hello = resolve_engines(given.worker, &resolved.engines);
  validate(resolved, hello);
  if (resolved.kill && resolved.replay_regressions && resolved.key.fault.empty() && resolved.replicas == 0) {
    for (const std::string& engine : resolved.engines) {
      read_regressions(resolved.results, engine);  // a damaged file is found before anything is written
    }
  }
  CampaignReport report;
  const std::string no_tap = given.tap == TapUse::off ? "--tap off" : hello.tap_unavailable;
  const CampaignConfig config = no_tap.empty() ? resolved : without_tap(resolved, no_tap);
  const WorkDirectory work(config.directory, config.engines, &stop);
  const std::map<std::string, std::string> untappable = find_untappable(config, hello, work.path(), stop);
  if (output.directory.empty()) {
    output.directory = make_result_directory(config);
  }
  const auto begin = std::chrono::steady_clock::now();

  report.version = chaosgate_version();
  report.libraries = library_versions();
  report.seed = config.key.seed;
  report.plan_checksum = campaign_checksum(config);
  report.started = utc_now("%Y-%m-%dT%H:%M:%SZ");
  report.work_directory_kind = work.kind();
  for (std::string& line : not_tested(config, work.kind(), no_tap)) {
    report.not_tested.push_back(std::move(line));
  }
  for (const auto& [name, why] : untappable) {
    report.not_tested.push_back(
        fmt::format("kills at storage calls of {}: {}; --tap off says so", name, why));
  }
  set_check_context(
      fmt::format("seed {} engines {}", seed_text(config.key.seed), fmt::join(config.engines, "+")));

  output.log(fmt::format("seed {}, plan {}, engines {}, {} each; the same seed repeats operations and plans",
                         seed_text(config.key.seed), report.plan_checksum, fmt::join(config.engines, "+"),
                         work_text(config)));
  report::EventLog events(output.directory / "events.jsonl");
  GroupResult group;
  try {
    if (config.replicas > 0) {
      run_group(untappable.empty() ? config : without_tap(config, untappable.begin()->second), hello,
                work.path(), stop, output, events, &group);
    }
    for (const std::string& name : config.replicas > 0 ? std::vector<std::string>() : config.engines) {
      if (stop.requested()) {
        break;
      }
      const wire::EngineDescription& engine = require_engine(hello, name);
      report.libraries.emplace_back(engine.name, engine.version);
      const bool tappable = !untappable.contains(name);
      const CampaignConfig mine = tappable ? config : without_tap(config, untappable.at(name));
      EngineRun run(mine, engine, work.path(), stop, output, events);
      try {
        run.run();
      } catch (...) {
        report.engines.push_back(run.section());
        throw;
      }
      report.engines.push_back(run.section());
      if (report.command.empty()) {
        report.command = run.first_command();
      }
    }
    if (config.self_test && !stop.requested()) {
      SelfTestOptions options;
      options.seeds = {config.key.seed};
      options.worker = config.worker;
      options.hang_ms = config.hang_ms;
      report.self_test = run_self_test(options, hello, work.path(), stop, output.progress).faults;
    }
  } catch (const std::exception& error) {
    report.harness_fault = error.what();
  }
  if (config.replicas > 0) {
    report.engines = std::move(group.sections);
    report.group = std::move(group.tally);
    report.inconclusive = std::move(group.inconclusive);
    report.command = group.command;
    for (const EngineSection& section : report.engines) {
      report.libraries.emplace_back(section.engine, section.version);
    }
  }
  report.interrupted = stop.requested();
  report.terminated = stop.signal() == SIGTERM;
  report.complete = !report.interrupted && report.harness_fault.empty();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return report;
}

}  // namespace chaosgate::campaign
