#include "harness/campaign/self_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <mutex>
#include <optional>

#include "harness/base/error.h"
#include "harness/base/rng.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/group.h"
#include "harness/campaign/group_power.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/migrate_gate.h"
#include "harness/campaign/power.h"
#include "harness/campaign/threads.h"
#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {
namespace {

// One lane that runs until something is found or the kills are used up.
struct Job {
  std::string plugin;
  std::string engine;
  wire::Protocol protocol;
  const wire::FaultDescription* fault;  // nullptr: a control
  std::uint64_t seed;
  bool io = false;  // with I/O errors; a fault that needs one gets one in every load
  std::uint64_t kills_max;
  report::FaultResult* found = nullptr;
  ControlResult* control = nullptr;
};

std::string finding(const report::CycleEvent& event) {
  if (!event.violations.empty()) {
    return fmt::format("cycle {}: {}: {}", event.cycle, event.violations.front().invariant,
                       event.violations.front().explanation);
  }
  const report::Death& death = event.last_death();
  return fmt::format("cycle {}: {}", event.cycle, death.detail);
}

LaneTarget target_of(const Job& job, const SelfTestOptions& options) {
  LaneTarget target;
  target.key.seed = job.seed;
  target.key.fault = job.fault != nullptr ? job.fault->name : "";
  target.plugin = job.plugin;
  target.engine = job.engine;
  target.protocol = job.protocol;
  target.worker = options.worker;
  target.hang_ms = options.hang_ms;
  return target;
}

// Small values put many records on a page, large ones let a record begin on a page of its own: some faults
// need the one, some the other. Each has its share of the images, and loads of its own.
constexpr std::array<const char*, 2> kPowerWorkloads = {"small", "rollover"};

// The profile that a fault is to be found under is explored for so many times longer than those that must not
// show it: time is no cause of a miss.
constexpr std::uint64_t kPatience = 12;

// One lane over one workload. They take turns, so that what one of them shows is not found late.
struct PowerTrial {
  PowerExploration how;
  std::uint64_t lane = 0;
  std::uint64_t images = 0;  // at most

