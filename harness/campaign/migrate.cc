#include "harness/campaign/migrate.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/base/unique_fd.h"
#include "harness/campaign/drive.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using wire::MigrationOutcome;
using wire::MigrationReport;
using wire::MigrationRole;
using wire::MigrationStage;

namespace {

constexpr std::uint64_t kLookEveryNs = 100 * kNsPerMs;

// What a worker that has ended reported; an unknown outcome when it did not come to that.
MigrationReport read_report(const WorkerParent& parent) {
  if (parent.recorder().phase != wire::Phase::closed) {
    return {};
  }
  return parse_json(parent.observations()).get<MigrationReport>();
}

wire::WorkerOrder order_for(const MigrationRequest& request, MigrationRole role) {
  wire::WorkerOrder order;
  const EngineChoice& engine = role == MigrationRole::exporter ? request.from : request.to;
  order.engine = engine.name;
  order.plugin = engine.plugin;
  order.stock_tuning = request.stock_tuning;
  wire::MigrationOrder& migration = order.migration;
  migration.role = role;
  migration.source = request.source;
  migration.target = request.target;
  migration.keyspaces = request.keyspaces;
  migration.source_engine = request.from.name;
  migration.dry_run = request.dry_run;
  migration.batch_bytes = request.batch_bytes;
  migration.flush_bytes = request.flush_bytes;
  migration.chunk_bytes = request.chunk_bytes;
  return order;
}

const char* label_of(MigrationStage stage) {
  switch (stage) {
    case MigrationStage::none:
      return "opening";
    case MigrationStage::copying:
      return "copying the source";
    case MigrationStage::surveying:
      return "reading the source";
    case MigrationStage::moving:
      return "moving";
    case MigrationStage::verifying:
      return "verifying the target";
  }
  return "";
}

// The copy of the source that an exporter made before it died. One that another migration works with is
// locked.
void remove_scratch(const fs::path& scratch) {
  const UniqueFd lock(::open(scratch.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
    std::error_code ignored;
    fs::remove_all(scratch, ignored);
  }
}

}  // namespace

MigrationOutcome MigrationRun::outcome() const {
  return exporter.outcome == MigrationOutcome::refused ? exporter.outcome : importer.outcome;
}

// When one side ends, the other only knows that it is gone.
std::string MigrationRun::message() const {
  if (exporter.outcome == MigrationOutcome::refused) {
    return exporter.message;
  }
  if (!abnormal.empty()) {
    return abnormal;
  }
  return importer.peer_gone && !exporter.peer_gone && !exporter.message.empty() ? exporter.message
                                                                                : importer.message;
}

// The longest time without a step of either side.
class Migrator::Waiting {
 public:
  explicit Waiting(std::uint32_t hang_ms) : bound_(hang_ms) {}

  wire::AwakeBound* bound() { return &bound_; }
  bool hangs(const wire::FlightRecorder& exporter, const wire::FlightRecorder& importer) {
    const std::uint64_t steps = exporter.stage_keys + importer.stage_keys + importer.flushed;
    if (steps != steps_) {
      steps_ = steps;
      bound_.restart();
    }
    return bound_.used_up();
  }

