#include "harness/campaign/power_explorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/tap_setup.h"
#include "harness/campaign/versions.h"
#include "harness/campaign/work_directory.h"
#include "harness/crash/load_plan.h"
#include "harness/disk/minimize.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using disk::Explorer;
using disk::History;
using disk::Imager;
using disk::ImageSpec;
using disk::Order;
using disk::Strategy;
using report::PowerFinding;

namespace {

constexpr std::uint32_t kDepthMax = 2;  // levels of power cuts during recovery
// Recoveries that are recorded and explored in turn, of the images of one trace, and images of each.
constexpr std::uint64_t kRecoveriesExplored[kDepthMax] = {3, 1};
constexpr std::uint64_t kRecoveryImages[kDepthMax] = {10, 5};
constexpr std::uint64_t kRecoveriesPart = 3;  // at most one image of so many is kept for them
constexpr std::uint64_t kRecoveryImagesMax =
    kRecoveriesExplored[0] * (kRecoveryImages[0] + kRecoveriesExplored[1] * kRecoveryImages[1]);
constexpr const char* kOutput = "judge.output";  // of workers
constexpr std::uint32_t kExplainTests = 100;

std::string cut_kind(const tap::TraceRecord& call) {
  switch (call.call) {
    case tap::StorageCall::sync:
    case tap::StorageCall::datasync:
    case tap::StorageCall::sync_all:
      return "sync";
    case tap::StorageCall::rename:
      return "rename";
    case tap::StorageCall::unlink:
      return "unlink";
    default:
      return call.write_through ? "sync" : "";
  }
}

// A cut in a recovery goes back to the one before: the second may have lost nothing.
std::string causes(const PowerRecording& recording, const std::string& last) {
  return recording.cause.empty() ? last : recording.cause + "; then, in the recovery from that, " + last;
}

}  // namespace

void require_tap(const wire::Hello& hello) {
  if (!hello.tap_unavailable.empty()) {
    throw UsageError("power cuts need storage calls, which cannot be seen here: " + hello.tap_unavailable);
  }
}

PowerExplorer::PowerExplorer(const PowerOptions& options, const wire::EngineDescription& engine,
                             StopSignal* stop)
    : options_(options),
      engine_(engine),
      judge_(options.worker, options.plugin, make_directory(options.directory) / kOutput,
             options.key.workload, options.key.seed, options.hang_ms, stop),
      stop_(stop),
      rng_(crash::power_stream(options.key.seed, options.lane, options.key.workload)) {
  tally_.profile = disk::to_string(options_.profile);
}

PowerExplorer::~PowerExplorer() {
  std::error_code ignored;
  fs::remove_all(options_.directory, ignored);
}

fs::path PowerExplorer::fresh(const std::string& name) const {
  const fs::path path = options_.directory / name;
  std::error_code ignored;
  fs::remove_all(path, ignored);
  return path;
}

bool PowerExplorer::enough() const {
  return (options_.stop_at_first && tally_.violations() > 0) || (stop_ != nullptr && stop_->requested()) ||
         (is_over && is_over());
}

RecoveryCase PowerExplorer::recovery_case(const PowerRecording& recording, const History& history,
                                          const ImageSpec& spec, std::uint64_t checks_of) const {
  RecoveryCase recovery;
  recovery.crash = crash_indexes_at(engine_, recording.indexes, history, spec.cut);
  recovery.belief = recording.belief;
  wire::WorkerOrder& order = recovery.order;
  order = worker_order(options_, recording.plan, {});
  order.term = recording.term;
  order.known_synced = recovery.crash.synced;
  Rng checks = rng_.fork("checks").fork(checks_of);
  order.check_backward = checks.chance(1, 4);
  order.check_integrity = checks.chance(1, 4);
  order.check_reopen = checks.chance(1, 8) || !spec.torn.empty();  // what was done about a tear lasts
  order.flush_after_replay = checks.chance(1, 2);
  order.reads = 8;
  // One that waits for a load is killed then, which is quicker than a clean end.
  order.load = !checks.chance(1, 4);
  return recovery;
}

