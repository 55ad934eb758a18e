#include "harness/campaign/conform.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "harness/campaign/drive.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/tap_probe.h"
#include "harness/campaign/work_directory.h"
#include "harness/campaign/worker_parent.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

// `outside`: the worker was killed or stopped, which nothing here orders.
ConformResult try_check(WorkerParent& parent, const wire::WorkerOrder& order, std::uint32_t hang_ms,
                        bool* outside) {
  ConformResult result;
  result.check = order.conformance_check;
  const std::uint64_t begin_ns = wire::monotonic_ns();
  parent.start(order);
  wire::AwakeBound bound(hang_ms, begin_ns);
  const WorkerParent::Event event = parent.wait(&bound);
  const bool stopped = event == WorkerParent::Event::overdue && parent.is_stopped();
  if (event != WorkerParent::Event::death) {
    parent.kill();
  }
  const Exit exit = parent.reap();
  result.ms = (wire::monotonic_ns() - begin_ns) / kNsPerMs;
  const wire::Phase phase = parent.recorder().phase;
  *outside = stopped || (event == WorkerParent::Event::death && exit.by_sigkill());
  if (event == WorkerParent::Event::overdue) {
    result.outcome = "hung";
    result.detail = stopped ? "stopped by a signal (SIGSTOP, or a debugger) until the bound was over"
                            : "not done within the bound";
  } else if (exit.clean() && phase == wire::Phase::closed) {
    result.outcome = "passed";
    result.note = parent.observations();
  } else if (phase == wire::Phase::failed) {
    result.outcome = "failed";
    result.detail = parent.observations();
  } else {
    result.outcome = "died";
    result.detail = exit.describe();
  }
  return result;
}

// A check that somebody else ended says nothing, and is tried again; what ends so every time is the engine's.
ConformResult run_check(WorkerParent& parent, const wire::WorkerOrder& order, std::uint32_t hang_ms) {
  constexpr int kTries = 3;
  ConformResult result;
  bool outside = true;
  for (int tried = 0; tried < kTries && outside; ++tried) {
    fs::remove_all(order.directory);
    fs::create_directory(order.directory);
    result = try_check(parent, order, hang_ms, &outside);
  }
  return result;
}

constexpr std::uint64_t kKills = 60;
constexpr std::uint64_t kCyclesPerKill = 5;  // at most; not every planned place is reached

LaneOptions kill_options(const wire::Hello& hello, const wire::EngineDescription& engine,
                         const ConformOptions& options, const fs::path& directory, StopSignal& stop,
                         ConformResult* result) {
  LaneOptions lane;
  lane.key.seed = options.seed;
  lane.key.fault = options.fault;
  lane.plugin = engine.plugin;
  lane.engine = engine.name;
  lane.worker = options.worker;
  lane.hang_ms = options.hang_ms;
  std::string no_tap = hello.tap_unavailable;
  if (no_tap.empty() && !engine.plugin.empty()) {
    no_tap = why_untappable(lane, directory / "tap-probe", &stop);
  }
  // At storage calls, of which a batch that is not atomic needs several; else whenever a timer says.
  crash::PlanOptions& plan = lane.key.plan;
  plan.call = no_tap.empty();
  plan.timer = plan.free_running = !plan.call;
  plan.step = plan.recrash = false;
  if (!no_tap.empty()) {
    result->note = "storage calls cannot be seen (" + no_tap + "): the kills came at any time instead";
  }
  lane.directory = directory / "killed";
  lane.keep_images = false;
  return lane;
}

// Nothing when it was stopped.
std::optional<ConformResult> run_kill_check(const wire::Hello& hello, const wire::EngineDescription& engine,
                                            const ConformOptions& options, const fs::path& directory,
                                            StopSignal& stop) {
  ConformResult result;
  result.check = kKillCheck;
  result.outcome = "passed";
  const std::uint64_t begin_ns = wire::monotonic_ns();
  Lane lane(kill_options(hello, engine, options, directory, stop, &result), &stop);
  std::uint64_t kills = 0;
  while (kills < kKills && lane.next_cycle() < kKills * kCyclesPerKill && result.passed()) {
    const report::CycleEvent event = lane.run_cycle(kills + 1 >= kKills);
    kills += event.kills();
    if (stop.requested()) {
      return std::nullopt;
    }
    if (lane.evidence()) {
      const report::Death& death = event.last_death();
      result.outcome = death.outcome == report::Outcome::hung   ? "hung"
                       : death.outcome == report::Outcome::died ? "died"
                                                                : "failed";
      result.detail = event.violations.empty()
                          ? death.detail
                          : fmt::format("after {} kills: {}", kills, event.violations.front().detail);
    }
  }
  if (result.passed() && kills < kKills) {
    result.outcome = "failed";
    result.detail = fmt::format("only {} of {} kills landed", kills, kKills);
  }
  result.ms = (wire::monotonic_ns() - begin_ns) / kNsPerMs;
  return result;
}

}  // namespace

std::vector<ConformResult> run_conformance(const wire::Hello& hello, const wire::EngineDescription& engine,
                                           const ConformOptions& options, const fs::path& directory,
                                           StopSignal& stop) {
  std::vector<ConformResult> results;
  const auto add = [&](ConformResult result) {
    if (!result.passed() && !stop.requested()) {
      check_room(directory, result.detail);
    }
    results.push_back(std::move(result));
    if (options.on_check && !stop.requested()) {  // a check that was interrupted says nothing
      options.on_check(results.back());
    }
  };
  WorkerParent parent(options.worker, {}, directory / "worker.output", &stop);
  wire::WorkerOrder order;
  order.directory = directory / "check";
  order.plugin = engine.plugin;
  order.engine = engine.name;
  order.seed = options.seed;
  for (const std::string& check : hello.conformance_checks) {
    if (stop.requested()) {
      break;
    }
    order.conformance_check = check;
    add(run_check(parent, order, options.hang_ms));
    fs::remove_all(order.directory);
  }
  if (!stop.requested()) {
    if (std::optional<ConformResult> killed = run_kill_check(hello, engine, options, directory, stop)) {
      add(std::move(*killed));
    }
  }
  return results;
}

}  // namespace chaosgate::campaign
