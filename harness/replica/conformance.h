// Runs one check of the conformance suite (engines/conformance) in a worker process.
//
// Any end but Phase::closed is a failure; what a failed check found is the text of the observations, complete
// when the phase is Phase::failed.
#pragma once

#include "harness/replica/worker.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

// The exit status of the process. REQUIRES: order.conformance_check names a check.
int run_conformance(const wire::WorkerOrder& order, const Shared& shared);

}  // namespace chaosgate::replica