void PowerExplorer::explore(const PowerRecording& recording, std::uint64_t images) {
  continuation_.reset();
  fs::create_directory(fresh("store"));
  // Those of recoveries come last, and take what is left.
  const std::uint64_t end = images > UINT64_MAX - tally_.judged ? UINT64_MAX : tally_.judged + images;
  const std::uint64_t kept =
      options_.in_recovery ? std::min(images / kRecoveriesPart, kRecoveryImagesMax) : 0;
  explore(recording, images - kept, end, 0);
}

void PowerExplorer::explore(const PowerRecording& recording, std::uint64_t images, std::uint64_t end,
                            std::uint32_t depth) {
  std::unique_ptr<const History> history;
  if (const Status status = History::create(recording.trace, &history); !status.ok()) {
    throw EnvironmentError("the recorded storage calls cannot be modelled: " + status.message());
  }
  Orders orders(*history, options_.profile);
  Imager imager(*history, recording.base, imager_options(engine_, options_.directory / "store"));
  disk::ExplorerOptions how;
  if (depth > 0) {
    how.weights = {4, 4, 1, 0, 0, 1, 0};
  }
  std::optional<Explorer> explorer;
  {
    const Stopwatch watch(&tally_.explore_us);
    explorer.emplace(orders.explored(), &imager,
                     rng_.fork("explore").fork(recording.number * (kDepthMax + 1) + depth), how);
  }
  std::vector<bool> was_cut(history->records().size() + 1);
  std::vector<ImageSpec> fine;  // images that came through
  std::uint64_t judged = 0;
  Rng choice = rng_.fork("continue").fork(recording.number);
  // Every other load goes on behind a write that was torn, if there is one: what it writes comes after that.
  Rng torn_choice = rng_.fork("continue-torn").fork(recording.number);
  const bool prefers_torn = torn_choice.chance(1, 2);
  std::uint64_t torn = 0;
  // False when it was stopped.
  const auto judge_up_to = [&](std::uint64_t limit) {
    while (judged < limit && tally_.judged < end && !enough()) {
      std::optional<disk::Candidate> candidate;
      {
        const Stopwatch watch(&tally_.explore_us);
        candidate = explorer->next();
      }
      if (!candidate) {
        break;
      }
      was_cut[candidate->spec.cut] = true;
      const RecoveryCase recovery = recovery_case(recording, *history, candidate->spec);
      const disk::Acknowledged acknowledged = {recovery.crash.synced, recovery.crash.flushed};
      if (const auto [known, first] = images_.try_emplace(candidate->hash, acknowledged);
          !first && !known->second.raise(acknowledged)) {
        continue;  // of an earlier trace
      }
      const fs::path data = options_.directory / fmt::format("image-{}", depth);
      tap::Trace calls;
      const ImageJudge::Verdict verdict = judge_surely(recovery, imager, candidate->spec, data, &calls);
      if (verdict.driven.outcome == report::Outcome::stopped) {
        return false;
      }
      note_end(recording, verdict);
      ++judged;
      ++tally_.judged;
      tally_.in_recovery += depth > 0 ? 1 : 0;
      ++tally_.strategies[std::string(disk::to_string(candidate->strategy))].judged;
      for (const std::string& name : verdict.checked) {
        ++tally_.checks[name];
      }
      const bool novel = recoveries_.insert(tap::calls_of_first_thread(calls)).second;
      tally_.recoveries_distinct += novel ? 1 : 0;
      explorer->feedback(candidate->spec, novel);
      if (verdict.failed()) {
        check_room(options_.directory,
                   verdict.events.empty() ? verdict.abnormal : verdict.events.front().explanation);
        fail(recording, orders, imager, candidate->spec, verdict, candidate->description);
      } else {
        fine.push_back(candidate->spec);
        bool chosen = choice.chance(1, fine.size()) && torn == 0;
        if (prefers_torn && !candidate->spec.torn.empty()) {
          chosen = torn_choice.chance(1, ++torn);
        }
        if (depth == 0 && chosen && engine_.opens_after_power_cut) {
          // Something may go on from where this recovery ended. Not with an engine that promises nothing:
          // what looks whole may be broken where nobody has looked yet, and a later kill would be blamed.
          KeptState state;
          state.image = fresh(fmt::format("next-{}", recording.number));
          fs::rename(data, state.image);
          verdict.oracle->mark();
          verdict.oracle->save(&state.belief);
          state.indexes = recovery.crash;
          state.indexes.appended = state.indexes.synced = state.indexes.applied =
              verdict.oracle->last_index();
          continuation_ = std::move(state);
        }
      }
      if (on_image) {
        on_image();
      }
    }
    return true;
  };
  if (!judge_up_to(images)) {
    return;
  }
  if (depth < kDepthMax && options_.in_recovery) {
    Rng which = rng_.fork("recoveries").fork(recording.number * kDepthMax + depth);
    for (std::uint64_t i = 0;
         i < kRecoveriesExplored[depth] && !fine.empty() && tally_.judged < end && !enough(); ++i) {
      const auto is_torn = [](const ImageSpec& spec) { return !spec.torn.empty(); };
      // Half of them start from a tear: what they do about it may be half done.
      const auto whole = std::stable_partition(fine.begin(), fine.end(), is_torn);
      const auto torn_ones = static_cast<std::uint64_t>(whole - fine.begin());
      const ImageSpec& spec =
          fine[which.below(torn_ones > 0 && which.chance(1, 2) ? torn_ones : fine.size())];
      if (const std::optional<PowerRecording> inner =
              record_recovery(recording, orders, imager, spec, fmt::format("recovery-{}", depth))) {
        explore(*inner, kRecoveryImages[depth], end, depth + 1);
      }
    }
  }
  if (depth == 0 && !judge_up_to(UINT64_MAX)) {  // what recoveries have left
    return;
  }
  for (std::size_t i = 0; i < disk::kStrategyCount; ++i) {
    const disk::StrategyCounts& counts = explorer->counts(static_cast<Strategy>(i));
    report::StrategyTally& tally = tally_.strategies[std::string(to_string(static_cast<Strategy>(i)))];
    tally.duplicate += counts.duplicate;
    tally.grouped += counts.grouped;
    tally.illegal += counts.illegal;
  }
  for (std::size_t i = 0; i < history->records().size(); ++i) {
    if (const std::string kind = cut_kind(history->records()[i]); !kind.empty()) {
      ++tally_.cuts[kind].seen;
      tally_.cuts[kind].cut += was_cut[i + 1] ? 1 : 0;
    }
  }
}

