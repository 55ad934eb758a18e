#include "harness/campaign/power.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
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
constexpr std::uint32_t kExplainTests = 150;

constexpr std::string_view kAbnormal = "abnormal death";

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

std::string first_broken(const ImageJudge::Verdict& verdict) {
  return verdict.violations.empty() ? std::string(kAbnormal)
                                    : std::string(oracle::to_string(verdict.violations.front().invariant));
}

disk::ImagerOptions imager_options(const wire::EngineDescription& engine, const fs::path& store) {
  disk::ImagerOptions options;
  options.store = store;
  options.never_modified = [&engine](const std::string& path) { return is_immutable(engine, path); };
  return options;
}

}  // namespace

std::string weakest_profile(const History& history, const ImageSpec& spec, const disk::Profile& otherwise) {
  for (const std::string& name : disk::profile_names()) {
    if (Order(history, disk::named_profile(name)).check(spec).ok()) {
      return name;
    }
  }
  return disk::to_string(otherwise);
}

std::string without_numbers(std::string_view sentence) {
  std::string out;
  for (const char c : sentence) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      out += c;
    } else if (out.empty() || out.back() != 'N') {
      out += 'N';
    }
  }
  return out;
}

// A trace, and what must hold after a power cut in it.
struct PowerLane::Experiment {
  tap::Trace trace;
  fs::path base;
  std::string belief;            // of an oracle that knows all terms of the trace
  oracle::CrashIndexes indexes;  // what had to hold at its begin
  std::uint64_t cycle = 0;
  std::uint64_t attempt = 0;     // of the recovery from its images, see recovery_term()
  crash::CyclePlan plan;
  std::string weakest;           // profile of the images that led here, or empty
};

