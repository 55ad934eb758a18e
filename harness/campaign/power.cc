#include "harness/campaign/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/power_case.h"
#include "harness/campaign/tap_setup.h"
#include "harness/campaign/versions.h"
#include "harness/campaign/work_directory.h"
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
constexpr std::uint64_t kSegmentBytesMax = 5 << 10;
constexpr std::uint32_t kExplainTests = 100;

// Adds the microseconds that pass in its scope.
class Stopwatch {
 public:
  explicit Stopwatch(std::uint64_t* sum_us) : sum_us_(sum_us), begin_(wire::monotonic_ns()) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { *sum_us_ += (wire::monotonic_ns() - begin_) / 1000; }

 private:
  std::uint64_t* sum_us_;
  std::uint64_t begin_;
};

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

}  // namespace

// A trace, and what must hold after a power cut in it.
struct PowerLane::Experiment {
  tap::Trace trace;
  fs::path base;
  std::string belief;            // after the load of the trace; its other workers proposed nothing
  oracle::CrashIndexes indexes;  // what had to hold at its begin
  std::uint64_t cycle = 0;
  std::uint64_t attempt = 0;  // of the recovery from its images, see recovery_term()
  crash::CyclePlan plan;
  std::string weakest;  // profile of the images that led here, or empty
};

PowerLane::PowerLane(const PowerOptions& options, StopSignal* stop)
    : options_(options), stop_(stop), rng_(Rng(options.key.seed).fork("power").fork(options.lane)) {
  make_directory(options_.directory);
  // Small, so that a short load cuts a few.
  options_.key.segment_bytes = std::min<std::uint64_t>(options_.key.segment_bytes, kSegmentBytesMax);
  LaneOptions lane{options_};
  lane.directory = options_.directory / "lane";
  lane.keep_images = false;
  lane.watch = lane.keep_records = lane.keep_payloads = true;
  lane_.emplace(lane, stop);
  if (!lane_->hello().tap_unavailable.empty()) {
    throw UsageError("power cuts need storage calls, which cannot be seen here: " +
                     lane_->hello().tap_unavailable);
  }
  judge_.emplace(options_.worker, options_.plugin, options_.directory / "judge.output", options_.key.workload,
                 options_.key.seed, options_.hang_ms, stop);
  fs::create_directory(options_.directory / "store");
  tally_.profile = disk::to_string(options_.profile);
}

PowerLane::~PowerLane() {
  lane_.reset();
  judge_.reset();
  std::error_code ignored;
  fs::remove_all(options_.directory, ignored);
}

fs::path PowerLane::fresh(const std::string& name) const {
  const fs::path path = options_.directory / name;
  std::error_code ignored;
  fs::remove_all(path, ignored);
  return path;
}

bool PowerLane::enough() const {
  return (options_.stop_at_first && tally_.violations() > 0) || (stop_ != nullptr && stop_->requested());
}

crash::CyclePlan PowerLane::draw_plan() const {
  const Rng stream = rng_.fork("plan").fork(loads_);
  crash::CyclePlan plan;
  plan.lane = options_.lane;
  plan.kind = crash::CrashKind::call;
  // At a storage call that most loads come to; the others end by themselves. Both are fine. Half of them die
  // right after a write to the log: the recovery then finds a tail that is in the page cache only.
  Rng death = stream.fork("death");
  if (death.chance(1, 2)) {
    plan.call.action = tap::FaultAction::kill_after;
    plan.call.site.file_class = "segment";
    plan.call.site.call = tap::StorageCall::write;
    plan.call.site.occurrence = death.between(2, 12);
  } else {
    plan.call.action = tap::FaultAction::kill_before;
    plan.call.site.occurrence = death.between(20, 400);
  }
  const crash::PlanOptions& allowed = options_.key.plan;
  plan.free_running = !allowed.scheduled || (allowed.free_running && stream.fork("mode").chance(1, 4));
  plan.stock_tuning = stream.fork("tuning").chance(1, 8);
  Rng rates = stream.fork("rates");
  wire::Schedule& schedule = plan.schedule;
  schedule.sync_group_max = static_cast<std::uint32_t>(rates.log_between(2, 24));
  schedule.apply_group_max = static_cast<std::uint32_t>(rates.log_between(1, 12));
  // What a flush promises right after an engine's own thread began something is worth a look.
  schedule.flush_one_in =
      static_cast<std::uint32_t>(plan.free_running ? rates.log_between(1, 40) : rates.between(8, 40));
  schedule.truncate_one_in = static_cast<std::uint32_t>(rates.between(8, 40));
  schedule.compact_one_in = static_cast<std::uint32_t>(rates.between(15, 90));
  schedule.checkpoint_one_in = static_cast<std::uint32_t>(rates.between(60, 240));
  schedule.entries_max = static_cast<std::uint32_t>(rates.between(20, 80));
  plan.flush_after_replay = stream.fork("flush").chance(1, 2);
  if (allowed.io && stream.fork("io").chance(1, 2)) {
    plan.error = crash::draw_error(stream.fork("error"), crash::kErrorCallsMax);
    if (plan.error->action == tap::FaultAction::lost_sync) {
      // What becomes of its pages is for disk::Order to say: in the cache, where this load and the recovery
      // after its kill find them, they are whole.
      plan.error->action = tap::FaultAction::error;
      plan.error->site.call = tap::StorageCall::datasync;
      plan.error->error = EIO;
    }
  }
  return plan;
}