ImageJudge::Verdict PowerExplorer::judge_surely(const RecoveryCase& recovery, Imager& imager,
                                                const ImageSpec& spec, const fs::path& data,
                                                tap::Trace* calls) {
  return ImageJudge::judge_again([&] {
    {
      const Stopwatch watch(&tally_.build_us);
      std::error_code ignored;
      fs::remove_all(data, ignored);
      fs::create_directory(data);
      imager.materialize(spec, data);
    }
    const Stopwatch watch(&tally_.recover_us);
    tap::TapOptions watching = tap_options(engine_, data);
    watching.sync_disk = false;
    tap::Tap tap(std::move(watching));
    ImageJudge::Verdict verdict = judge_.judge(recovery, data, &tap);
    *calls = tap.take_trace();
    return verdict;
  });
}

void PowerExplorer::note_end(const PowerRecording& recording, const ImageJudge::Verdict& verdict) {
  if (!verdict.not_reproduced.empty()) {
    check_room(options_.directory, verdict.not_reproduced);
    tally_.not_reproduced.push_back(
        {fmt::format(
             "power cut, lane {} load {}: {}; the same image came through twice when it was judged again",
             options_.lane, recording.number, verdict.not_reproduced),
         verdict.outside});
  }
}

// The recovery from an image that came through, once more, with its storage calls taken down.
std::optional<PowerRecording> PowerExplorer::record_recovery(const PowerRecording& from, Orders& orders,
                                                             Imager& imager, const ImageSpec& spec,
                                                             const std::string& name) {
  const Stopwatch watch(&tally_.record_us);
  RecoveryCase recovery = recovery_case(from, orders.history(), spec);
  recovery.order.load = false;  // its clean end belongs to it
  PowerRecording inner;
  inner.base = fresh(name);
  fs::create_directory(inner.base);
  imager.materialize(spec, inner.base);
  tap::Trace trace;
  const ImageJudge::Verdict verdict = ImageJudge::judge_again([&] {
    const fs::path data = fresh(name + "-data");
    copy_tree(inner.base, data);
    tap::TapOptions recording = tap_options(engine_, data);
    recording.keep_payloads = true;
    recording.sync_disk = false;
    tap::Tap tap(std::move(recording));
    ImageJudge::Verdict tried = judge_.judge(recovery, data, &tap);
    trace = tap.take_trace();
    return tried;
  });
  note_end(from, verdict);
  if (verdict.failed() || verdict.driven.outcome == report::Outcome::stopped) {
    return std::nullopt;  // with the engine's own threads, it may turn out otherwise
  }
  inner.trace = modelled(std::move(trace));
  const wire::FlightRecorder& recorder = judge_.parent().recorder();
  inner.trace.last = {recorder.appended, recorder.synced, recorder.applied, recorder.flushed, recorder.term};
  inner.belief = from.belief;  // a recovery proposes nothing
  inner.indexes = recovery.crash;
  inner.term = from.term + 1;
  inner.number = from.number;
  inner.error = from.error;
  inner.plan = from.plan;
  inner.weakest = orders.weakest(spec);
  inner.cause = causes(from, disk::explain(orders.history(), spec));
  return inner;
}

