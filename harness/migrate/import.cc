#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "engines/directory.h"
#include "engines/marker.h"
#include "engines/registry.h"
#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/migrate/places.h"
#include "harness/migrate/progress_record.h"
#include "harness/migrate/side.h"
#include "harness/migrate/source.h"

namespace chaosgate::migrate {

namespace fs = std::filesystem;

using wire::MigrationOutcome;
using wire::MigrationReport;
using wire::MigrationStage;

namespace {

// How much of a store's size its keys and values make up differs between engines; this is generous.
constexpr std::uint64_t needed_bytes(std::uint64_t payload) { return payload + payload / 2 + (8 << 20); }

class Importer {
 public:
  Importer(const Side& side, const ImportFaults& faults, Pipe& pipe)
      : side_(side),
        faults_(faults),
        filler_(faults.unsynced ? side.config : side.filler),
        pipe_(pipe),
        places_(side.order.target) {}

  Status run(MigrationReport* report);
  // What the Status of run() means, when it is not ok.
  MigrationOutcome outcome() const { return outcome_; }

 private:
  enum class Plan : std::uint8_t {
    begin,    // a new store
    resume,   // the store that the record is about
    finish,   // it is verified: marker and name
    clean_up  // the target has its name: only the work directory is left
  };

  Status decide();
  Status decide_by_record();
  Status lock_work();
  Status check_room(MigrationReport* report) const;
  void resume(MigrationReport* report);
  Status answer();
  Status begin();
  Status open(const engines::EngineConfig& config);
  Status move();
  Status add(engines::KeyspaceId keyspace, std::string_view key, std::string_view value);
  Status write_batch();
  Status make_durable();
  Status verify(MigrationReport* report);
  Status give_up(const std::string& why, MigrationOutcome outcome);
  Status finish();
  Status clean_up();
  engines::EngineOptions options() const;