bool PowerLane::prepare() {
  if (!lane_->prepare()) {
    return false;
  }
  start_ = lane_->keep_state(options_.directory / "start");
  return true;
}

std::optional<PowerLane::Experiment> PowerLane::record() {
  const Stopwatch watch(&tally_.record_us);
  Experiment experiment;
  experiment.plan = draw_plan();
  experiment.plan.cycle = start_.cycle;
  lane_->go_back(start_, experiment.plan);
  const report::CycleEvent event = lane_->run_cycle(true);
  if (!event.recovered) {
    if (stop_ == nullptr || !stop_->requested()) {
      broken_by_kill_ = event;
    }
    return std::nullopt;
  }
  experiment.trace = modelled(lane_->take_trace());
  experiment.base = start_.image;
  experiment.indexes = start_.indexes;
  experiment.cycle = start_.cycle + 1;
  experiment.attempt = 1;
  experiment.belief = lane_->belief_before_recovery();
  ++tally_.loads;
  tally_.loads_with_errors += event.crash.errors > 0 ? 1 : 0;
  tally_.calls += experiment.trace.records.size();
  return experiment;
}

RecoveryCase PowerLane::recovery_case(const Experiment& experiment, const History& history,
                                      const ImageSpec& spec) const {
  RecoveryCase recovery;
  recovery.crash = crash_indexes_at(lane_->engine(), experiment.indexes, history, spec.cut);
  recovery.belief = experiment.belief;
  wire::WorkerOrder& order = recovery.order;
  order = worker_order(options_, experiment.plan, {});
  order.term = recovery_term(experiment.cycle, experiment.attempt);
  order.known_synced = recovery.crash.synced;
  Rng checks = rng_.fork("checks").fork(spec.cut);
  order.check_backward = checks.chance(1, 4);
  order.check_integrity = checks.chance(1, 4);
  order.check_reopen = checks.chance(1, 8);
  order.flush_after_replay = checks.chance(1, 2);
  order.reads = 8;
  // One that waits for a load is killed then, which is quicker than a clean end.
  order.load = !checks.chance(1, 4);
  return recovery;
}