PowerLane::PowerLane(const PowerOptions& options, StopSignal* stop)
    : options_(options), stop_(stop), rng_(Rng(options.key.seed).fork("power").fork(options.lane)) {
  std::error_code error;
  if (!fs::create_directory(options_.directory, error)) {
    throw_errno("create " + options_.directory.string(), error ? error.value() : EEXIST);
  }
  LaneOptions lane;
  lane.key = options_.key;
  lane.engine = options_.engine;
  lane.protocol = options_.protocol;
  lane.lane = options_.lane;
  lane.directory = options_.directory / "lane";
  lane.worker = options_.worker;
  lane.hang_ms = options_.hang_ms;
  lane.keep_images = false;
  lane.watch = lane.keep_records = lane.keep_payloads = true;
  lane_.emplace(lane, stop);
  if (!lane_->hello().tap_unavailable.empty()) {
    throw UsageError("power cuts need storage calls, which cannot be seen here: " +
                     lane_->hello().tap_unavailable);
  }
  judge_.emplace(options_.worker, options_.directory / "judge.output", options_.key.workload,
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
  std::uint64_t promised = 0;
  for (const PowerFinding& finding : tally_.findings) {
    promised += finding.promised ? 1 : 0;
  }
  return promised >= options_.failures_max || (stop_ != nullptr && stop_->requested());
}

crash::CyclePlan PowerLane::draw_plan() const {
  const Rng stream = rng_.fork("plan").fork(loads_);
  crash::CyclePlan plan;
  plan.lane = options_.lane;
  plan.kind = crash::CrashKind::call;
  // At a storage call that most loads come to; the others end by themselves. Both are fine.
  Rng death = stream.fork("death");
  plan.call.action = tap::FaultAction::kill_before;
  plan.call.site.occurrence = death.between(20, 400);
  const crash::PlanOptions& allowed = options_.key.plan;
  plan.free_running = !allowed.scheduled || (allowed.free_running && stream.fork("mode").chance(1, 4));
  plan.stock_tuning = stream.fork("tuning").chance(1, 8);
  Rng rates = stream.fork("rates");
  wire::Schedule& schedule = plan.schedule;
  schedule.sync_group_max = static_cast<std::uint32_t>(rates.log_between(1, 12));
  schedule.apply_group_max = static_cast<std::uint32_t>(rates.log_between(1, 12));
  schedule.flush_one_in = static_cast<std::uint32_t>(rates.between(8, 40));
  schedule.truncate_one_in = static_cast<std::uint32_t>(rates.between(8, 40));
  schedule.compact_one_in = static_cast<std::uint32_t>(rates.between(30, 120));
  schedule.checkpoint_one_in = static_cast<std::uint32_t>(rates.between(60, 240));
  schedule.entries_max = static_cast<std::uint32_t>(rates.between(20, 80));
  plan.flush_after_replay = stream.fork("flush").chance(1, 2);
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
  experiment.trace = lane_->take_trace();
  experiment.base = start_.image;
  experiment.indexes = start_.indexes;
  experiment.cycle = start_.cycle + 1;
  experiment.attempt = 1;
  const workloads::Generator generator(options_.key.workload, options_.key.seed);
  std::unique_ptr<oracle::Oracle> oracle;
  const Status status = oracle::Oracle::load(start_.belief, generator, &oracle);
  CHECK(status.ok(), "a belief that was just saved: {}", status.to_string());
  oracle->begin_term(opening_term(start_.cycle));
  oracle->begin_term(recovery_term(experiment.cycle, 0));
  oracle->mark();
  oracle->save(&experiment.belief);
  ++tally_.loads;
  tally_.calls += experiment.trace.records.size();
  return experiment;
}

RecoveryCase PowerLane::recovery_case(const Experiment& experiment, const History& history,
                                      const ImageSpec& spec) const {
  const wire::EngineDescription& engine = lane_->engine();
  RecoveryCase recovery;
  oracle::CrashIndexes& crash = recovery.crash;
  crash = experiment.indexes;
  const auto raise = [&](const tap::TraceIndexes& seen) {
    crash.appended = std::max(crash.appended, seen.appended);
    crash.synced = std::max(crash.synced, seen.synced);
    crash.applied = std::max(crash.applied, seen.applied);
    crash.flushed = std::max({crash.flushed, engine.flush_survives_power_cut ? seen.flushed : 0,
                              engine.commit_survives_power_cut ? seen.applied : 0});
  };
  // Each worker counts from 0.
  for (std::size_t i = 0; i < spec.cut; ++i) {
    raise(history.records()[i].indexes);
  }
  raise(history.indexes_at(spec.cut));
  recovery.belief = experiment.belief;
  wire::WorkerOrder& order = recovery.order;
  order = worker_order(options_.key, options_.engine, options_.protocol, experiment.plan, {});
  order.term = recovery_term(experiment.cycle, experiment.attempt);
  order.known_synced = crash.synced;
  Rng checks = rng_.fork("checks").fork(spec.cut);
  order.check_backward = checks.chance(1, 4);
  order.check_integrity = checks.chance(1, 4);
  order.check_reopen = checks.chance(1, 8);
  order.flush_after_replay = checks.chance(1, 2);
  order.reads = 8;
  return recovery;
}

void PowerLane::explore(const Experiment& experiment, std::uint64_t images, std::uint32_t depth) {
  std::unique_ptr<const History> history;
  if (const Status status = History::create(experiment.trace, &history); !status.ok()) {
    throw EnvironmentError("the recorded storage calls cannot be modelled: " + status.message());
  }
  const Order order(*history, options_.profile);
  Imager imager(*history, experiment.base, imager_options(lane_->engine(), options_.directory / "store"));
  disk::ExplorerOptions how;
  if (depth > 0) {
    how.weights = {4, 4, 1, 0, 0, 1, 0};
  }
  std::optional<Explorer> explorer;
  {
    const Stopwatch watch(&tally_.explore_us);
    explorer.emplace(order, &imager, rng_.fork("explore").fork(loads_ * (kDepthMax + 1) + depth), how);
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
    const bool novel = recoveries_.insert(tap::signature(calls)).second;
    tally_.recoveries_distinct += novel ? 1 : 0;
    explorer->feedback(candidate->spec, novel);
    if (verdict.failed()) {
      check_room(options_.directory);
      fail(experiment, order, imager, candidate->spec, verdict, candidate->description);
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
            record_recovery(experiment, spec, imager, fmt::format("recovery-{}", depth))) {
      explore(*inner, kRecoveryImages[depth], depth + 1);
    }
  }
}

// The recovery from an image that came through, once more, with its storage calls taken down.
std::optional<PowerLane::Experiment> PowerLane::record_recovery(const Experiment& from, const ImageSpec& spec,
                                                                Imager& imager, const std::string& name) {
  const Stopwatch watch(&tally_.record_us);
  std::unique_ptr<const History> history;
  const Status status = History::create(from.trace, &history);
  CHECK(status.ok());
  RecoveryCase recovery = recovery_case(from, *history, spec);
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
  inner.trace = tap.take_trace();
  const wire::FlightRecorder& recorder = judge_->parent().recorder();
  inner.trace.last = {recorder.appended, recorder.synced, recorder.applied, recorder.flushed, recorder.term};
  const workloads::Generator generator(options_.key.workload, options_.key.seed);
  std::unique_ptr<oracle::Oracle> oracle;
  const Status loaded = oracle::Oracle::load(from.belief, generator, &oracle);
  CHECK(loaded.ok());
  oracle->begin_term(recovery.order.term);
  oracle->mark();
  oracle->save(&inner.belief);
  inner.indexes = recovery.crash;
  inner.cycle = from.cycle;
  inner.attempt = from.attempt + 1;
  inner.plan = from.plan;
  inner.weakest = weakest_profile(*history, spec, options_.profile);
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

void PowerLane::fail(const Experiment& experiment, const Order& order, Imager& imager, const ImageSpec& spec,
                     const ImageJudge::Verdict& verdict, const std::string& description) {
  const Stopwatch watch(&tally_.explain_us);
  const History& history = order.history();
  ++tally_.failed;
  PowerFinding finding;
  finding.invariant = first_broken(verdict);
  finding.promised = is_promised(verdict);
  finding.images = 1;
  ImageSpec reduced = spec;
  const auto known = [&] {
    return std::find_if(tally_.findings.begin(), tally_.findings.end(), [&](const PowerFinding& each) {
      return each.invariant == finding.invariant && each.promised == finding.promised &&
             without_numbers(each.cause) == without_numbers(finding.cause);
    });
  };
  finding.cause = disk::explain(history, spec);
  if (tally_.findings.size() < options_.explained_max && known() == tally_.findings.end()) {
    const auto fails = [&](const ImageSpec& tried) {
      const fs::path data = fresh("explain");
      fs::create_directory(data);
      imager.materialize(tried, data);
      const ImageJudge::Verdict again = judge_->judge(recovery_case(experiment, history, tried), data);
      return again.failed() && first_broken(again) == finding.invariant;
    };
    reduced = disk::minimize(order, spec, fails, {.tests_max = kExplainTests}).spec;
    finding.cause = disk::explain(history, reduced);
  }
  finding.profile = weakest_profile(history, reduced, options_.profile);
  const auto rank = [](const std::string& name) {
    const std::vector<std::string>& names = disk::profile_names();
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  if (!experiment.weakest.empty() && rank(experiment.weakest) > rank(finding.profile)) {
    finding.profile = experiment.weakest;
  }
  ++tally_.failed_by_profile[finding.profile];
  if (const auto same = known(); same != tally_.findings.end()) {
    ++same->images;
    if (rank(finding.profile) < rank(same->profile)) {
      same->profile = finding.profile;
    }
    return;
  }
  PowerFailure failure;
  failure.recovery = recovery_case(experiment, history, reduced);
  failure.power = {experiment.trace, experiment.base, reduced, options_.profile};
  failure.plan = experiment.plan;
  failure.image = fresh("failed");
  fs::create_directory(failure.image);
  imager.materialize(reduced, failure.image);
  const fs::path data = fresh("explain");
  copy_tree(failure.image, data);
  const ImageJudge::Verdict last = judge_->judge(failure.recovery, data);
  const ImageJudge::Verdict& shown = last.failed() ? last : verdict;
  failure.recovery.violations = shown.violations;
  finding.explanation =
      shown.violations.empty() ? shown.abnormal : shown.violations.front().explanation;
  finding.detail = shown.events.empty() ? shown.abnormal + "\n" : shown.events.front().detail;
  finding.detail += fmt::format("  the power cut: {}\n  the image: {}\n  found as: {}\n", finding.cause,
                                disk::to_string(reduced), description);
  report::CycleEvent& event = failure.event;
  event.engine = options_.engine;
  event.protocol = wire::to_string(options_.protocol);
  event.workload = options_.key.workload;
  event.fault = options_.key.fault;
  event.lane = options_.lane;
  event.cycle = experiment.plan.cycle;
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
  tally_.findings.push_back(std::move(finding));
}

Bundle PowerLane::bundle(const PowerFailure& failure) const {
  Bundle bundle;
  bundle.version = chaosgate_version();
  bundle.engine_version = lane_->engine().version;
  bundle.key = options_.key;
  bundle.protocol = options_.protocol;
  bundle.lane = options_.lane;
  bundle.cycle = failure.plan.cycle;
  bundle.commit_survives_kill = lane_->engine().commit_survives_kill;
  bundle.plan = failure.plan;
  bundle.recovery = failure.recovery;
  bundle.event = failure.event;
  return bundle;
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
