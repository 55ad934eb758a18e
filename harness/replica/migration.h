// Runs one side of a migration (harness/migrate) in a worker process.
//
// Its MigrationReport, as JSON, is the observations' text, complete when the phase is Phase::closed. Any
// other end is a death.
#pragma once

#include "harness/replica/worker.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

// The exit status of the process. REQUIRES: order.migration has a role; but for an inspector,
// shared.stream_fd is one end of the socket between the two sides. Takes it.
int run_migration(const wire::WorkerOrder& order, const Shared& shared);

}  // namespace chaosgate::replica
