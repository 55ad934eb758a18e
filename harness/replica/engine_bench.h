// The worker's part of comparing engines: the same load on any of them, and what it costs.
//
// First a worker makes a new replica, loads it and is killed; then another recovers, as the gate's workers
// do, and goes on with bench_recovery(). What the work was for is checked by the driver, against the oracle.
#pragma once

#include <functional>

#include "harness/base/status.h"
#include "harness/base/step.h"
#include "harness/replica/replica.h"
#include "harness/wire/engine_bench.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

// Makes a replica in order.directory, preloads it and runs order.schedule's load, flushed at its end, and
// kBenchTailEntries more, not flushed. Then calls `at_end`, with everything open: nothing is closed before.
Status bench_load(const wire::WorkerOrder& order, StepSink& steps, wire::FlightRecorder& recorder,
                  const std::function<void(const wire::LoadMeasured&)>& at_end);

// Flushes the recovered `replica`, closes and opens its engine, and compacts.
Status bench_recovery(Replica& replica, wire::RecoveryMeasured* measured);

}  // namespace chaosgate::replica
