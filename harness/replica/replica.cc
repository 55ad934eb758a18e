#include "harness/replica/replica.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/faulty/faulty_engine.h"
#include "engines/registry.h"
#include "harness/base/coding.h"
#include "harness/log/faulty_log.h"
#include "harness/replica/forgotten_syncs.h"
#include "harness/replica/offer.h"
#include "workloads/state_machine.h"

namespace chaosgate::replica {
namespace {

constexpr std::uint64_t kLogBufferBytes = 1 << 10;  // small, so that unsynced entries reach the file

}  // namespace

std::vector<std::string> replica_keyspaces() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < workloads::kKeyspaceCount; ++i) {
    names.emplace_back(workloads::to_string(static_cast<workloads::Keyspace>(i)));
  }
  names.emplace_back(kMetaKeyspaceName);
  return names;
}

Replica::Replica(const wire::WorkerOrder& order, StepSink& steps, wire::FlightRecorder& recorder)
    : order_(order),
      steps_(steps),
      recorder_(recorder),
      config_(find_engine(load_engines(order.plugin), order.engine)),
      fault_(find_planted_fault(order.fault)),
      directory_(order.directory),
      sidecar_(directory_ / kSidecarFile) {
  forget_syncs(fault_.forgotten_syncs.empty() ? "" : order.directory + std::string(fault_.forgotten_syncs));
}

log::LogOptions Replica::log_options() const {
  log::LogOptions options;
  options.segment_bytes = order_.segment_bytes;
  options.buffer_bytes_max = kLogBufferBytes;
  options.known_synced = fault_.accept_missing_tail ? 0 : order_.known_synced;
  log::configure_log_fault(fault_.log, &options);
  return options;
}

engines::EngineOptions Replica::engine_options() const {
  engines::EngineOptions options;
  options.keyspaces = replica_keyspaces();
  options.maintenance =
      order_.free_running ? engines::Maintenance::free_running : engines::Maintenance::scheduled;
  options.tuning = order_.stock_tuning ? engines::Tuning::stock : engines::Tuning::lean;
  return options;
}

Status Replica::open_engine_store(bool create) {
  const std::filesystem::path path = directory_ / "engine";
  if (!fault_.engine.empty()) {
    RETURN_IF_ERROR(engines::open_faulty_engine(fault_.engine, config_, path, engine_options(), kMetaKeyspace,
                                                kWitnessKey, create, &engine_));
  } else if (create) {
    RETURN_IF_ERROR(engines::create_engine(config_, path, engine_options(), &engine_));
  } else {
    RETURN_IF_ERROR(engines::open_engine(config_, path, engine_options(), &engine_));
  }
  state_ = std::make_unique<BatchState>(*engine_);
  if (order_.border_sizes) {
    border_sizes_.emplace(config_, path, Rng(order_.seed).fork("border-sizes").fork(order_.term));
  }
  return {};
}

Status Replica::create() {
  RETURN_IF_ERROR(log::create_log(directory_ / "log", log_options(), steps_, &log_));
  log_ = log::wrap_log(fault_.log, std::move(log_));
  return open_engine_store(true);
}

// Planted fault: what looks empty is taken for new, and its log for a leftover.
Status Replica::start_over_when_empty() {
  std::error_code error;
  if (std::filesystem::file_size(directory_ / "engine" / "data.mdb", error) != 0 || error) {
    return {};
  }
  std::filesystem::remove_all(directory_ / "log", error);
  std::filesystem::remove_all(directory_ / "engine", error);
  RETURN_IF_ERROR(create());
  close_engine();
  log_.reset();
  return {};
}

Status Replica::open_log() {
  if (fault_.empty_main_deletes_log) {
    RETURN_IF_ERROR(start_over_when_empty());
  }
  RETURN_IF_ERROR(installation().recover());
  RETURN_IF_ERROR(log::open_log(directory_ / "log", log_options(), steps_, &log_));
  log_ = log::wrap_log(fault_.log, std::move(log_));
  return {};
}