 private:
  wire::AwakeBound bound_;
  std::uint64_t steps_ = 0;
};

Migrator::Migrator(const fs::path& worker, const fs::path& directory, std::uint32_t hang_ms, StopSignal* stop,
                   report::Progress* progress)
    : exporter_(worker, {}, directory / "exporter.output", stop),
      importer_(worker, {}, directory / "importer.output", stop),
      hang_ms_(hang_ms),
      stop_(stop),
      progress_(progress) {}

MigrationReport Migrator::inspect(const fs::path& source, const fs::path& target,
                                  const std::vector<std::string>& keyspaces) {
  wire::WorkerOrder order;
  order.migration.role = MigrationRole::inspector;
  order.migration.source = source;
  order.migration.target = target;
  order.migration.keyspaces = keyspaces;
  exporter_.start(order);
  wire::AwakeBound bound(hang_ms_);
  const WorkerParent::Event event = exporter_.wait(&bound);
  if (event != WorkerParent::Event::death) {
    exporter_.kill();
  }
  const Exit exit = exporter_.reap();
  MigrationReport report = read_report(exporter_);
  if (report.outcome == MigrationOutcome::unknown) {
    report.message = "looking at the directories: the worker " + exit.describe();
  }
  return report;
}

void Migrator::start(const MigrationRequest& request, const MigrationDeath& death, tap::Tap* tap) {
  auto [exporter_end, importer_end] = wire::make_stream_pair();
  wire::WorkerOrder from = order_for(request, MigrationRole::exporter);
  from.migration.die_after_pieces = death.exporter_after_pieces;
  wire::WorkerOrder to = order_for(request, MigrationRole::importer);
  to.fault = request.fault;
  to.tap = tap != nullptr;
  // Both ends are closed here when this returns: the death of one side is then the end of the other's stream.
  exporter_.start(from, nullptr, {}, exporter_end.get());
  importer_.start(to, tap, death.importer_faults, importer_end.get());
}

void Migrator::show_progress() const {
  if (progress_ == nullptr) {
    return;
  }
  const wire::FlightRecorder& importer = importer_.recorder();
  const MigrationStage stage = importer.stage;
  const bool moving = stage != MigrationStage::none;
  const wire::FlightRecorder& shown = moving ? importer : exporter_.recorder();
  progress_->update({.label = label_of(shown.stage),
                     .done = shown.stage_keys,
                     .wanted = moving ? importer.stage_keys_all.load() : 0,
                     .unit = "key"});
}

MigrationRun Migrator::run(const MigrationRequest& request, const MigrationDeath& death, tap::Tap* tap) {
  MigrationRun run;
  const std::uint64_t begin = wire::monotonic_ns();
  start(request, death, tap);
  const std::uint64_t kill_at = death.importer_us ? begin + *death.importer_us * kNsPerUs : UINT64_MAX;
  Waiting waiting(hang_ms_);
  for (bool ended = false; !ended;) {
    switch (importer_.wait(waiting.bound(), std::min(kill_at, wire::monotonic_ns() + kLookEveryNs))) {
      case WorkerParent::Event::death:
        ended = true;
        break;
      case WorkerParent::Event::stop:
        run.stopped = ended = true;
        break;
      case WorkerParent::Event::due:
      case WorkerParent::Event::overdue:
        show_progress();
        if (wire::monotonic_ns() >= kill_at) {
          importer_.kill();
          ended = true;
        } else if (waiting.hangs(exporter_.recorder(), importer_.recorder())) {
          run.outside = importer_.is_stopped() || exporter_.is_stopped();
          run.abnormal = fmt::format("no key was read or written for {} s{}", hang_ms_ / 1000,
                                     run.outside ? ": somebody has stopped a worker (SIGSTOP)" : "");
          ended = true;
        }
        break;
      case WorkerParent::Event::notice:
        break;  // a migration's workers send none
    }
  }
  collect(death, &run);
  remove_scratch(request.scratch);
  return run;
}

// Ends what still runs, reaps both, and says how they ended.
void Migrator::collect(const MigrationDeath& death, MigrationRun* run) {
  if (run->stopped || !run->abnormal.empty()) {
    importer_.kill();
  }
  const Exit importer = importer_.reap();
  if (!importer_.tap_end().refusal.empty()) {
    exporter_.kill();
    exporter_.reap();
    throw UntappableError("the storage calls of the target's engine cannot be seen: " +
                          importer_.tap_end().refusal);
  }
  // The importer is gone, so the exporter finds the end of its stream, unless it reads on for long.
  wire::AwakeBound bound(hang_ms_);
  if (run->stopped || !run->abnormal.empty() || exporter_.wait(&bound) != WorkerParent::Event::death) {
    exporter_.kill();
  }
  const Exit exporter = exporter_.reap();
  run->importer = read_report(importer_);
  run->exporter = read_report(exporter_);
  const bool importer_ordered =
      importer.by_sigkill() && (death.importer_us || importer_.recorder().crash_ordered == 1);
  const bool exporter_ordered = exporter.by_sigkill() && exporter_.recorder().crash_ordered == 1;
  run->killed = importer_ordered || exporter_ordered;
  if (run->stopped || !run->abnormal.empty()) {
    return;
  }
  if (!importer.clean() && !importer_ordered) {
    run->abnormal = "the worker that fills the target " + importer.describe();
    run->outside = importer.by_sigkill();
  } else if (!exporter.clean() && !exporter_ordered && !importer_ordered) {
    run->abnormal = "the worker that reads the source " + exporter.describe();
    run->outside = exporter.by_sigkill();
  }
}

}  // namespace chaosgate::campaign
