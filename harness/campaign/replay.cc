#include "harness/campaign/replay.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/drive.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/image_judge.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/power_campaign.h"
#include "harness/campaign/tap_setup.h"
#include "harness/report/facts.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::Outcome;

namespace {

// Of a worker whose end says nothing of the engine; else empty.
std::string says_nothing(Outcome outcome, const std::string& detail) {
  return outcome == Outcome::stopped   ? "interrupted"
         : outcome == Outcome::outside ? "a worker ended from outside: " + detail
                                       : "";
}

void take_finding(const report::PowerFinding& finding, ReplayRun* run) {
  ++run->images_failed;
  if (!finding.promised) {
    run->not_promised.push_back(fmt::format("{}: {}", finding.invariant, finding.cause));
    return;
  }
  const std::string explanation =
      finding.cause + (finding.explanation.empty() ? "" : ": " + finding.explanation);
  if (std::none_of(run->violations.begin(), run->violations.end(), [&](const auto& known) {
        return known.invariant == finding.invariant && known.explanation.starts_with(finding.cause);
      })) {
    run->violations.push_back({finding.invariant, explanation,
                               finding.detail.empty() ? explanation + "\n" : finding.detail, "", "", ""});
  }
}

// Takes down what the lane's next load is, and what its images show.
void listen(PowerLane& lane, ReplayRun* run) {
  lane.on_recording = [run](const PowerRecording& recording) { run->records = recording.trace.records; };
  lane.explorer().on_failure = [run](const PowerFailure&, report::PowerFinding* finding) {
    take_finding(*finding, run);
  };
  lane.explorer().on_repeat = [run](const report::PowerFinding& finding) { take_finding(finding, run); };
}

// The lane could not go on.
void take_end(const PowerLane& lane, ReplayRun* run) {
  if (!lane.broken_by_kill()) {
    return;
  }
  run->event = *lane.broken_by_kill();
  run->violations = run->event.violations;
  const report::Death& death = run->event.last_death();
  run->not_judged = says_nothing(death.outcome, death.detail);
  if (run->violations.empty() && report::is_abnormal(death.outcome)) {
    run->abnormal = death.detail;
  }
}

}  // namespace

ReplayRun replay_load(const LoadReplay& replay, const fs::path& directory, StopSignal& stop) {
  ReplayRun run;
  std::uint64_t number = 0;
  bool more = true;
  for (PowerWork& work : power_works(replay.config, replay.engine, replay.lane)) {
    if (!more || stop.requested()) {
      break;
    }
    work.options.directory = directory;
    PowerLane lane(work.options, &stop);
    for (std::uint64_t load = 0; more && !stop.requested() && lane.tally().judged < work.images &&
                                 (work.loads == 0 || load < work.loads);
         ++load, ++number) {
      run.reached = number == replay.load;
      if (run.reached) {
        listen(lane, &run);
      }
      const std::uint64_t before = lane.tally().judged;
      more = lane.run_load(run.reached && replay.trace ? 0 : work.images - before);
      if (run.reached) {
        run.images = lane.tally().judged - before;
        take_end(lane, &run);
        if (stop.requested()) {
          run.not_judged = "interrupted";
        }
        return run;
      }
      more = more || (lane.broken_by_kill() && lane.go_on());
    }
    take_end(lane, &run);
  }
  if (stop.requested()) {
    run.not_judged = "interrupted";
  } else if (run.not_judged.empty() && run.violations.empty() && run.abnormal.empty()) {
    run.not_judged = fmt::format("lane {} has only {}", replay.lane, report::plural(number, "load"));
  }
  return run;
}

bool is_same_finding(const Bundle& bundle, const ReplayRun& run) {
  const std::vector<oracle::Violation>& wanted = bundle.recovery.violations;
  if (wanted.empty()) {
    return run.violations.empty() && !run.abnormal.empty();
  }
  return std::any_of(run.violations.begin(), run.violations.end(), [&](const auto& found) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const oracle::Violation& one) {
      return oracle::to_string(one.invariant) == found.invariant;
    });
  });
}

ReplayRun replay_seed(const SeedReplay& replay, const fs::path& directory, StopSignal& stop) {
  LaneOptions options{replay};
  options.directory = directory;
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
      return run;
    }
    if (!run.event.recovered) {
      const report::Death& death = run.event.last_death();
      run.not_judged = says_nothing(death.outcome, death.detail);
      break;
    }
  }
  if (run.not_judged.empty() && !(run.reached && run.event.recovered)) {
    run.not_judged = stop.requested() ? "interrupted" : "the wanted cycle was not reached";
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
  const bool load_failed = bundle.recovery.violations.empty();
  RecoveryCase recovery = bundle.recovery;
  recovery.order.load = load_failed && recovery.order.load;
  std::unique_ptr<tap::Tap> tap;
  ImageJudge judge(worker, recovery.order.plugin, directory / "worker.output", bundle.key.workload,
                   bundle.key.seed, hang_ms, &stop);
  if (recovery.order.load && load_needs_tap(bundle.plan)) {
    const wire::EngineDescription& engine = require_engine(judge.parent().hello(), recovery.order.engine);
    tap = std::make_unique<tap::Tap>(tap_options(engine, data));
  }
  const ImageJudge::Verdict verdict = judge.judge(recovery, data, tap.get(), true);
  ReplayRun run;
  run.violations = verdict.events;
  run.abnormal = verdict.outside ? "" : verdict.abnormal;
  run.not_judged = says_nothing(verdict.driven.outcome, verdict.driven.detail);
  if (verdict.driven.ready) {
    const crash::CyclePlan& plan = bundle.plan;
    const bool timer = plan.kind == crash::CrashKind::timer;
    const Driven driven = drive_load(judge.parent(), timer ? std::optional(plan.timer_us) : std::nullopt,
                                     hang_ms, load_faults(plan));
    if (report::is_abnormal(driven.outcome) && run.violations.empty()) {
      run.abnormal = driven.detail;
    }
    run.not_judged = says_nothing(driven.outcome, driven.detail);
  }
  run.reached = true;
  std::error_code ignored;
  fs::remove_all(directory, ignored);
  return run;
}

}  // namespace chaosgate::campaign
