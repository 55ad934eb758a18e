#include "harness/campaign/migrate_gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/rng.h"
#include "harness/campaign/image_judge.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/migrate.h"
#include "harness/campaign/power_case.h"
#include "harness/campaign/tap_setup.h"
#include "harness/campaign/work_directory.h"
#include "harness/disk/explore.h"
#include "harness/disk/minimize.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using tap::FaultAction;
using wire::MigrationOutcome;

namespace {

constexpr const char* kTarget = "target";
constexpr const char* kStore = "target.migrating/store";
constexpr std::uint32_t kSourceEntries = 150;  // of the load that makes it
// Small steps, so that a small source takes many.
constexpr std::uint64_t kBatchBytes = 2 << 10;
constexpr std::uint64_t kFlushBytes = 12 << 10;
constexpr std::uint64_t kChunkBytes = 1 << 10;
constexpr std::uint32_t kDeathsMax = 12;  // of one migration; then it is left alone
constexpr std::uint64_t kImagesPerTrace = 300;
constexpr std::uint32_t kReduceTests = 60;

// What a whole migration takes; deaths are drawn within it.
struct Extent {
  std::uint64_t calls = 0;
  std::uint64_t writes = 0;
  std::uint64_t pieces = 0;
  std::uint32_t us = 0;
};

tap::TapOptions tap_options_for(const wire::EngineDescription& engine, const fs::path& directory) {
  tap::TapOptions options;
  options.directory = directory;
  options.rules.push_back({"progress", "target.migrating/progress*"});
  for (const char* store : {kStore, kTarget}) {
    for (const wire::FileClassDescription& file_class : engine.file_classes) {
      options.rules.push_back({file_class.name, fmt::format("{}/{}", store, file_class.pattern),
                               file_class.bytes_end, file_class.informational});
    }
    for (const std::string& name : engine.volatile_files) {
      options.volatile_files.push_back(fmt::format("{}/{}", store, name));
    }
  }
  return options;
}

class Gate {
 public:
  Gate(const MigrationGateOptions& options, StopSignal& stop, report::Progress* progress);

  MigrationTally run();

 private:
  // A source of oracle-known content, as a closed replica.
  void make_source();
  crash::CyclePlan source_plan() const;
  MigrationRequest request(const fs::path& directory) const;
  void measure();
  bool enough() const { return stop_.requested() || tally_.findings.size() >= options_.findings_max; }

  void kill_migrations();
  void kill_one(std::uint64_t number);
  MigrationDeath draw_death(Rng& rng, std::string* text) const;
  void count_kill(const MigrationDeath& death);

  void cut_power();
  void explore(const tap::Trace& trace, const fs::path& base, std::uint64_t number);
  tap::Trace record(const fs::path& base, Rng& rng);
  // What is wrong with the end that the migration comes to from this directory; "" when nothing is.
  std::string judge_image(const fs::path& directory);

  // Runs the migration to its end; "" or what is wrong.
  std::string finish_in(const fs::path& directory);
  // Puts the target in the source's place; "" or what is wrong. Uses it up.
  std::string judge_target(const fs::path& directory);
  void add_finding(MigrationFinding finding, const fs::path& directory);
  fs::path fresh(const std::string& name) const;
  void show_progress(const char* what, std::uint64_t done, std::uint64_t wanted) const;

