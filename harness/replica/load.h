// The load: proposes entries, syncs them in groups, applies them in batches, and does chores, until it is
// killed.
//
// What it does is a pure function of (seed, term, first index, schedule), so a crash point counted in steps
// is reached at the same entry every time. Returns ok when schedule.entries_max entries were proposed without
// a crash, or the first error of log or engine.
#pragma once

#include <cstdint>

#include "harness/replica/replica.h"
#include "workloads/generator.h"

namespace chaosgate::replica {

Status run_load(Replica& replica, const workloads::Generator& generator, const wire::WorkerOrder& order,
                wire::FlightRecorder& recorder);

// Brings a new replica to its working size: the generator's preload entries, applied and flushed.
Status preload(Replica& replica, const workloads::Generator& generator, const wire::WorkerOrder& order);

}  // namespace chaosgate::replica