Status Replica::cut_suffix(std::uint64_t from) {
  // What a snapshot has covered since is not the log's to cut.
  return from > log_->last_index() ? Status() : log_->truncate_suffix(std::max(from, log_->first_index()));
}

Status Replica::read_witness(engines::Engine& engine, std::uint64_t* witness) const {
  std::string value;
  const Status status = engine.get(kMetaKeyspace, kWitnessKey, &value);
  if (!status.ok() && !status.is_not_found()) {
    return status;
  }
  if (status.ok() && value.size() != sizeof *witness) {
    return Status::corruption(fmt::format("the applied index has {} bytes instead of 8", value.size()));
  }
  *witness = status.ok() ? load_fixed<std::uint64_t>(value.data()) : 0;
  return {};
}

Status Replica::read_indexes() {
  RETURN_IF_ERROR(read_witness(*engine_, &witness_));
  applied_ = witness_;
  if (order_.protocol == wire::Protocol::sidecar) {
    RETURN_IF_ERROR(sidecar_.read(&persisted_));
    durable_index_ = persisted_;
  } else {
    durable_index_ = witness_;
  }
  recorder_.witness = witness_;
  recorder_.durable = durable_index_;
  return {};
}

Status Replica::open_engine() {
  {
    const StepSpan span(steps_, Step::during_engine_open);
    RETURN_IF_ERROR(open_engine_store(false));
  }
  steps_.at(Step::after_engine_open);
  return read_indexes();
}

Status Replica::write_batch(BatchState& state, std::uint64_t index) {
  RETURN_IF_ERROR(state.status());
  std::string witness;
  put_u64(&witness, index);
  state.batch().put(kMetaKeyspace, kWitnessKey, witness);
  if (border_sizes_) {
    border_sizes_->pad(kMetaKeyspace, kPaddingKey, &state.batch());
  }
  recorder_.applying = index;
  batch_bytes_ += state.batch().payload_bytes();
  RETURN_IF_ERROR(engine_->write(state.batch()));
  if (border_sizes_) {
    border_sizes_->wrote(state.batch());
  }
  state.clear();
  applied_ = index;
  if (config_.contract.commit == engines::Durability::power_cut) {
    flushed_ = index;
  }
  recorder_.applied = index;
  return {};
}

Status Replica::collect(BatchState& state, std::uint64_t before, const workloads::Transaction& transaction) {
  if (workloads::scans(transaction) && !state.batch().empty()) {
    RETURN_IF_ERROR(write_batch(state, before));
  }
  workloads::apply(transaction, state);
  return {};
}

Status Replica::replay() {
  const std::uint64_t last = log_->last_index();
  if (witness_ > last && !fault_.accept_missing_tail) {
    return Status::corruption(
        fmt::format("the engine has applied entry {} but the log ends at entry {}", witness_, last));
  }
  std::uint64_t from = durable_index_ + 1;
  if (fault_.replay_from_log_start) {
    from = log_->first_index();
  }
  if (from < log_->first_index()) {
    if (witness_ + 1 < log_->first_index()) {
      return Status::corruption(fmt::format("replay needs entry {} but the log begins at entry {}",
                                            witness_ + 1, log_->first_index()));
    }
    from = log_->first_index();
  }
  if (from <= last) {
    const bool skip_applied = !fault_.replay_ignores_witness && !fault_.replay_from_log_start;
    constexpr std::uint64_t kGroup = 16;
    std::uint64_t in_group = 0;
    workloads::Transaction transaction;
    const Status applied = log_->read(from, last, [&](const log::Entry& entry) -> Status {
      if (skip_applied && entry.index <= witness_) {
        return {};
      }
      if (in_group == 0) {
        steps_.at(Step::during_replay);
      }
      transaction.clear();
      if (entry.type == log::EntryType::transaction) {
        RETURN_IF_ERROR(workloads::decode(entry.payload, &transaction));
      }
      RETURN_IF_ERROR(collect(*state_, entry.index - 1, transaction));
      recorder_.replayed.fetch_add(1, std::memory_order_relaxed);
      if (++in_group == kGroup || entry.index == last) {
        in_group = 0;
        return write_batch(*state_, entry.index);
      }
      return {};
    });
    RETURN_IF_ERROR(applied);
  }
  applied_ = std::max(applied_, last);
  applied_term_ = log_->last_term();
  steps_.at(Step::after_replay);
  recorder_.applied = last;
  return {};
}