  const Side& side_;
  const ImportFaults faults_;
  const engines::EngineConfig& filler_;
  Pipe& pipe_;
  const Places places_;
  UniqueFd lock_;  // of the work directory
  Plan plan_ = Plan::begin;
  MigrationOutcome outcome_ = MigrationOutcome::refused;  // of what goes wrong now
  Survey source_;
  ProgressRecord record_;
  std::unique_ptr<engines::Engine> engine_;
  engines::WriteBatch batch_;
  std::vector<Durable> added_;    // with what is in batch_
  std::vector<Durable> written_;  // to the engine
  std::uint64_t unflushed_bytes_ = 0;
};

engines::EngineOptions Importer::options() const {
  engines::EngineOptions options;
  for (const KeyspaceSurvey& keyspace : source_.keyspaces) {
    options.keyspaces.push_back(keyspace.name);
  }
  options.tuning = side_.tuning;
  return options;
}

Status Importer::lock_work() {
  UniqueFd lock(::open(places_.work.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) {
    return Status::io_error("open " + places_.work.string(), errno);
  }
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Status::invalid_argument(
        fmt::format("another migration to {} is running", places_.target.string()));
  }
  lock_ = std::move(lock);
  return {};
}

// A record is there: it must be about this source and these engines.
Status Importer::decide_by_record() {
  const auto refuse = [&](const std::string& why) {
    return Status::invalid_argument(
        fmt::format("{} is an unfinished migration {}; remove it to begin anew", places_.work.string(), why));
  };
  if (record_.source_engine != side_.order.source_engine || record_.target_engine != side_.config.name) {
    return refuse(fmt::format("from {} to {}, not from {} to {}", record_.source_engine,
                              record_.target_engine, side_.order.source_engine, side_.config.name));
  }
  if (const std::string other = difference(record_.source, source_); !other.empty()) {
    return refuse("of another source: here, " + other);
  }
  std::error_code error;
  const bool occupied = is_occupied(places_.target);
  switch (record_.state) {
    case ProgressState::failed:
      return refuse("that ended with something else than the source");
    case ProgressState::begun:
      break;
    case ProgressState::moving:
      plan_ = Plan::resume;
      break;
    case ProgressState::verified:
      // The halves of a rename may come apart in a power cut, and both be lost.
      plan_ = occupied ? Plan::clean_up : fs::exists(places_.store, error) ? Plan::finish : Plan::begin;
      break;
  }
  engines::Marker marker;
  if (occupied && (plan_ != Plan::clean_up || !engines::read_marker(places_.target, &marker).ok() ||
                   marker != engines::Marker{side_.config.family, options().keyspaces})) {
    return Status::invalid_argument(fmt::format("the target {}: it is not empty", places_.target.string()));
  }
  return {};
}

Status Importer::decide() {
  RETURN_IF_ERROR(check_places(side_.order.source, places_));
  std::error_code error;
  if (!fs::exists(places_.work, error)) {
    return {};
  }
  RETURN_IF_ERROR(lock_work());
  const Status read = read_record(places_.work, &record_);
  if (read.ok()) {
    return decide_by_record();
  }
  if (!read.is_not_found()) {
    return Status(read.code(), read.message() + "; remove its directory to begin anew");
  }
  if (fs::exists(places_.store, error) || is_occupied(places_.target)) {
    return Status::invalid_argument(fmt::format(
        "{} is not a migration's, or not only: it has no progress record", places_.work.string()));
  }
  return {};
}

Status Importer::check_room(MigrationReport* report) const {
  std::uint64_t there = 0;
  if (plan_ == Plan::resume) {
    RETURN_IF_ERROR(engines::directory_bytes(places_.store, &there));
  }
  const std::uint64_t needed = needed_bytes(source_.bytes());
  report->bytes_needed = plan_ >= Plan::finish || needed <= there ? 0 : needed - there;
  return require_room(places_.target, report->bytes_needed, &report->bytes_free);
}

// Tells the exporter where to begin.
Status Importer::answer() {
  Start start;
  start.wanted = !side_.order.dry_run && (plan_ == Plan::begin || plan_ == Plan::resume);
  for (; start.keyspace < record_.durable.size(); ++start.keyspace) {
    const Durable& durable = record_.durable[start.keyspace];
    if (durable.keys < source_.keyspaces[start.keyspace].totals.count) {
      start.after = durable.last;
      break;
    }
  }
  std::string message;
  encode(start, &message);
  return pipe_.send_message(message);
}

// Opens the store that is to be filled further. One that a power cut has cost is no loss but of time: the
// source is still there.
void Importer::resume(MigrationReport* report) {
  const Status opened = faults_.thrown_away
                            ? Status::corruption("planted fault: thrown away")
                            : engines::open_unfinished_engine(filler_, places_.store, options(), &engine_);
  if (!opened.ok()) {
    plan_ = Plan::begin;
    report->begun_anew = opened.message();
  }
}

Status Importer::begin() {
  std::error_code error;
  if (!lock_) {
    if (!fs::create_directory(places_.work, error)) {
      return Status::io_error("create " + places_.work.string(), error ? error.value() : EEXIST);
    }
    RETURN_IF_ERROR(sync_directory(engines::parent_directory(places_.work)));
    RETURN_IF_ERROR(lock_work());
  }
  record_ = {ProgressState::begun, side_.order.source_engine, side_.config.name, source_, {}};
  record_.durable.resize(source_.keyspaces.size());
  RETURN_IF_ERROR(write_record(places_.work, record_));
  fs::remove_all(places_.store, error);
  if (error) {
    return Status::io_error("remove " + places_.store.string(), error.value());
  }
  RETURN_IF_ERROR(engines::create_unfinished_engine(filler_, places_.store, options()));
  record_.state = ProgressState::moving;
  return write_record(places_.work, record_);
}

// What is wrong with a store that was resumed is its engine's doing. Where its contract allows that, the next
// run begins anew.
Status Importer::give_up(const std::string& why, MigrationOutcome outcome) {
  engine_.reset();
  const bool anew = plan_ == Plan::resume && !filler_.contract.opens_after_power_cut;
  record_.state = anew ? ProgressState::begun : ProgressState::failed;
  record_.durable.assign(source_.keyspaces.size(), {});
  outcome_ = anew ? MigrationOutcome::failed : outcome;
  const Status kept = write_record(places_.work, record_);
  return Status::corruption(
      fmt::format("the target {}: {}{}", places_.target.string(), why,
                  !kept.ok() ? "; " + kept.message()
                  : anew     ? "; the engine promises no more after a power cut, and the next run begins anew"
                             : "; remove " + places_.work.string() + " to begin anew"));
}

Status Importer::open(const engines::EngineConfig& config) {
  const Status opened = engines::open_unfinished_engine(config, places_.store, options(), &engine_);
  if (!opened.ok() && opened.code() != StatusCode::io_error) {
    return give_up("its unfinished store does not open: " + opened.message(), MigrationOutcome::differs);
  }
  return opened;
}

Status Importer::add(engines::KeyspaceId keyspace, std::string_view key, std::string_view value) {
  batch_.put(keyspace, key, value);
  Durable& added = added_[keyspace];
  ++added.keys;
  added.last = key;
  side_.recorder.stage_keys.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t batch_bytes = side_.order.batch_bytes != 0 ? side_.order.batch_bytes : kBatchBytes;
  if (batch_.bytes() < batch_bytes) {
    return {};
  }
  RETURN_IF_ERROR(write_batch());
  const std::uint64_t flush_bytes = side_.order.flush_bytes != 0 ? side_.order.flush_bytes : kFlushBytes;
  return unflushed_bytes_ < flush_bytes ? Status() : make_durable();
}

Status Importer::write_batch() {
  if (batch_.empty()) {
    return {};
  }
  Status put = engine_->write(batch_);
  if (put.code() == StatusCode::io_error && engine_->flush().ok()) {
    // Some engines decide at opening how large a store may become (LMDB's map). Putting twice does no harm.
    engine_.reset();
    RETURN_IF_ERROR(open(filler_));
    put = engine_->write(batch_);
  }
  RETURN_IF_ERROR(put);
  unflushed_bytes_ += batch_.bytes();
  batch_.clear();
  written_ = added_;
  if (faults_.record_written) {
    record_.durable = written_;
    return write_record(places_.work, record_);
  }
  return {};
}

// The record follows what is durable, never the other way round.
Status Importer::make_durable() {
  RETURN_IF_ERROR(write_batch());
  RETURN_IF_ERROR(engine_->flush());
  if (filler_.contract.flush < engines::Durability::power_cut) {
    RETURN_IF_ERROR(engines::sync_tree(places_.store));
  }
  unflushed_bytes_ = 0;
  record_.durable = written_;
  RETURN_IF_ERROR(write_record(places_.work, record_));
  side_.recorder.flushed = record_.durable_keys();
  return {};
}

Status Importer::move() {
  if (!engine_) {
    RETURN_IF_ERROR(open(filler_));
  }
  added_ = written_ = record_.durable;
  side_.recorder.flushed = record_.durable_keys();
  side_.recorder.stage_keys = record_.durable_keys();
  side_.recorder.stage = MigrationStage::moving;
  snapshot::KeyValueReader reader(source_.keyspaces.size(),
                                  [this](engines::KeyspaceId keyspace, std::string_view key,
                                         std::string_view value) { return add(keyspace, key, value); });
  for (std::string bytes;;) {
    RETURN_IF_ERROR(pipe_.receive(&bytes));
    if (bytes.empty()) {
      break;
    }
    RETURN_IF_ERROR(reader.feed(bytes));
  }
  if (!reader.finish().ok()) {
    RETURN_IF_ERROR(make_durable());  // what came is good, and need not come again
    return Status::io_error("the exporter ended before the stream did");
  }
  if (faults_.unsynced) {
    RETURN_IF_ERROR(write_batch());
  } else {
    RETURN_IF_ERROR(make_durable());
  }
  engine_.reset();
  return {};
}

Status Importer::verify(MigrationReport* report) {
  side_.recorder.stage_keys = 0;
  side_.recorder.stage = MigrationStage::verifying;
  RETURN_IF_ERROR(open(side_.config));
  Survey found;
  const auto seen = [this](std::uint64_t keys) { side_.recorder.stage_keys = keys; };
  const Status read =
      take_survey(*engine_->snapshot(), options().keyspaces, side_.applied_index, seen, &found);
  if (read.code() == StatusCode::io_error) {
    return read;  // says nothing about the target
  }
  const std::string wrong = read.ok() ? difference(source_, found) : "reading it: " + read.message();
  fill_report(found, report);
  if (!wrong.empty() && !faults_.unverified) {
    return give_up(wrong, MigrationOutcome::differs);
  }
  engine_.reset();
  if (faults_.unsynced) {
    return {};
  }
  RETURN_IF_ERROR(engines::sync_tree(places_.store));
  record_.state = ProgressState::verified;
  return write_record(places_.work, record_);
}

// The marker is durable before the name, and the name before the work directory goes.
Status Importer::finish() {
  RETURN_IF_ERROR(faults_.unsynced
                      ? engines::write_marker(places_.store, {side_.config.family, options().keyspaces})
                      : engines::finish_engine(side_.config, places_.store, options()));
  std::error_code error;
  fs::rename(places_.store, places_.target, error);
  if (error) {
    return Status::io_error(fmt::format("rename {} to {}", places_.store.string(), places_.target.string()),
                            error.value());
  }
  RETURN_IF_ERROR(sync_directory(engines::parent_directory(places_.target)));
  return sync_directory(places_.work);
}

Status Importer::clean_up() {
  std::error_code error;
  fs::remove_all(places_.work, error);
  return error ? Status::io_error("remove " + places_.work.string(), error.value())
               : sync_directory(engines::parent_directory(places_.work));
}

Status Importer::run(MigrationReport* report) {
  std::string message;
  RETURN_IF_ERROR(pipe_.receive_message(&message));
  Reader reader(message);
  if (!decode(&reader, &source_) || !reader.empty()) {
    return Status::corruption("the exporter's survey makes no sense");
  }
  RETURN_IF_ERROR(decide());
  RETURN_IF_ERROR(check_room(report));
  side_.recorder.stage_keys_all = source_.keys();
  if (plan_ == Plan::resume && !side_.order.dry_run) {
    resume(report);
  }
  report->keys_resumed = plan_ == Plan::resume ? record_.durable_keys() : 0;
  fill_report(source_, report);
  if (plan_ == Plan::begin) {
    record_.durable.clear();
  }
  RETURN_IF_ERROR(answer());
  if (side_.order.dry_run) {
    return {};
  }
  outcome_ = MigrationOutcome::failed;
  if (plan_ == Plan::begin) {
    RETURN_IF_ERROR(begin());
  }
  if (plan_ == Plan::begin || plan_ == Plan::resume) {
    RETURN_IF_ERROR(move());
    RETURN_IF_ERROR(verify(report));
  }
  if (plan_ != Plan::clean_up) {
    RETURN_IF_ERROR(finish());
  }
  return clean_up();
}

}  // namespace

MigrationReport run_importer(const Side& side, const ImportFaults& faults, Pipe& pipe) {
  MigrationReport report;
  Importer importer(side, faults, pipe);
  const Status status = importer.run(&report);
  report.outcome = status.ok() ? MigrationOutcome::done : importer.outcome();
  report.message = status.message();
  report.peer_gone = !status.ok() && pipe.peer_gone();
  return report;
}

}  // namespace chaosgate::migrate
