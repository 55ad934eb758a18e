#include "harness/campaign/migrate_subject.h"

#include <fmt/format.h>

#include <optional>
#include <system_error>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using tap::FaultAction;
using wire::MigrationOutcome;

namespace {

constexpr int kRunsMax = 3;  // of one that somebody else ends
constexpr const char* kMigrationStore = "target.migrating/store";
constexpr std::uint32_t kSourceEntries = 150;  // of the load that makes it
// Small steps, so that a small source takes many.
constexpr std::uint64_t kSmallBatchBytes = 2 << 10;
constexpr std::uint64_t kSmallFlushBytes = 12 << 10;
constexpr std::uint64_t kSmallChunkBytes = 1 << 10;

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

// A load that ends by itself: its crash point is never reached.
crash::CyclePlan source_plan() {
  crash::CyclePlan plan;
  plan.kind = crash::CrashKind::call;
  plan.call.action = FaultAction::kill_before;
  plan.call.site.occurrence = 1'000'000'000;
  plan.schedule.flush_one_in = 40;
  plan.schedule.truncate_one_in = 40;
  plan.schedule.entries_max = kSourceEntries;
  return plan;
}

}  // namespace

MigrationSubject::MigrationSubject(const MigrationGateOptions& options, StopSignal& stop)
    : options_(options),
      stop_(stop),
      target_(lane_target_for(options)),
      migrator_(options.worker, options.directory, options.hang_ms, &stop),
      judge_(options.worker, options.to.plugin, options.directory / "judge.output", options.workload,
             options.seed, options.hang_ms, &stop) {
  if (!judge_.parent().hello().tap_unavailable.empty()) {
    throw UsageError("storage calls cannot be seen here: " + judge_.parent().hello().tap_unavailable);
  }
  make_replica();
}

void MigrationSubject::make_replica() {
  LaneOptions lane_options{target_};
  lane_options.directory = options_.directory / "lane";
  Lane lane(lane_options, &stop_);
  std::vector<report::CycleEvent> failed;
  if (!lane.prepare(&failed)) {
    return note_broken(lane, failed.back());
  }
  lane.go_back(lane.keep_state(options_.directory / "start"), source_plan());
  if (const report::CycleEvent event = lane.run_cycle(true); !event.recovered) {
    return note_broken(lane, event);
  }
  replica_ = lane.keep_state(options_.directory / "replica");
  const wire::MigrationReport seen =
      migrator_.inspect(replica_.image / "engine", options_.directory / kMigrationTarget, {});
  if (seen.outcome != MigrationOutcome::done) {
    throw EnvironmentError(seen.message);
  }
  keyspaces_ = seen.keyspaces;
}

void MigrationSubject::note_broken(const Lane& lane, const report::CycleEvent& event) {
  if (stop_.requested()) {
    return;
  }
  if (!lane.evidence()) {
    throw EnvironmentError("a source cannot be made: " + event.last_death().detail);
  }
  broken_source_ = event.violations.empty() ? "abnormal death: " + event.last_death().detail
                                            : fmt::format("{}: {}", event.violations.front().invariant,
                                                          event.violations.front().explanation);
  replica_.image = options_.directory / "replica";
  copy_tree(lane.evidence()->image, replica_.image);
}

const std::string& MigrationSubject::broken_source(fs::path* directory) const {
  *directory = replica_.image;
  return broken_source_;
}

