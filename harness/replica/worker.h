// One worker's life, from its order to its death: recover, show what was found, load until killed.
//
//   open the log, show it; discard an unacknowledged suffix when ordered; open the engine, show the state
//   before replay; replay; show the state after; check what the order asks for; wait for the word; load.
//
// An error ends it with Phase::failed and exit status kWorkerFailed: the driver reads why in the flight
// recorder.
#pragma once

#include "harness/wire/flight_recorder.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

// The memory and descriptors a worker shares with the driver; owned by the worker parent.
struct Shared {
  wire::FlightRecorder* recorder = nullptr;
  char* observations = nullptr;  // wire::kObservationCapacity bytes
  int notice_fd = -1;
  int go_fd = -1;
  int stream_fd = -1;  // to the leader, or to the other side of a migration; belongs to this worker alone
};

// Returns the exit status when the worker was not killed.
int run_worker(const wire::WorkerOrder& order, const Shared& shared);

}  // namespace chaosgate::replica
