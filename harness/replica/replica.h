// Replica is the worker's heart: it brings log entries into an engine and remembers, durably, how far it got.
//
// The applied index ("witness") is always written in the same atomic batch as the data. Recovery replays from
// the durable index, which one of two protocols provides:
//   in-batch  the durable index is the witness itself;
//   sidecar   it is captured before a flush begins and persisted after the flush returned, in a file outside
//   the
//             engine. The engine may then be ahead of it, so replay reads from the durable index but skips
//             entries at or below the witness: operations are not safe to repeat.
// Replay trusts the durable index, as the protocol says; that it never exceeds the witness is for the gate to
// find. The log prefix is dropped only up to what is durable in the engine.
//
// Every act is announced to the StepSink and published in the flight recorder. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"
#include "harness/base/status.h"
#include "harness/base/step.h"
#include "harness/log/log.h"
#include "harness/replica/batch_state.h"
#include "harness/replica/border_sizes.h"
#include "harness/replica/installation.h"
#include "harness/replica/planted_faults.h"
#include "harness/replica/sidecar.h"
#include "harness/replica/space.h"
#include "harness/snapshot/snapshot_receiver.h"
#include "harness/snapshot/snapshot_source.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/order.h"
#include "workloads/transaction.h"

namespace chaosgate::replica {

// The keyspace, behind the workloads' own, that holds the replica's records.
inline constexpr engines::KeyspaceId kMetaKeyspace = workloads::kKeyspaceCount;
inline constexpr std::string_view kMetaKeyspaceName = "meta";
inline constexpr std::string_view kWitnessKey = "applied-index";
inline constexpr std::string_view kProbeKey = "probe";
inline constexpr std::string_view kPaddingKey = "padding";  // see border_sizes.h

// The names of a replica's keyspaces, in the order of their ids.
std::vector<std::string> replica_keyspaces();

class Replica {
 public:
  // All three must outlive this. Throws UsageError for an unknown engine or fault.
  Replica(const wire::WorkerOrder& order, StepSink& steps, wire::FlightRecorder& recorder);

  // Makes a new, empty log and engine in order.directory.
  Status create();

  // Recovery, in this order. The first also ends an installation that was interrupted.
  Status open_log();
  Status cut_suffix(std::uint64_t from);
  Status open_engine();
  // Applies what the engine lacks. corruption when the log cannot give it.
  Status replay();
  // Closes the engine, opens it and replays again.
  Status reopen();
  // Makes the store as small as it gets: what is obsolete goes with a compaction and the next opening.
  Status reclaim();
  Status space(Space* space) const;
  // Until open_engine(), nothing but the log may be used.
  void close_engine();

  // The load. Entries are appended in the order of their indexes, without gaps.
  Status append(std::uint64_t term, std::uint64_t index, const workloads::Transaction& transaction);
  // Under the order's own term.
  Status append(std::uint64_t index, const workloads::Transaction& transaction) {
    return append(order_.term, index, transaction);
  }
  Status sync();
  // Applies at most `entries_max` synced entries as one batch.
  Status apply_pending(std::size_t entries_max);
  std::size_t pending() const { return pending_.size(); }
  Status flush();
  Status truncate_prefix();
  Status compact();
  Status checkpoint();

  // Snapshots. REQUIRES, for all three: replay() or create() returned ok.
  //
  // A snapshot of what is applied, made durable here first. It does not change when the replica goes on.
  // `receiver_family` is that of the receiver's engine: the same family gets its files, another one gets keys
  // and values.
  Status make_snapshot(std::string_view receiver_family, std::unique_ptr<snapshot::SnapshotSource>* source);
  // Takes the bytes of one snapshot that this replica could install now. The replica must outlive it.
  std::unique_ptr<snapshot::SnapshotReceiver> make_receiver() const;
  // Installs a snapshot in the place of engine and log, durably when it returns ok; what was appended and is
  // not in it is gone then. invalid_argument for one that is not newer than what is applied, or that the log
  // does not need, since it holds the snapshot's last entry, in the same term, and goes on behind it: entries
  // that were acknowledged must not go. After a refusal or failure the replica goes on as before while
  // serves() is true; when it is false, the directory has to be recovered by a new Replica.
  Status install_snapshot(const snapshot::ReceivedSnapshot& received);
  bool serves() const { return engine_ != nullptr && log_ != nullptr; }

  engines::Engine& engine() { return *engine_; }
  log::Log& log() { return *log_; }
  std::uint64_t witness() const { return witness_; }
  std::uint64_t durable_index() const { return durable_index_; }
  // The last entry in the engine now.
  StateIndex applied() const { return {applied_, applied_term_}; }
  const engines::EngineConfig& config() const { return config_; }
  // Keys and values in all batches that were handed to the engine.
  std::uint64_t batch_bytes() const { return batch_bytes_; }

 private:
  struct Pending {
    std::uint64_t index;
    std::uint64_t term;
    workloads::Transaction transaction;
  };

  log::LogOptions log_options() const;
  engines::EngineOptions engine_options() const;
  Status open_engine_store(bool create);
  Status start_over_when_empty();
  Status read_witness(engines::Engine& engine, std::uint64_t* witness) const;
  Status read_indexes();
  Installation installation() const;
  Status check_needed(const snapshot::ReceivedSnapshot& received);
  // Opens engine and log after an installation.
  Status go_on_at(const StateIndex& installed);
  // Writes the batch collected so far, with the applied index `index` in it.
  Status write_batch(BatchState& state, std::uint64_t index);
  // Adds one transaction to the batch; writes what came before first when the transaction scans.
  Status collect(BatchState& state, std::uint64_t before, const workloads::Transaction& transaction);

  const wire::WorkerOrder& order_;
  StepSink& steps_;
  wire::FlightRecorder& recorder_;
  const engines::EngineConfig& config_;
  PlantedFault fault_;
  std::filesystem::path directory_;
  Sidecar sidecar_;

  std::unique_ptr<log::Log> log_;
  std::unique_ptr<engines::Engine> engine_;
  std::unique_ptr<BatchState> state_;  // over engine_
  std::deque<Pending> pending_;        // appended, not yet applied
  std::string payload_;                // reused
  std::uint64_t witness_ = 0;          // as read at open
  std::uint64_t durable_index_ = 0;    // as read at open
  std::uint64_t applied_ = 0;          // in the engine now
  std::uint64_t applied_term_ = 0;     // of that entry
  std::uint64_t flushed_ = 0;          // durable in the engine now, in a power cut too
  std::uint64_t persisted_ = 0;        // in the sidecar now
  std::uint64_t batch_bytes_ = 0;
  std::optional<BorderSizes> border_sizes_;  // when the order asks for it
};

}  // namespace chaosgate::replica