void Replica::close_engine() {
  state_.reset();
  engine_.reset();
}

Status Replica::reopen() {
  close_engine();
  RETURN_IF_ERROR(open_engine_store(false));
  RETURN_IF_ERROR(read_indexes());
  return replay();
}

Status Replica::reclaim() {
  RETURN_IF_ERROR(engine_->compact());
  RETURN_IF_ERROR(flush());
  return reopen();
}

Status Replica::space(Space* space) const { return measure_space(config_, directory_ / "engine", space); }

Status Replica::append(std::uint64_t term, std::uint64_t index, const workloads::Transaction& transaction) {
  payload_.clear();
  if (!transaction.empty()) {
    workloads::encode(transaction, &payload_);
  }
  recorder_.appended = index;
  RETURN_IF_ERROR(
      log_->append(term, transaction.empty() ? log::EntryType::noop : log::EntryType::transaction, payload_));
  pending_.push_back({index, term, transaction});
  return {};
}

Status Replica::sync() {
  RETURN_IF_ERROR(log_->sync());
  recorder_.synced = log_->synced_index();
  return {};
}

Status Replica::apply_pending(std::size_t entries_max) {
  const std::size_t count = std::min(entries_max, pending_.size());
  if (count == 0) {
    return {};
  }
  steps_.at(Step::before_apply);
  {
    const StepSpan span(steps_, Step::inside_apply);
    for (std::size_t i = 0; i < count; ++i) {
      const Pending& next = pending_.front();
      RETURN_IF_ERROR(collect(*state_, next.index - 1, next.transaction));
      if (i + 1 == count) {
        RETURN_IF_ERROR(write_batch(*state_, next.index));
        applied_term_ = next.term;
      }
      pending_.pop_front();
    }
  }
  steps_.at(Step::after_apply);
  return {};
}

Status Replica::flush() {
  const bool sidecar = order_.protocol == wire::Protocol::sidecar;
  steps_.at(Step::before_index_capture);
  std::uint64_t captured = applied_;
  steps_.at(Step::after_index_capture);
  if (sidecar && fault_.persist_before_flush) {
    RETURN_IF_ERROR(sidecar_.persist(captured, steps_));
  }
  {
    const StepSpan span(steps_, Step::during_flush);
    RETURN_IF_ERROR(engine_->flush());
  }
  flushed_ = captured;
  recorder_.flushed = captured;
  steps_.at(Step::after_flush);
  if (fault_.capture_after_flush) {
    // What a concurrent writer does in a replica with more than one thread.
    RETURN_IF_ERROR(apply_pending(pending_.size()));
    captured = applied_;
  }
  if (sidecar) {
    if (!fault_.persist_before_flush) {
      RETURN_IF_ERROR(sidecar_.persist(captured, steps_));
    }
    persisted_ = captured;
    recorder_.persisted = captured;
  }
  return {};
}

Status Replica::truncate_prefix() {
  const std::uint64_t durable = order_.protocol == wire::Protocol::sidecar ? persisted_ : flushed_;
  if (durable < log_->first_index()) {
    return {};
  }
  recorder_.truncated = durable;
  return log_->truncate_prefix(durable);
}

Status Replica::compact() {
  const StepSpan span(steps_, Step::during_compaction);
  return engine_->compact();
}

Status Replica::checkpoint() {
  const std::filesystem::path target = directory_ / "checkpoint";
  std::error_code error;
  std::filesystem::remove_all(target, error);  // of a worker that died in here
  if (error) {
    return Status::io_error("remove " + target.string(), error.value());
  }
  {
    const StepSpan span(steps_, Step::during_checkpoint);
    RETURN_IF_ERROR(engine_->checkpoint(target));
  }
  std::filesystem::remove_all(target, error);
  return {};
}

}  // namespace chaosgate::replica