  const char* workload() const { return kPowerWorkloads.at(lane % kPowerWorkloads.size()); }
  std::uint64_t turn() const { return lane / kPowerWorkloads.size(); }
};

// Explores the profiles one after the other, from the one that allows the fewest images: the first that shows
// the fault is the weakest. explore(trial, row) counts its images in the row and returns the invariant that
// did not hold, if any; it may also set that of the row, for what no power cut broke, and then nothing more
// is tried.
template <typename Explore>
void explore_profiles(const Job& job, std::uint64_t images_max, StopSignal& stop, const Explore& explore) {
  report::FaultResult& row = *job.found;
  for (const std::string& name : job.fault->power_profiles) {
    PowerTrial trial;
    if (const Status status = disk::parse_profile(name, &trial.how.profile); !status.ok()) {
      throw UsageError(fmt::format("planted fault {}: {}", job.fault->name, status.message()));
    }
    trial.how.stop_at_first = true;
    if (job.io) {
      trial.how.images_per_load = kImagesPerLoadWithErrors;
    }
    trial.how.explained_max = 0;
    trial.how.in_recovery = name == row.profile_expected;
    trial.images = images_max / kPowerWorkloads.size();
    const std::uint64_t trials = kPowerWorkloads.size() * (name == row.profile_expected ? kPatience : 1);
    for (trial.lane = 0; trial.lane < trials; ++trial.lane) {
      const std::optional<std::string> invariant = explore(trial, row);
      if (stop.requested() || !row.invariant.empty()) {
        return;
      }
      if (invariant) {
        row.invariant = *invariant;
        row.profile = name;
        row.found = row.profile == row.profile_expected;
        row.kills_until_found = row.kills;
        return;
      }
    }
  }
}

void run_power_job(const Job& job, const SelfTestOptions& options, const std::filesystem::path& directory,
                   StopSignal& stop) {
  explore_profiles(job, options.images_max, stop, [&](const PowerTrial& trial, report::FaultResult& row) {
    PowerOptions power{target_of(job, options), trial.how, directory};
    power.key.workload = trial.workload();
    power.key.plan.io = job.io;
    power.key.plan.io_one_in = 1;
    power.lane = trial.lane;
    PowerLane lane(power, &stop);
    for (bool more = true; more && lane.tally().judged < trial.images;) {
      more = lane.run_load(trial.images - lane.tally().judged);
    }
    row.kills += lane.tally().judged;
    if (lane.broken_by_kill()) {
      row.invariant = "after a kill alone: " + finding(*lane.broken_by_kill());
    }
    return lane.tally().findings.empty() ? std::nullopt
                                         : std::optional(lane.tally().findings.front().invariant);
  });
}

std::vector<LaneTarget> group_of(const Job& job, const SelfTestOptions& options, bool tappable) {
  std::vector<LaneTarget> members;
  for (const std::string& engine : job.fault->replicas) {
    LaneTarget target = target_of(job, options);
    target.engine = engine;
    target.lane = members.size();
    target.key.plan.call = tappable;
    members.push_back(std::move(target));
  }
  return members;
}

// The same for replicas of a group.
void run_group_power_job(const Job& job, const SelfTestOptions& options,
                         const std::filesystem::path& directory, StopSignal& stop) {
  explore_profiles(job, options.images_max, stop, [&](const PowerTrial& trial, report::FaultResult& row) {
    GroupPowerOptions group;
    static_cast<PowerExploration&>(group) = trial.how;
    group.members = group_of(job, options, true);
    for (LaneTarget& member : group.members) {
      member.key.workload = trial.workload();
      // The lane of a member is its number, so turns differ in their seed.
      member.key.seed = Rng(job.seed).fork("turn").fork(trial.turn()).next();
    }
    group.directory = directory;
    GroupPower power(group, &stop);
    const std::uint64_t images = trial.images / group.members.size();
    for (bool more = true; more && power.judged_min() < images;) {
      more = power.run_cycle(images);
    }
    std::optional<std::string> found;
    for (std::size_t i = 0; i < power.size(); ++i) {
      const report::PowerTally& tally = power.explorer(i).tally();
      row.kills += tally.judged;
      if (!found && !tally.findings.empty()) {
        found = tally.findings.front().invariant;
      }
    }
    for (const auto& member : power.group().members()) {
      if (!power.broken_by_kill() || !member->evidence()) {
        continue;
      }
      const std::vector<report::CycleEvent> events = member->take_events();
      row.invariant = "after a kill alone: " + (events.empty() ? "abnormal death" : finding(events.back()));
    }
    return found;
  });
}

void run_group_job(const Job& job, const SelfTestOptions& options, bool tappable,
                   const std::filesystem::path& directory, StopSignal& stop) {
  GroupOptions group_options;
  group_options.members = group_of(job, options, tappable);
  group_options.directory = directory;
  group_options.keep_images = false;
  Group group(group_options, &stop);
  report::FaultResult& row = *job.found;
  const std::uint64_t kills_max = job.kills_max * job.fault->replicas.size();  // each of them dies in a cycle
  while (row.kills < kills_max && !row.found && !stop.requested()) {
    group.run_cycle();
    for (const auto& member : group.members()) {
      for (const report::CycleEvent& event : member->take_events()) {
        report::EngineTally tally;
        tally.add(event);
        row.kills += tally.kills;
        if (!event.violations.empty() && !row.found) {
          row.found = true;
          row.invariant = event.violations.front().invariant;
          row.kills_until_found = row.kills;
        }
      }
    }
  }
}

void run_migration_job(const Job& job, const SelfTestOptions& options, const wire::Hello& hello,
                       const std::filesystem::path& directory, StopSignal& stop) {
  report::FaultResult& row = *job.found;
  MigrationGateOptions gate;
  gate.from = require_engine(hello, job.fault->migrates_from);
  gate.to = require_engine(hello, job.engine);
  gate.seed = job.seed;
  gate.fault = job.fault->name;
  gate.kills = row.by_power_cut ? 0 : job.kills_max;
  gate.images = row.by_power_cut ? options.images_max : 0;
  if (row.by_power_cut) {
    gate.profile = disk::named_profile(row.profile_expected);
  }
  gate.findings_max = 1;
  gate.worker = options.worker;
  gate.directory = make_directory(directory);
  gate.failures = directory / "failures";
  gate.hang_ms = options.hang_ms;
  const report::MigrationTally tally = run_migration_gate(gate, stop, nullptr);
  row.kills = row.kills_until_found = row.by_power_cut ? tally.images : tally.kills;
  if (!tally.findings.empty()) {
    row.invariant = "migration";
    row.profile = tally.findings.front().profile;
    row.found = row.profile == row.profile_expected;
  } else if (!tally.harness_fault.empty()) {
    throw EnvironmentError(tally.harness_fault);
  }
}

void run_job(const Job& job, const SelfTestOptions& options, bool tappable,
             const std::filesystem::path& directory, StopSignal& stop) {
  LaneOptions lane_options{target_of(job, options)};
  lane_options.key.plan.io = job.io;
  if (job.found != nullptr) {
    lane_options.key.plan.io_one_in = 1;
  }
  lane_options.key.plan.call = tappable;
  lane_options.directory = directory;
  lane_options.keep_images = false;
  Lane lane(lane_options, &stop);
  report::EngineTally tally;
  while (tally.kills < job.kills_max && !stop.requested()) {
    const report::CycleEvent event = lane.run_cycle(false);
    tally.add(event);
    if (job.found != nullptr && !event.violations.empty()) {
      job.found->found = true;
      job.found->invariant = event.violations.front().invariant;
      job.found->kills_until_found = tally.kills;
      break;
    }
    if (job.control != nullptr && lane.evidence()) {
      job.control->findings.push_back(finding(event));
      break;
    }
  }
  if (job.found != nullptr) {
    job.found->kills = tally.kills;
  } else {
    job.control->kills = tally.kills;
  }
}

std::vector<wire::FaultDescription> choose(const SelfTestOptions& options, const wire::Hello& hello) {
  if (options.faults.empty()) {
    return hello.faults;
  }
  std::vector<wire::FaultDescription> chosen;
  for (const std::string& name : options.faults) {
    chosen.push_back(require_fault(hello, name));
  }
  return chosen;
}

}  // namespace

