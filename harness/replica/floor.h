// The floor: what a cycle's work costs without the harness around it.
//
// In one process and without a crash: open, load, close, open, replay, scan, again and again on one
// directory. The bench compares a cycle of the gate with it.
#pragma once

#include <string>

#include "harness/base/status.h"
#include "harness/base/step.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

// Creates order.directory's log and engine, runs order.floor_cycles cycles of order.floor_entries entries
// each, and writes the total microseconds of each phase to *times, as a JSON object.
Status measure_floor(const wire::WorkerOrder& order, StepSink& steps, wire::FlightRecorder& recorder,
                     std::string* times);

}  // namespace chaosgate::replica