bool PowerExplorer::is_promised(const ImageJudge::Verdict& verdict) const {
  if (engine_.opens_after_power_cut) {
    return true;
  }
  // The log is ours, and owes nothing to the engine.
  return std::any_of(verdict.violations.begin(), verdict.violations.end(), [](const auto& violation) {
    return violation.invariant == oracle::Invariant::log_content;
  });
}

PowerExplorer::Cause PowerExplorer::find_cause(const PowerRecording& recording, Orders& orders,
                                               Imager& imager, const ImageSpec& spec,
                                               const ImageJudge::Verdict& verdict) {
  const History& history = orders.history();
  std::string explanation;  // of the last that failed
  const auto fails = [&](const ImageSpec& tried) {
    const ImageJudge::Verdict again = ImageJudge::judge_again([&] {
      const fs::path data = fresh("explain");
      fs::create_directory(data);
      imager.materialize(tried, data);
      // With the same checks wherever the cut is.
      return judge_.judge(recovery_case(recording, history, tried, spec.cut), data);
    });
    const bool failed = again.failed() && again.first_broken() == verdict.first_broken();
    if (failed) {
      explanation = again.violations.empty() ? again.abnormal : again.violations.front().explanation;
    }
    return failed;
  };
  Cause cause;
  cause.spec = disk::minimize(orders.explored(), spec, fails, {.tests_max = kExplainTests}).spec;
  orders.weaken(&cause.spec, fails);
  cause.sentence = causes(recording, disk::explain(history, cause.spec));
  if (!loses_nothing(cause.spec)) {
    return cause;
  }
  const std::string nothing_lost = cause_without_cut(verdict.first_broken(), explanation);
  if (!recording.cause.empty()) {  // in a recovery: what was lost before it is not to blame for this
    cause.sentence = wrong_without_cut_.contains(nothing_lost) ? nothing_lost : cause.sentence;
  } else if (const ImageSpec uncut = without_cut(history); fails(uncut)) {
    cause = {uncut, nothing_lost};
    wrong_without_cut_.insert(nothing_lost);
  } else {
    cause.sentence += "; without a power cut it is right";
  }
  return cause;
}