SelfTestResult run_self_test(const SelfTestOptions& options, const wire::Hello& hello,
                             const std::filesystem::path& directory, StopSignal& stop,
                             report::Progress* progress) {
  SelfTestResult result;
  for (const wire::FaultDescription& fault : choose(options, hello)) {
    for (const std::uint64_t seed : options.seeds) {
      report::FaultResult row;
      row.fault = fault.name;
      row.layer = fault.layer;
      row.engine = fault.engine;
      row.protocol = wire::to_string(fault.protocol);
      row.published_as = fault.published_as;
      row.seed = seed;
      row.by_power_cut = !fault.power_profiles.empty();
      row.profile_expected = row.by_power_cut ? fault.power_profiles.back() : "";
      result.faults.push_back(std::move(row));
    }
  }
  if (options.control_kills > 0) {
    for (const wire::EngineDescription& engine : hello.engines) {
      if (!options.control_engines.empty() &&
          std::find(options.control_engines.begin(), options.control_engines.end(), engine.name) ==
              options.control_engines.end()) {
        continue;
      }
      for (const wire::Protocol protocol : {wire::Protocol::in_batch, wire::Protocol::sidecar}) {
        for (const std::uint64_t seed : options.seeds) {
          result.controls.push_back({engine.name, std::string(wire::to_string(protocol)), seed, 0, {}});
        }
      }
    }
  }
  const bool tappable = hello.tap_unavailable.empty();
  std::vector<Job> jobs;
  for (report::FaultResult& row : result.faults) {
    const wire::FaultDescription& fault = require_fault(hello, row.fault);
    jobs.push_back({"", row.engine, fault.protocol, &fault, row.seed, tappable && fault.needs_io_error,
                    options.kills_max, &row, nullptr});
  }
  for (ControlResult& row : result.controls) {
    jobs.push_back({require_engine(hello, row.engine).plugin, row.engine, *wire::parse_protocol(row.protocol),
                    nullptr, row.seed, tappable, options.control_kills, nullptr, &row});
  }

  std::mutex mutex;
  std::size_t next = 0;
  std::uint64_t unexpected = 0;
  std::vector<bool> told(result.faults.size());
  const auto tried = [&](std::size_t number) {  // faults are the first jobs
    told[number] = true;
    if (options.on_fault) {
      options.on_fault(number, result.faults[number]);
    }
  };
  const auto work = [&] {
    for (;;) {
      std::size_t mine = 0;
      {
        const std::lock_guard lock(mutex);
        if (next == jobs.size() || stop.requested()) {
          return;
        }
        mine = next++;
        if (progress != nullptr) {
          progress->update({"self-test", mine, jobs.size(), "trial", unexpected});
        }
      }
      const std::filesystem::path place = directory / fmt::format("self-test-{}", mine);
      const Job& job = jobs[mine];
      if (job.fault != nullptr && !job.fault->migrates_from.empty()) {
        run_migration_job(job, options, hello, place, stop);
      } else if (job.fault != nullptr && !job.fault->power_profiles.empty() && !job.fault->replicas.empty()) {
        run_group_power_job(job, options, place, stop);
      } else if (job.fault != nullptr && !job.fault->power_profiles.empty()) {
        run_power_job(job, options, place, stop);
      } else if (job.fault != nullptr && !job.fault->replicas.empty()) {
        run_group_job(job, options, tappable, place, stop);
      } else {
        run_job(job, options, tappable, place, stop);
      }
      const std::lock_guard lock(mutex);
      if (jobs[mine].found != nullptr) {
        tried(mine);
      }
      if (jobs[mine].control != nullptr) {
        unexpected += jobs[mine].control->findings.size();
        if (options.on_control) {
          options.on_control(mine - result.faults.size(), *jobs[mine].control);
        }
      }
    }
  };
  run_threads(
      options.threads, [&](std::uint64_t) { work(); },
      [&] {
        const std::lock_guard lock(mutex);
        next = jobs.size();
      });
  for (std::size_t i = 0; i < told.size(); ++i) {
    if (!told[i]) {
      tried(i);
    }
  }
  return result;
}

}  // namespace chaosgate::campaign
