#include "harness/wire/flight_recorder.h"

#include <ctime>

namespace chaosgate::wire {

std::string_view to_string(Phase phase) {
  constexpr std::array<std::string_view, kPhaseCount> kNames = {
      "starting", "log opened", "engine opened", "observed before", "replayed", "observed after",
      "reopened", "ready",      "loading",       "load done",       "closed",   "failed"};
  return kNames.at(static_cast<std::size_t>(phase));
}

std::string_view to_string(Failure failure) {
  constexpr std::array<std::string_view, 8> kNames = {"none",   "create",  "open log", "open engine",
                                                      "replay", "observe", "load",     "harness"};
  return kNames.at(static_cast<std::size_t>(failure));
}

void FlightRecorder::reset() {
  phase = Phase::starting;
  failure = Failure::none;
  step = 0;
  crash_ordered = 0;
  for (Counter* counter : {&term, &appended, &synced, &applied, &applying, &flushed, &persisted, &witness,
                           &durable, &truncated, &entries, &operations, &replayed, &observation_bytes}) {
    *counter = 0;
  }
  for (Counter& count : step_count) {
    count = 0;
  }
  for (Counter& at : phase_at_ns) {
    at = 0;
  }
  message[0] = '\0';
}

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace chaosgate::wire
