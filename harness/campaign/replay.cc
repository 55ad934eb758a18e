#include "harness/campaign/replay.h"

#include <fmt/format.h>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/drive.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/tap_setup.h"
#include "workloads/generator.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::Outcome;

ReplayRun replay_seed(const SeedReplay& replay, const fs::path& directory, StopSignal& stop) {
  LaneOptions options;
  options.key = replay.key;
  options.engine = replay.engine;
  options.protocol = replay.protocol;
  options.lane = replay.lane;
  options.directory = directory;
  options.worker = replay.worker;
  options.hang_ms = replay.hang_ms;
  options.keep_images = false;
  options.pinned_before = replay.as_planned ? 0 : replay.cycle;
  options.given = replay.given;
  options.watch = replay.trace;
  options.keep_records = replay.trace;
  Lane lane(options, &stop);
  ReplayRun run;
  while (lane.next_cycle() <= replay.cycle && !stop.requested()) {
    const bool wanted = lane.next_cycle() == replay.cycle;
    run.event = lane.run_cycle(wanted);
    run.records = lane.take_records();
    run.reached = wanted;
    run.violations = run.event.violations;
    if (report::is_abnormal(run.event.crash.outcome)) {
      run.abnormal = run.event.crash.detail;
    }
    for (const report::Death& death : run.event.recrashes) {
      if (report::is_abnormal(death.outcome) && run.violations.empty()) {
        run.abnormal = death.detail;
      }
    }
    if (lane.evidence()) {
      break;
    }
  }
  return run;
}

ReplayRun replay_bundle(const Bundle& bundle, const fs::path& image, const fs::path& directory,
                        const fs::path& worker, std::uint32_t hang_ms, StopSignal& stop) {
  fs::create_directory(directory);
  const fs::path data = directory / "data";
  if (bundle.recovery.order.create || !fs::exists(image)) {
    fs::create_directory(data);
  } else {
    copy_tree(image, data);
  }
  const workloads::Generator generator(bundle.key.workload, bundle.key.seed);
  std::unique_ptr<oracle::Oracle> oracle;
  if (const Status status = oracle::Oracle::load(bundle.recovery.belief, generator, &oracle); !status.ok()) {
    throw UsageError("the bundle's belief cannot be read: " + status.to_string());
  }
  // The recovery is judged to its end: an ordered death in the middle of it would only hide what follows.
  const bool load_failed = bundle.recovery.violations.empty();
  wire::WorkerOrder order = bundle.recovery.order;
  order.directory = data.string();
  order.recovery_crash.clear();
  order.load = load_failed && order.load;
  oracle->begin_term(order.term);
  RecoveryJudge judge(*oracle, order, bundle.recovery.crash);
  std::unique_ptr<tap::Tap> tap;
  WorkerParent parent(worker, directory / "worker.output", &stop);
  if (order.load && load_needs_tap(bundle.plan)) {
    const wire::EngineDescription* engine = wire::find_engine(parent.hello(), order.engine);
    CHECK(engine != nullptr);
    tap = std::make_unique<tap::Tap>(tap_options(*engine, data));
  }
  order.tap = tap != nullptr;
  Driven driven = drive_recovery(parent, judge, RecoveryEnd::ready, 0, hang_ms, {tap.get(), {}});
  ReplayRun run;
  if (driven.ready) {
    const crash::CyclePlan& plan = bundle.plan;
    const bool timer = plan.kind == crash::CrashKind::timer;
    driven =
        drive_load(parent, timer ? std::optional(plan.timer_us) : std::nullopt, hang_ms, load_faults(plan));
  }
  run.violations = judge.violation_events();
  if (report::is_abnormal(driven.outcome) && run.violations.empty()) {
    run.abnormal = driven.detail.empty() ? judge.abnormal() : driven.detail;
  }
  run.reached = true;
  std::error_code ignored;
  fs::remove_all(directory, ignored);
  return run;
}

}  // namespace chaosgate::campaign
