// The part of Replica that sends and installs snapshots.
#include <fmt/format.h>

#include "harness/log/faulty_log.h"
#include "harness/replica/replica.h"

namespace chaosgate::replica {

using snapshot::BodyKind;
using snapshot::ReceivedSnapshot;
using snapshot::SnapshotReceiver;
using snapshot::SnapshotSource;

Installation Replica::installation() const {
  return Installation(config_,
                      {.directory = directory_,
                       .engine = engine_options(),
                       .log = log_options(),
                       .sidecar = order_.protocol == wire::Protocol::sidecar,
                       .faults = fault_.snapshot},
                      steps_);
}

Status Replica::make_snapshot(std::string_view receiver_family, std::unique_ptr<SnapshotSource>* source) {
  snapshot::SourceOptions options;
  options.body = receiver_family == config_.family ? BodyKind::archive : BodyKind::key_values;
  options.keyspaces = kMetaKeyspace + 1;
  options.scratch = directory_ / "snapshot.sending";
  options.faults = fault_.snapshot;
  options.index = applied_;
  options.term = applied_term_;
  if (fault_.snapshot.unflushed_state) {
    options.index = log_->last_index();
    options.term = log_->last_term();
  } else {
    RETURN_IF_ERROR(flush());
  }
  return SnapshotSource::make(*engine_, config_, options, source);
}

std::unique_ptr<SnapshotReceiver> Replica::make_receiver() const {
  return std::make_unique<SnapshotReceiver>(config_, directory_ / "snapshot.receiving", applied_,
                                            fault_.snapshot);
}

// Whether the log would go on behind the snapshot's last entry. Then it holds all that the snapshot does, and
// more that may have been acknowledged.
Status Replica::check_needed(const ReceivedSnapshot& received) {
  const snapshot::SnapshotHeader& header = received.header();
  if (received.legacy() || header.index < log_->first_index() || header.index >= log_->last_index()) {
    return {};
  }
  std::uint64_t term = 0;
  RETURN_IF_ERROR(log_->read(header.index, header.index, [&](const log::Entry& entry) {
    term = entry.term;
    return Status();
  }));
  return term != header.term
             ? Status()
             : Status::invalid_argument(fmt::format("the snapshot is not needed: it ends at entry {}, and "
                                                    "the log goes on from there to entry {}",
                                                    header.index, log_->last_index()));
}

Status Replica::install_snapshot(const ReceivedSnapshot& received) {
  RETURN_IF_ERROR(check_needed(received));
  Installation installation = this->installation();
  StateIndex installed;
  RETURN_IF_ERROR(installation.prepare(
      received, applied_,
      [this](engines::Engine& engine, std::uint64_t* index) { return read_witness(engine, index); },
      &installed));
  state_.reset();
  engine_.reset();
  log_.reset();
  pending_.clear();
  recorder_.truncated = installed.index;
  RETURN_IF_ERROR(installation.commit(installed));
  return go_on_at(installed);
}

Status Replica::go_on_at(const StateIndex& installed) {
  RETURN_IF_ERROR(open_engine_store(false));
  log::LogOptions options = log_options();
  options.known_synced = 0;  // of the log that is gone
  if (const Status opened = log::open_log(directory_ / "log", options, steps_, &log_); !opened.ok()) {
    state_.reset();
    engine_.reset();
    return opened;
  }
  log_ = log::wrap_log(fault_.log, std::move(log_));
  applied_term_ = installed.term;
  flushed_ = installed.index;
  recorder_.appended = installed.index;
  recorder_.synced = installed.index;
  recorder_.applying = installed.index;
  recorder_.applied = installed.index;
  recorder_.flushed = installed.index;
  if (order_.protocol == wire::Protocol::sidecar) {
    recorder_.persisted = installed.index;
  }
  return read_indexes();
}

}  // namespace chaosgate::replica
