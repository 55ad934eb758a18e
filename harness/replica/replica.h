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
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"
#include "harness/base/status.h"
#include "harness/base/step.h"
#include "harness/log/log.h"
#include "harness/replica/batch_state.h"
#include "harness/replica/planted_faults.h"
#include "harness/replica/sidecar.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/order.h"
#include "workloads/transaction.h"

namespace chaosgate::replica {

// The keyspace, behind the workloads' own, that holds the replica's records.
inline constexpr engines::KeyspaceId kMetaKeyspace = workloads::kKeyspaceCount;
inline constexpr std::string_view kMetaKeyspaceName = "meta";
inline constexpr std::string_view kWitnessKey = "applied-index";
inline constexpr std::string_view kProbeKey = "probe";

// The names of a replica's keyspaces, in the order of their ids.
std::vector<std::string> replica_keyspaces();

class Replica {
 public:
  // All three must outlive this. Throws UsageError for an unknown engine or fault.
  Replica(const wire::WorkerOrder& order, StepSink& steps, wire::FlightRecorder& recorder);

  // Makes a new, empty log and engine in order.directory.
  Status create();

  // Recovery, in this order.
  Status open_log();
  Status cut_suffix(std::uint64_t from);
  Status open_engine();
  // Applies what the engine lacks. corruption when the log cannot give it.
  Status replay();
  // Closes the engine, opens it and replays again.
  Status reopen();

  // The load.
  Status append(std::uint64_t index, const workloads::Transaction& transaction);
  Status sync();
  // Applies at most `entries_max` synced entries as one batch.
  Status apply_pending(std::size_t entries_max);
  std::size_t pending() const { return pending_.size(); }
  Status flush();
  Status truncate_prefix();
  Status compact();
  Status checkpoint();

  engines::Engine& engine() { return *engine_; }
  log::Log& log() { return *log_; }
  std::uint64_t witness() const { return witness_; }
  std::uint64_t durable_index() const { return durable_index_; }

 private:
  struct Pending {
    std::uint64_t index;
    workloads::Transaction transaction;
  };

  log::LogOptions log_options() const;
  engines::EngineOptions engine_options() const;
  Status open_engine_store(bool create);
  Status start_over_when_empty();
  Status read_indexes();
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
  std::uint64_t flushed_ = 0;          // durable in the engine now, in a power cut too
  std::uint64_t persisted_ = 0;        // in the sidecar now
};

}  // namespace chaosgate::replica
