// CrashTrigger makes a worker die where its order says, and publishes every step in the flight recorder.
//
// A point kills the process at once with SIGKILL. A span arms a kernel timer that delivers SIGKILL while the
// call runs; if the call returns first, the worker waits there for its death, so an ordered crash never lands
// later than its step. The process never kills itself except as ordered. Not thread-safe.
#pragma once

#include <optional>

#include "harness/base/crash_point.h"
#include "harness/base/step.h"
#include "harness/wire/flight_recorder.h"

namespace chaosgate::replica {

class CrashTrigger final : public StepSink {
 public:
  // `recorder` must outlive this.
  CrashTrigger(wire::FlightRecorder& recorder, std::optional<CrashPoint> recovery,
               std::optional<CrashPoint> load)
      : recorder_(recorder), recovery_(recovery), load_(load) {}

  // From here on occurrences of the load's steps count; what recovery did at those steps is forgotten.
  void enter_load();

  void at(Step step) override;
  void begin(Step step) override;
  void end(Step step) override;
  std::size_t bytes_before_crash(Step step, std::uint64_t offset, std::size_t size) override;
  [[noreturn]] void die() override;

 private:
  // Counts the step; the order when this is where to die.
  const CrashPoint* reached(Step step);

  wire::FlightRecorder& recorder_;
  std::optional<CrashPoint> recovery_;
  std::optional<CrashPoint> load_;
  bool loading_ = false;
  bool armed_ = false;
};

// Waits for a death that was ordered.
[[noreturn]] void await_death();

}  // namespace chaosgate::replica