void PowerLane::explore(const Experiment& experiment, std::uint64_t images, std::uint32_t depth) {
  std::unique_ptr<const History> history;
  if (const Status status = History::create(experiment.trace, &history); !status.ok()) {
    throw EnvironmentError("the recorded storage calls cannot be modelled: " + status.message());
  }
  Orders orders(*history, options_.profile);
  Imager imager(*history, experiment.base, imager_options(lane_->engine(), options_.directory / "store"));
  disk::ExplorerOptions how;
  if (depth > 0) {
    how.weights = {4, 4, 1, 0, 0, 1, 0};
  }
  std::optional<Explorer> explorer;
  {
    const Stopwatch watch(&tally_.explore_us);
    explorer.emplace(orders.explored(), &imager, rng_.fork("explore").fork(loads_ * (kDepthMax + 1) + depth),
                     how);
  }
  std::vector<bool> was_cut(history->records().size() + 1);
  std::vector<ImageSpec> fine;  // images that came through
  std::uint64_t judged = 0;
  Rng choice = rng_.fork("continue").fork(loads_);
  while (judged < images && !enough()) {
    std::optional<disk::Candidate> candidate;
    {
      const Stopwatch watch(&tally_.explore_us);
      candidate = explorer->next();
    }
    if (!candidate) {
      break;
    }
    was_cut[candidate->spec.cut] = true;
    if (!images_.insert(candidate->hash).second) {
      continue;  // of an earlier trace
    }
    const fs::path data = fresh(fmt::format("image-{}", depth));
    {
      const Stopwatch watch(&tally_.build_us);
      fs::create_directory(data);
      imager.materialize(candidate->spec, data);
    }
    const RecoveryCase recovery = recovery_case(experiment, *history, candidate->spec);
    ImageJudge::Verdict verdict;
    tap::Trace calls;
    {
      const Stopwatch watch(&tally_.recover_us);
      tap::TapOptions watching = tap_options(lane_->engine(), data);
      watching.sync_disk = false;
      tap::Tap tap(std::move(watching));
      verdict = judge_->judge(recovery, data, &tap);
      calls = tap.take_trace();
    }
    if (verdict.driven.outcome == report::Outcome::stopped) {
      return;
    }
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
      check_room(options_.directory);
      fail(experiment, orders, imager, candidate->spec, verdict, candidate->description);
    } else {
      fine.push_back(candidate->spec);
      if (depth == 0 && choice.chance(1, fine.size())) {
        // The next load begins where this recovery ended.
        LaneState state;
        state.image = fresh(fmt::format("next-{}", loads_));
        fs::rename(data, state.image);
        verdict.oracle->mark();
        verdict.oracle->save(&state.belief);
        state.indexes = recovery.crash;
        state.indexes.appended = state.indexes.synced = state.indexes.applied = verdict.oracle->last_index();
        state.cycle = experiment.cycle;
        next_ = std::move(state);
      }
    }
    if (on_image) {
      on_image();
    }
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
  if (depth == kDepthMax || !options_.in_recovery) {
    return;
  }
  Rng which = rng_.fork("recoveries").fork(loads_ * kDepthMax + depth);
  for (std::uint64_t i = 0; i < kRecoveriesExplored[depth] && !fine.empty() && !enough(); ++i) {
    const ImageSpec& spec = fine[which.below(fine.size())];
    if (const std::optional<Experiment> inner =
            record_recovery(experiment, orders, imager, spec, fmt::format("recovery-{}", depth))) {
      explore(*inner, kRecoveryImages[depth], depth + 1);
    }
  }
}

// The recovery from an image that came through, once more, with its storage calls taken down.
std::optional<PowerLane::Experiment> PowerLane::record_recovery(const Experiment& from, Orders& orders,
                                                                Imager& imager, const ImageSpec& spec,
                                                                const std::string& name) {
  const Stopwatch watch(&tally_.record_us);
  RecoveryCase recovery = recovery_case(from, orders.history(), spec);
  recovery.order.load = false;  // its clean end belongs to it
  Experiment inner;
  inner.base = fresh(name);
  fs::create_directory(inner.base);
  imager.materialize(spec, inner.base);
  const fs::path data = fresh(name + "-data");
  copy_tree(inner.base, data);
  tap::TapOptions recording = tap_options(lane_->engine(), data);
  recording.keep_payloads = true;
  recording.sync_disk = false;
  tap::Tap tap(std::move(recording));
  const ImageJudge::Verdict verdict = judge_->judge(recovery, data, &tap);
  if (verdict.failed() || verdict.driven.outcome == report::Outcome::stopped) {
    return std::nullopt;  // with the engine's own threads, it may turn out otherwise
  }
  inner.trace = modelled(tap.take_trace());
  const wire::FlightRecorder& recorder = judge_->parent().recorder();
  inner.trace.last = {recorder.appended, recorder.synced, recorder.applied, recorder.flushed, recorder.term};
  inner.belief = from.belief;  // a recovery proposes nothing
  inner.indexes = recovery.crash;
  inner.cycle = from.cycle;
  inner.attempt = from.attempt + 1;
  inner.plan = from.plan;
  inner.weakest = orders.weakest(spec);
  return inner;
}

bool PowerLane::is_promised(const ImageJudge::Verdict& verdict) const {
  if (lane_->engine().opens_after_power_cut) {
    return true;
  }
  // The log is ours, and owes nothing to the engine.
  return std::any_of(verdict.violations.begin(), verdict.violations.end(), [](const auto& violation) {
    return violation.invariant == oracle::Invariant::log_content;
  });
}

