#include "harness/campaign/conform.h"

#include "harness/campaign/drive.h"
#include "harness/campaign/worker_parent.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

ConformResult run_check(WorkerParent& parent, const wire::WorkerOrder& order, std::uint32_t hang_ms) {
  ConformResult result;
  result.check = order.conformance_check;
  const std::uint64_t begin_ns = wire::monotonic_ns();
  parent.start(order);
  wire::AwakeBound bound(hang_ms, begin_ns);
  const WorkerParent::Event event = parent.wait(&bound);
  if (event != WorkerParent::Event::death) {
    parent.kill();
  }
  const Exit exit = parent.reap();
  result.ms = (wire::monotonic_ns() - begin_ns) / kNsPerMs;
  const wire::Phase phase = parent.recorder().phase;
  if (event == WorkerParent::Event::overdue) {
    result.outcome = "hung";
    result.detail = "not done within the bound";
  } else if (exit.clean() && phase == wire::Phase::closed) {
    result.outcome = "passed";
  } else if (phase == wire::Phase::failed) {
    result.outcome = "failed";
    result.detail = parent.observations();
  } else {
    result.outcome = "died";
    result.detail = exit.describe();
  }
  return result;
}

}  // namespace

std::vector<ConformResult> run_conformance(const wire::Hello& hello, const wire::EngineDescription& engine,
                                           const ConformOptions& options, const fs::path& directory,
                                           StopSignal& stop) {
  WorkerParent parent(options.worker, {}, directory / "worker.output", &stop);
  wire::WorkerOrder order;
  order.directory = directory / "check";
  order.plugin = engine.plugin;
  order.engine = engine.name;
  order.seed = options.seed;
  std::vector<ConformResult> results;
  for (const std::string& check : hello.conformance_checks) {
    if (stop.requested()) {
      break;
    }
    fs::create_directory(order.directory);
    order.conformance_check = check;
    results.push_back(run_check(parent, order, options.hang_ms));
    fs::remove_all(order.directory);
  }
  return results;
}

}  // namespace chaosgate::campaign