  const MigrationGateOptions& options_;
  StopSignal& stop_;
  report::Progress* progress_;
  const Rng rng_;
  LaneTarget target_;  // the replica, on the source's engine
  Migrator migrator_;
  ImageJudge judge_;
  LaneState source_;
  std::vector<std::string> keyspaces_;
  Extent extent_;
  std::uint64_t keys_resumed_ = 0;  // by the last run of finish_in()
  MigrationTally tally_;
};

LaneTarget lane_target_for(const MigrationGateOptions& options) {
  LaneTarget target;
  target.key.seed = options.seed;
  target.key.workload = options.workload;
  target.key.plan.timer = target.key.plan.free_running = false;
  target.plugin = options.from.plugin;
  target.engine = options.from.name;
  target.worker = options.worker;
  target.hang_ms = options.hang_ms;
  return target;
}

Gate::Gate(const MigrationGateOptions& options, StopSignal& stop, report::Progress* progress)
    : options_(options),
      stop_(stop),
      progress_(progress),
      rng_(Rng(options.seed).fork("migrate").fork(options.from.name).fork(options.to.name)),
      target_(lane_target_for(options)),
      migrator_(options.worker, options.directory, options.hang_ms, &stop),
      judge_(options.worker, options.to.plugin, options.directory / "judge.output", options.workload,
             options.seed, options.hang_ms, &stop) {
  if (!judge_.parent().hello().tap_unavailable.empty()) {
    throw UsageError("storage calls cannot be seen here: " + judge_.parent().hello().tap_unavailable);
  }
  tally_.from = options.from.name;
  tally_.to = options.to.name;
}

fs::path Gate::fresh(const std::string& name) const {
  const fs::path path = options_.directory / name;
  std::error_code ignored;
  fs::remove_all(path, ignored);
  return path;
}

void Gate::show_progress(const char* what, std::uint64_t done, std::uint64_t wanted) const {
  if (progress_ != nullptr) {
    progress_->update({.label = fmt::format("{} to {}:", tally_.from, tally_.to),
                       .kills = done,
                       .kills_wanted = wanted,
                       .unit = what});
  }
}

// A load that ends by itself: its crash point is never reached.
crash::CyclePlan Gate::source_plan() const {
  crash::CyclePlan plan;
  plan.kind = crash::CrashKind::call;
  plan.call.action = FaultAction::kill_before;
  plan.call.site.occurrence = 1'000'000'000;
  plan.schedule.flush_one_in = 40;
  plan.schedule.truncate_one_in = 40;
  plan.schedule.entries_max = kSourceEntries;
  return plan;
}

void Gate::make_source() {
  LaneOptions lane_options{target_};
  lane_options.directory = options_.directory / "lane";
  lane_options.keep_images = false;
  Lane lane(lane_options, &stop_);
  if (!lane.prepare()) {
    throw EnvironmentError("a source cannot be made; 'chaosgate run' says why");
  }
  lane.go_back(lane.keep_state(options_.directory / "start"), source_plan());
  if (!lane.run_cycle(true).recovered) {
    if (stop_.requested()) {
      return;
    }
    throw EnvironmentError("a load to make a source fails; 'chaosgate run' says why");
  }
  source_ = lane.keep_state(options_.directory / "replica");
  const wire::MigrationReport seen =
      migrator_.inspect(source_.image / "engine", options_.directory / kTarget, {});
  if (seen.outcome != MigrationOutcome::done) {
    throw EnvironmentError(seen.message);
  }
  keyspaces_ = seen.keyspaces;
}

MigrationRequest Gate::request(const fs::path& directory) const {
  MigrationRequest request;
  request.source = source_.image / "engine";
  request.target = directory / kTarget;
  request.from = {options_.from.plugin, options_.from.name};
  request.to = {options_.to.plugin, options_.to.name};
  request.keyspaces = keyspaces_;
  request.stock_tuning = false;
  request.batch_bytes = kBatchBytes;
  request.flush_bytes = kFlushBytes;
  request.chunk_bytes = kChunkBytes;
  request.fault = options_.fault;
  return request;
}

// One migration that nothing happens to. A finding when even that fails.
void Gate::measure() {
  const fs::path directory = make_directory(fresh("measured"));
  tap::Tap tap(tap_options_for(options_.to, directory));
  const std::uint64_t begin = wire::monotonic_ns();
  const MigrationRun run = migrator_.run(request(directory), {}, &tap);
  extent_.us = static_cast<std::uint32_t>((wire::monotonic_ns() - begin) / 1000);
  for (const tap::TraceRecord& record : tap.trace().records) {
    extent_.calls += record.informational ? 0 : 1;
    extent_.writes += !record.informational && record.call == tap::StorageCall::write ? 1 : 0;
  }
  std::uint64_t bytes = 0;
  for (const wire::MigratedKeyspace& keyspace : run.exporter.found) {
    bytes += keyspace.bytes;
    tally_.keys += keyspace.keys;
  }
  extent_.pieces = bytes / kChunkBytes + 1;
  std::string wrong = run.done() ? judge_target(directory) : run.message();
  if (!wrong.empty() && !stop_.requested()) {
    add_finding({"none", "a migration that nothing happened to", std::move(wrong), "", ""}, directory);
  }
}

MigrationDeath Gate::draw_death(Rng& rng, std::string* text) const {
  MigrationDeath death;
  const std::size_t kind = rng.weighted({2, 2, 2, 2, 2});
  if (kind == 3) {
    death.exporter_after_pieces = 1 + rng.below(extent_.pieces);
    *text = fmt::format("exporter after {} pieces", death.exporter_after_pieces);
    return death;
  }
  if (kind == 4) {
    death.importer_us = static_cast<std::uint32_t>(rng.below(extent_.us + 1));
    *text = fmt::format("importer after {} us", *death.importer_us);
    return death;
  }
  tap::StorageFault fault;
  fault.action = kind == 0   ? FaultAction::kill_before
                 : kind == 1 ? FaultAction::kill_after
                             : FaultAction::kill_inside;
  fault.site.occurrence = 1 + rng.below(extent_.calls);
  if (fault.action == FaultAction::kill_inside) {
    fault.site.call = tap::StorageCall::write;
    fault.site.occurrence = 1 + rng.below(std::max<std::uint64_t>(extent_.writes, 1));
    fault.unit_bytes = tap::kSectorBytes;
  }
  *text = "importer " + to_string(fault);
  death.importer_faults.push_back(std::move(fault));
  return death;
}

void Gate::count_kill(const MigrationDeath& death) {
  ++tally_.kills;
  if (death.exporter_after_pieces != 0) {
    ++tally_.kills_of_exporter;
  } else if (death.importer_us) {
    ++tally_.kills_at_any_time;
  } else {
    ++tally_.kills_at_calls;
  }
}

void Gate::kill_migrations() {
  // Deaths are drawn within the extent of a migration and hit most of them; with fewer it is inconclusive.
  const std::uint64_t migrations_max = 10 * options_.kills + 100;
  for (std::uint64_t i = 0; i < migrations_max && tally_.kills < options_.kills && !enough(); ++i) {
    kill_one(i);
    show_progress("kill", tally_.kills, options_.kills);
  }
}

void Gate::kill_one(std::uint64_t number) {
  const fs::path directory = make_directory(fresh("killed"));
  Rng rng = rng_.fork("kills").fork(number);
  std::string deaths;
  std::string wrong;
  bool ended = false;
  for (std::uint32_t i = 0; i < kDeathsMax && !ended && tally_.kills < options_.kills; ++i) {
    std::string text;
    const MigrationDeath death = draw_death(rng, &text);
    tap::Tap tap(tap_options_for(options_.to, directory));
    const MigrationRun run = migrator_.run(request(directory), death, &tap);
    if (run.stopped) {
      return;
    }
    tally_.resumed += run.importer.keys_resumed > 0 ? 1 : 0;
    deaths += (deaths.empty() ? "" : ", ") + text;
    if (run.killed) {
      count_kill(death);
      continue;
    }
    ended = true;
    deaths += " (not reached)";
    // The name was there and the record gone when it was killed last: all is done.
    if (!run.done() && !(run.outcome() == MigrationOutcome::refused && fs::exists(directory / kTarget))) {
      wrong = run.message();
    }
  }
  if (!ended) {
    wrong = finish_in(directory);
  }
  if (wrong.empty()) {
    wrong = judge_target(directory);
  }
  if (stop_.requested()) {
    return;
  }
  ++tally_.migrations;
  if (!wrong.empty()) {
    add_finding({"kill", std::move(deaths), std::move(wrong), "", ""}, directory);
  }
}

std::string Gate::finish_in(const fs::path& directory) {
  const bool had_target = fs::exists(directory / kTarget);
  const MigrationRun run = migrator_.run(request(directory));
  keys_resumed_ = run.importer.keys_resumed;
  tally_.resumed += keys_resumed_ > 0 ? 1 : 0;
  if (run.done() || (had_target && run.outcome() == MigrationOutcome::refused)) {
    return "";
  }
  // An engine that promises nothing after a power cut may cost the store that was begun, but no more.
  if (!options_.to.opens_after_power_cut && run.outcome() == MigrationOutcome::failed) {
    const MigrationRun anew = migrator_.run(request(directory));
    return anew.done() ? "" : anew.message();
  }
  return run.message();
}

std::string Gate::judge_target(const fs::path& directory) {
  const fs::path data = fresh("judged");
  fs::create_directory(data);
  copy_tree(source_.image / "log", data / "log");
  std::error_code error;
  fs::rename(directory / kTarget, data / "engine", error);
  if (error) {
    return "there is no target\n";
  }
  RecoveryCase recovery;
  recovery.belief = source_.belief;
  recovery.crash = source_.indexes;
  wire::WorkerOrder& order = recovery.order;
  order = worker_order(target_, {}, {});
  order.engine = options_.to.name;
  order.plugin = options_.to.plugin;
  order.term = recovery_term(source_.cycle, 1);  // 0 was the recovery after the load
  order.known_synced = source_.indexes.synced;
  order.check_backward = order.check_integrity = true;
  order.reads = 8;
  order.load = true;  // it is killed when it is ready, which is quicker than a clean end
  const ImageJudge::Verdict verdict = judge_.judge(recovery, data);
  if (!verdict.failed() || verdict.driven.outcome == report::Outcome::stopped) {
    return "";
  }
  fs::rename(data / "engine", directory / kTarget, error);  // for whoever looks at it
  return verdict.events.empty() ? verdict.abnormal + "\n" : verdict.events.front().detail;
}

void Gate::add_finding(MigrationFinding finding, const fs::path& directory) {
  check_room(options_.directory);
  fs::create_directories(options_.failures);
  const fs::path kept =
      options_.failures / fmt::format("{}-to-{}-{}", tally_.from, tally_.to, tally_.findings.size());
  std::error_code ignored;
  fs::remove_all(kept, ignored);
  copy_tree(directory, kept);
  finding.kept = kept;
  tally_.findings.push_back(std::move(finding));
}

// The storage calls of a migration that goes on from what is in `base`, which is not changed.
tap::Trace Gate::record(const fs::path& base, Rng& rng) {
  const fs::path directory = fresh("recorded");
  copy_tree(base, directory);
  tap::TapOptions options = tap_options_for(options_.to, directory);
  options.keep_payloads = true;
  options.sync_disk = false;
  tap::Tap tap(std::move(options));
  MigrationDeath death;
  if (rng.chance(1, 3)) {
    death.exporter_after_pieces = 1 + rng.below(extent_.pieces);  // its end is recorded, too
  }
  migrator_.run(request(directory), death, &tap);
  return tap.take_trace();
}

void Gate::cut_power() {
  const std::uint64_t traces_max = 10 + options_.images;
  for (std::uint64_t number = 0; number < traces_max && tally_.images < options_.images && !enough();
       ++number) {
    Rng rng = rng_.fork("traces").fork(number);
    const fs::path base = make_directory(fresh("base"));
    if (number % 2 == 1) {
      // Half of them go on from where a kill left the migration.
      MigrationDeath death;
      tap::StorageFault& fault = death.importer_faults.emplace_back();
      fault.site.occurrence = 1 + rng.below(extent_.calls);
      tap::Tap tap(tap_options_for(options_.to, base));
      migrator_.run(request(base), death, &tap);
    }
    const tap::Trace trace = modelled(record(base, rng));
    if (!stop_.requested()) {
      ++tally_.traces;
      tally_.calls += trace.records.size();
      explore(trace, base, number);
    }
  }
}

std::string Gate::judge_image(const fs::path& directory) {
  const bool had_target = fs::exists(directory / kTarget);
  std::string wrong = finish_in(directory);
  if (wrong.empty()) {
    wrong = judge_target(directory);
  }
  tally_.images_with_target += had_target ? 1 : 0;
  return wrong;
}

void Gate::explore(const tap::Trace& trace, const fs::path& base, std::uint64_t number) {
  std::unique_ptr<const disk::History> history;
  if (const Status status = disk::History::create(trace, &history); !status.ok()) {
    throw EnvironmentError("the recorded storage calls cannot be modelled: " + status.message());
  }
  Orders orders(*history, options_.profile);
  disk::Imager imager(*history, base);
  disk::Explorer explorer(orders.explored(), &imager, rng_.fork("explore").fork(number));
  std::set<std::uint64_t> seen;  // how far the migration had come
  for (std::uint64_t judged = 0; judged < kImagesPerTrace && tally_.images < options_.images && !enough();
       ++judged) {
    const std::optional<disk::Candidate> candidate = explorer.next();
    if (!candidate) {
      return;
    }
    const fs::path directory = make_directory(fresh("image"));
    imager.materialize(candidate->spec, directory);
    std::string wrong = judge_image(directory);
    if (stop_.requested()) {
      return;
    }
    ++tally_.images;
    show_progress("image", tally_.images, options_.images);
    explorer.feedback(candidate->spec, seen.insert(keys_resumed_).second);
    if (wrong.empty()) {
      continue;
    }
    const auto fails = [&](const disk::ImageSpec& spec) {
      const fs::path tried = make_directory(fresh("explain"));
      imager.materialize(spec, tried);
      return !judge_image(tried).empty();
    };
    const disk::ImageSpec reduced =
        disk::minimize(orders.explored(), candidate->spec, fails, {.tests_max = kReduceTests}).spec;
    const fs::path kept = make_directory(fresh("image"));
    imager.materialize(reduced, kept);
    add_finding(
        {"power cut", disk::explain(*history, reduced), std::move(wrong), orders.weakest(reduced), ""}, kept);
  }
}

MigrationTally Gate::run() {
  make_source();
  if (!stop_.requested()) {
    measure();
  }
  kill_migrations();
  cut_power();
  tally_.complete = tally_.kills >= options_.kills && tally_.images >= options_.images;
  return std::move(tally_);
}

}  // namespace

MigrationTally run_migration_gate(const MigrationGateOptions& options, StopSignal& stop,
                                  report::Progress* progress) {
  return Gate(options, stop, progress).run();
}

}  // namespace chaosgate::campaign