void PowerLane::fail(const Experiment& experiment, Orders& orders, Imager& imager, const ImageSpec& spec,
                     const ImageJudge::Verdict& verdict, const std::string& description) {
  const Stopwatch watch(&tally_.explain_us);
  const History& history = orders.history();
  ++tally_.failed;
  PowerFinding finding;
  finding.invariant = verdict.first_broken();
  finding.promised = is_promised(verdict);
  finding.images = 1;
  finding.cause = "one of further images, not reduced to their causes";
  ImageSpec reduced = spec;
  // One that fails in a way that was not seen so often has not to stand behind the hundredth of another.
  std::uint32_t& explained = explained_[finding.invariant];
  if (explained < options_.explained_max) {
    ++explained;
    const auto fails = [&](const ImageSpec& tried) {
      const fs::path data = fresh("explain");
      fs::create_directory(data);
      imager.materialize(tried, data);
      const ImageJudge::Verdict again = judge_->judge(recovery_case(experiment, history, tried), data);
      return again.failed() && again.first_broken() == finding.invariant;
    };
    reduced = disk::minimize(orders.explored(), spec, fails, {.tests_max = kExplainTests}).spec;
    orders.weaken(&reduced, fails);
    finding.cause = disk::explain(history, reduced);
  }
  finding.profile = orders.weakest(reduced);
  if (!experiment.weakest.empty() &&
      report::weaker_profile(experiment.weakest, finding.profile) == finding.profile) {
    finding.profile = experiment.weakest;  // the image that led here was not legal under a weaker one
  }
  ++tally_.failed_by_profile[finding.profile];
  const std::size_t before = tally_.findings.size();
  const std::size_t at = static_cast<std::size_t>(&tally_.add(finding) - tally_.findings.data());
  if (tally_.findings.size() == before) {
    return;
  }
  PowerFailure failure;
  failure.recovery = recovery_case(experiment, history, reduced);
  failure.recovery.order.load = false;
  failure.power = {experiment.trace, experiment.base, experiment.indexes, reduced, options_.profile};
  failure.plan = experiment.plan;
  failure.image = fresh("failed");
  fs::create_directory(failure.image);
  imager.materialize(reduced, failure.image);
  const fs::path data = fresh("explain");
  copy_tree(failure.image, data);
  const ImageJudge::Verdict last = judge_->judge(failure.recovery, data);
  const ImageJudge::Verdict& shown = last.failed() ? last : verdict;
  failure.recovery.violations = shown.violations;
  finding.explanation = shown.violations.empty() ? shown.abnormal : shown.violations.front().explanation;
  finding.detail = shown.events.empty() ? shown.abnormal + "\n" : shown.events.front().detail;
  finding.detail += fmt::format("  the power cut: {}\n  the image: {}\n  found as: {}\n", finding.cause,
                                disk::to_string(reduced), description);
  report::CycleEvent& event = failure.event;
  event = make_event(options_, experiment.plan.cycle);
  event.plan = crash::to_string(experiment.plan);
  event.maintenance = experiment.plan.free_running ? "free-running" : "scheduled";
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

Bundle PowerLane::bundle(const PowerFailure& failure) const {
  return make_bundle(options_, lane_->engine(), failure.plan, failure.recovery, failure.event);
}

bool PowerLane::run_load(std::uint64_t images) {
  if (start_.image.empty() && !prepare()) {
    return false;
  }
  const std::optional<Experiment> experiment = record();
  if (!experiment) {
    return false;
  }
  next_.reset();
  const std::uint64_t before = tally_.judged;
  explore(*experiment, std::min(images, options_.images_per_load), 0);
  std::error_code ignored;
  fs::remove_all(start_.image, ignored);
  ++loads_;
  // Every other load goes on from the kill, the others from a power cut.
  if (next_ && loads_ % 2 == 1) {
    start_ = std::move(*next_);
  } else {
    start_ = lane_->keep_state(fresh(fmt::format("kept-{}", loads_)));
  }
  fs::remove_all(options_.directory / "store", ignored);
  fs::create_directory(options_.directory / "store");
  return tally_.judged > before && !enough();
}

}  // namespace chaosgate::campaign
