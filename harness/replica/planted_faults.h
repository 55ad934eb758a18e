// Planted faults: deliberately broken engines, logs and protocols, kept to prove that the gate can fail.
//
// Each re-creates the mechanism of a published bug (or of one of our own) as a decorator around a correct
// part or as a switch of the protocol. A correct run has an empty fault.
#pragma once

#include <string_view>
#include <vector>

#include "harness/snapshot/snapshot_faults.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

// The switches of the protocol's own faults, and which layer a fault belongs to.
struct PlantedFault {
  std::string_view engine;              // name for engines/faulty, or empty
  std::string_view log;                 // name for log/faulty_log, or empty
  bool replay_ignores_witness = false;  // replay applies again what the engine already has
  bool replay_from_log_start = false;   // replay widens to entries that were already obsolete
  bool capture_after_flush = false;     // the durable index is captured when the flush has returned
  bool persist_before_flush = false;    // ... and persisted before the flush began
  bool accept_missing_tail = false;     // an applied index beyond the log's end is accepted
  std::string_view forgotten_syncs;     // of these files, below the data directory; see forgotten_syncs.h
  bool empty_main_deletes_log = false;  // an engine whose main file is empty is taken for a new one
  snapshot::SnapshotFaults snapshot;    // see snapshot_faults()
};

// Every planted fault that a campaign shows, with the configuration, or the replicas, that do.
const std::vector<wire::FaultDescription>& planted_faults();
// Throws UsageError for an unknown name; an empty name is no fault.
PlantedFault find_planted_fault(std::string_view name);

}  // namespace chaosgate::replica
