#include "harness/campaign/minimize.h"

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/image_judge.h"
#include "harness/disk/minimize.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

std::unique_ptr<const disk::History> history_of(const PowerCase& power) {
  std::unique_ptr<const disk::History> history;
  if (const Status status = disk::History::create(power.trace, &history); !status.ok()) {
    throw UsageError("the bundle's trace cannot be used: " + status.message());
  }
  if (const Status status = disk::fits(*history, power.spec); !status.ok()) {
    throw UsageError("the bundle's image does not fit its trace: " + status.message());
  }
  return history;
}

std::uint64_t losses(const disk::ImageSpec& spec) { return spec.dropped.size() + spec.torn.size(); }

// Judges images of one trace.
class Trial {
 public:
  Trial(const Bundle& bundle, const wire::EngineDescription& engine, const fs::path& directory,
        ImageJudge& judge)
      : recovery_(bundle.recovery), engine_(engine), directory_(directory), judge_(judge) {}

  // Makes the image in `directory`, made anew, and says what must hold for it.
  RecoveryCase make(const PowerCase& power, const disk::History& history, disk::Imager& imager,
                    const disk::ImageSpec& spec, const fs::path& directory) const {
    fs::remove_all(directory);
    fs::create_directory(directory);
    imager.materialize(spec, directory);
    RecoveryCase recovery = recovery_;
    recovery.crash = crash_indexes_at(engine_, power.indexes, history, spec.cut);
    recovery.order.known_synced = recovery.crash.synced;
    return recovery;
  }

  ImageJudge::Verdict judge(const PowerCase& power, const disk::History& history, disk::Imager& imager,
                            const disk::ImageSpec& spec) const {
    return ImageJudge::judge_again([&] {
      const fs::path data = directory_ / "trial";
      const RecoveryCase recovery = make(power, history, imager, spec, data);
      return judge_.judge(recovery, data);
    });
  }

 private:
  const RecoveryCase& recovery_;
  const wire::EngineDescription& engine_;
  const fs::path& directory_;
  ImageJudge& judge_;
};

}  // namespace

MinimizeResult minimize_bundle(const Bundle& bundle, const wire::EngineDescription& engine,
                               const fs::path& directory, const fs::path& worker, std::uint32_t hang_ms,
                               std::uint32_t tests_max, StopSignal& stop) {
  if (!bundle.power) {
    throw UsageError("the bundle is of a kill, not of a power cut: there is no disk image to reduce");
  }
  const PowerCase& power = *bundle.power;
  const std::unique_ptr<const disk::History> history = history_of(power);
  Orders orders(*history, power.profile);
  disk::Imager imager(*history, power.base);
  ImageJudge judge(worker, bundle.recovery.order.plugin, directory / "worker.output", bundle.key.workload,
                   bundle.key.seed, hang_ms, &stop);
  const Trial trial(bundle, engine, directory, judge);

  MinimizeResult result;
  const ImageJudge::Verdict first = trial.judge(power, *history, imager, power.spec);
  if (!first.failed()) {
    throw UsageError("the bundle's image does not fail here: there is nothing to reduce");
  }
  result.invariant = first.first_broken();
  std::string explanation;  // of the last that failed
  const auto fails = [&](const disk::ImageSpec& spec) {
    const ImageJudge::Verdict verdict = trial.judge(power, *history, imager, spec);
    const bool failed = verdict.failed() && verdict.first_broken() == result.invariant;
    if (failed) {
      explanation = verdict.violations.empty() ? verdict.abnormal : verdict.violations.front().explanation;
    }
    return failed;
  };
  disk::Minimized minimized = disk::minimize(orders.explored(), power.spec, fails, {.tests_max = tests_max});
  orders.weaken(&minimized.spec, fails);
  const bool lost = !loses_nothing(minimized.spec);
  const bool needs_cut = lost || !fails(without_cut(*history));
  if (!needs_cut) {
    minimized.spec = without_cut(*history);
  }
  result.tests = minimized.tests;
  result.minimal = minimized.minimal;
  result.profile = orders.weakest(minimized.spec);
  result.lost_before = losses(power.spec);
  result.lost_after = losses(minimized.spec);
  result.calls_before = power.trace.records.size();

  result.power = power;
  result.power.spec = minimized.spec;
  const fs::path base = directory / "smaller-base";
  fs::create_directory(base);
  PowerCase smaller = without_settled_calls(result.power, *history, imager, engine, base);
  const std::unique_ptr<const disk::History> short_history = history_of(smaller);
  disk::Imager short_imager(*short_history, base);
  const ImageJudge::Verdict again = trial.judge(smaller, *short_history, short_imager, smaller.spec);
  const bool shorter = again.failed() && again.first_broken() == result.invariant;
  if (shorter) {
    result.power = std::move(smaller);
  }
  // It numbers the calls as the trace that is kept does.
  result.sentence = needs_cut ? disk::explain(shorter ? *short_history : *history, result.power.spec)
                              : cause_without_cut(result.invariant, explanation);
  if (needs_cut && !lost) {
    result.sentence += "; without a power cut it is right";
  }
  result.calls_after = result.power.trace.records.size();
  result.image = directory / "smaller-image";
  result.bundle = bundle;
  result.bundle.power.reset();
  for (report::ViolationEvent& violation : result.bundle.event.violations) {
    violation.detail += fmt::format("      minimized: {}\n      its image: {}\n", result.sentence,
                                    disk::to_string(result.power.spec));
  }
  result.bundle.recovery =
      shorter ? trial.make(result.power, *short_history, short_imager, result.power.spec, result.image)
              : trial.make(result.power, *history, imager, result.power.spec, result.image);
  return result;
}

}  // namespace chaosgate::campaign