void PowerExplorer::fail(const PowerRecording& recording, Orders& orders, Imager& imager,
                         const ImageSpec& spec, const ImageJudge::Verdict& verdict,
                         const std::string& description) {
  const Stopwatch watch(&tally_.explain_us);
  const History& history = orders.history();
  PowerFinding finding;
  finding.invariant = verdict.first_broken();
  finding.promised = is_promised(verdict);
  finding.images = 1;
  finding.after_images = tally_.judged;
  finding.cause = "one of further images, not reduced to their causes";
  ImageSpec reduced = spec;
  // One that fails in a way that was not seen so often has not to stand behind the hundredth of another.
  std::uint32_t& explained = explained_[finding.invariant];
  if (explained < options_.explained_max) {
    ++explained;
    if (on_failing) {
      PowerFinding failing = finding;
      failing.profile = orders.weakest(spec);
      failing.cause = "not reduced to its cause, because the campaign was ended meanwhile";
      failing.detail = fmt::format("  the image: {}\n", disk::to_string(spec));
      on_failing(failing);
    }
    Cause cause = find_cause(recording, orders, imager, spec, verdict);
    reduced = std::move(cause.spec);
    finding.cause = std::move(cause.sentence);
  }
  finding.profile = orders.weakest(reduced);
  if (!recording.weakest.empty() &&
      report::weaker_profile(recording.weakest, finding.profile) == finding.profile) {
    finding.profile = recording.weakest;  // the image that led here was not legal under a weaker one
  }
  const std::size_t before = tally_.findings.size();
  const std::size_t at = static_cast<std::size_t>(&tally_.add(finding) - tally_.findings.data());
  ++tally_.failed;
  ++tally_.failed_by_profile[finding.profile];
  if (tally_.findings.size() == before) {
    if (on_repeat) {
      on_repeat(finding);
    }
    return;
  }
  PowerFailure failure;
  failure.recovery = recovery_case(recording, history, reduced, spec.cut);
  failure.recovery.order.load = false;
  failure.power = {recording.trace, recording.base, recording.indexes, reduced, options_.profile};
  failure.plan = recording.plan;
  failure.image = fresh("failed");
  fs::create_directory(failure.image);
  imager.materialize(reduced, failure.image);
  failure.output = options_.directory / kOutput;
  const ImageJudge::Verdict last = ImageJudge::judge_again([&] {
    fs::resize_file(failure.output, 0);  // workers append
    const fs::path data = fresh("explain");
    copy_tree(failure.image, data);
    return judge_.judge(failure.recovery, data);
  });
  const ImageJudge::Verdict& shown = last.failed() ? last : verdict;
  failure.recovery.violations = shown.violations;
  finding.explanation = shown.violations.empty() ? shown.abnormal : shown.violations.front().explanation;
  finding.detail = shown.events.empty() ? shown.abnormal + "\n" : shown.events.front().detail;
  finding.detail += fmt::format("  the power cut: {}\n  the image: {}\n  found as: {}\n", finding.cause,
                                disk::to_string(reduced), description);
  if (failure.recovery.crash.after_error && !recording.error.empty()) {
    finding.explanation += fmt::format(" (injected into the load: {})", recording.error);
    finding.detail += fmt::format("  the I/O error: {}\n", recording.error);
  }
  report::CycleEvent& event = failure.event;
  event = make_event(options_, recording.plan.cycle);
  event.plan = crash::to_string(recording.plan);
  event.maintenance = recording.plan.free_running ? "free-running" : "scheduled";
  event.crash.kind = "power-cut";
  event.crash.planned = disk::to_string(reduced);
  event.checked = shown.checked;
  event.violations = shown.events;
  for (report::ViolationEvent& violation : event.violations) {
    violation.detail += "  the power cut: " + finding.cause + "\n";
  }
  failure.finding = finding;
  if (on_failure) {
    on_failure(failure, &finding);
  }
  tally_.findings[at] = std::move(finding);
}

Bundle PowerExplorer::bundle(const PowerFailure& failure) const {
  return make_bundle(options_, engine_, failure.plan, failure.recovery, failure.event);
}

}  // namespace chaosgate::campaign