tap::TapOptions MigrationSubject::tap_options(const fs::path& directory) const {
  const wire::EngineDescription& engine = options_.to;
  tap::TapOptions options;
  options.directory = directory;
  options.rules.push_back({"progress", "target.migrating/progress*"});
  for (const char* store : {kMigrationStore, kMigrationTarget}) {
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

MigrationRun MigrationSubject::run(const fs::path& directory, const MigrationDeath& death, tap::Tap* tap) {
  MigrationRequest request;
  request.source = replica_.image / "engine";
  request.target = directory / kMigrationTarget;
  request.from = {options_.from.plugin, options_.from.name};
  request.to = {options_.to.plugin, options_.to.name};
  request.keyspaces = keyspaces_;
  request.stock_tuning = false;
  request.batch_bytes = kSmallBatchBytes;
  request.flush_bytes = kSmallFlushBytes;
  request.chunk_bytes = kSmallChunkBytes;
  request.fault = options_.fault;
  MigrationRun run = migrator_.run(request, death, tap);
  if (run.outside) {
    not_reproduced_.push_back(run.abnormal);  // who calls tries again
  }
  return run;
}

std::string MigrationSubject::measure(const fs::path& directory) {
  std::optional<tap::Tap> tap;
  std::uint64_t begin = 0;
  MigrationRun whole;
  for (int i = 0; i < kRunsMax && (i == 0 || whole.outside); ++i) {
    fs::remove_all(directory);
    tap.emplace(tap_options(make_directory(directory)));
    begin = wire::monotonic_ns();
    whole = run(directory, {}, &*tap);
  }
  extent_.us = static_cast<std::uint32_t>((wire::monotonic_ns() - begin) / 1000);
  for (const tap::TraceRecord& record : tap->trace().records) {
    extent_.calls += record.informational ? 0 : 1;
    extent_.writes += !record.informational && record.call == tap::StorageCall::write ? 1 : 0;
  }
  std::uint64_t bytes = 0;
  for (const wire::MigratedKeyspace& keyspace : whole.exporter.found) {
    bytes += keyspace.bytes;
    extent_.keys += keyspace.keys;
  }
  extent_.pieces = bytes / kSmallChunkBytes + 1;
  return whole.done() ? judge(directory) : whole.message();
}

bool MigrationSubject::is_end(const MigrationRun& run, bool target_was_there) {
  return run.done() || (target_was_there && run.outcome() == MigrationOutcome::refused);
}

// Like a kill, an end from outside only interrupts it; one after the other is the engine's own doing.
MigrationRun MigrationSubject::run_to_end(const fs::path& directory) {
  MigrationRun last = run(directory);
  for (int i = 1; i < kRunsMax && last.outside; ++i) {
    last = run(directory);
  }
  return last;
}

std::string MigrationSubject::finish(const fs::path& directory, wire::MigrationReport* report) {
  const bool target_was_there = fs::exists(directory / kMigrationTarget);
  MigrationRun last = run_to_end(directory);
  *report = last.importer;
  // An engine that promises nothing after a power cut may cost the store that was begun, but no more.
  if (!options_.to.opens_after_power_cut && last.outcome() == MigrationOutcome::failed) {
    last = run_to_end(directory);
  }
  return is_end(last, target_was_there) ? "" : last.message();
}

std::string MigrationSubject::judge(const fs::path& directory) {
  if (!fs::exists(directory / kMigrationTarget)) {
    return "there is no target\n";
  }
  RecoveryCase recovery;
  recovery.belief = replica_.belief;
  recovery.crash = replica_.indexes;
  wire::WorkerOrder& order = recovery.order;
  order = worker_order(target_, {}, {});
  order.engine = options_.to.name;
  order.plugin = options_.to.plugin;
  order.term = recovery_term(replica_.cycle, 1);  // 0 was the recovery after the load
  order.known_synced = replica_.indexes.synced;
  order.check_backward = order.check_integrity = true;
  order.reads = 8;
  order.load = true;  // it is killed when it is ready, which is quicker than a clean end
  const ImageJudge::Verdict verdict = ImageJudge::judge_again([&] {
    const fs::path data = options_.directory / "judged";
    std::error_code ignored;
    fs::remove_all(data, ignored);
    fs::create_directory(data);
    copy_tree(replica_.image / "log", data / "log");
    copy_tree(directory / kMigrationTarget, data / "engine");
    return judge_.judge(recovery, data);
  });
  if (!verdict.not_reproduced.empty()) {
    not_reproduced_.push_back("the target, opened: " + verdict.not_reproduced);
  }
  if (!verdict.failed() || verdict.driven.outcome == report::Outcome::stopped) {
    return "";
  }
  return verdict.events.empty() ? verdict.abnormal + "\n" : verdict.events.front().detail;
}

}  // namespace chaosgate::campaign
