#include "harness/wire/flight_recorder.h"

#include <algorithm>
#include <ctime>

namespace chaosgate::wire {

namespace {

template <std::size_t kCount>
std::string_view name_of(const std::array<std::string_view, kCount>& names, std::size_t number) {
  return number < kCount ? names.at(number) : "unknown";
}

}  // namespace

std::string_view to_string(Phase phase) {
  constexpr std::array<std::string_view, kPhaseCount> kNames = {
      "starting", "log opened", "engine opened", "observed before", "replayed", "observed after",
      "reopened", "ready",      "loading",       "load done",       "closed",   "failed"};
  return name_of(kNames, static_cast<std::size_t>(phase));
}

std::string_view to_string(Failure failure) {
  constexpr std::array<std::string_view, 8> kNames = {"none",   "create",  "open log", "open engine",
                                                      "replay", "observe", "load",     "harness"};
  return name_of(kNames, static_cast<std::size_t>(failure));
}

namespace {

std::string_view loading_phase(Step step) {
  switch (step) {
    case Step::before_log_append:
    case Step::inside_log_append:
    case Step::after_log_append:
      return "log-append";
    case Step::before_log_sync:
      return "log-sync";
    case Step::during_log_cut:
      return "log-cut";
    case Step::after_log_sync:
    case Step::before_apply:
    case Step::inside_apply:
    case Step::after_apply:
      return "apply";
    case Step::before_index_capture:
    case Step::after_index_capture:
    case Step::during_flush:
      return "flush";
    case Step::after_flush:
    case Step::before_sidecar_rename:
    case Step::after_sidecar_rename:
      return "index";
    case Step::during_prefix_truncation:
      return "truncation";
    case Step::during_compaction:
      return "compaction";
    case Step::during_checkpoint:
      return "checkpoint";
    default:
      return "log-append";  // nothing of the load was reached yet
  }
}

}  // namespace

std::string_view protocol_phase(const FlightRecorder& recorder) {
  const auto step = static_cast<Step>(recorder.step.load());
  switch (recorder.phase.load()) {
    case Phase::starting:
      return "open-log";
    case Phase::log_opened:
      return step == Step::during_suffix_truncation ? "suffix-cut" : "open-engine";
    case Phase::engine_opened:
    case Phase::observed_before:
      return "replay";
    case Phase::replayed:
    case Phase::observed_after:
    case Phase::reopened:
    case Phase::ready:
      return "checks";
    case Phase::loading:
      return loading_phase(step);
    case Phase::load_done:
    case Phase::closed:
    case Phase::failed:
      return "end";
  }
  return "end";
}

const std::vector<std::string_view>& protocol_phases() {
  static const std::vector<std::string_view> all = {"open-log",   "suffix-cut", "open-engine", "replay",
                                                    "checks",     "log-append", "log-sync",    "log-cut",
                                                    "apply",      "flush",      "index",       "truncation",
                                                    "compaction", "checkpoint", "end"};
  return all;
}

void FlightRecorder::reset() {
  phase = Phase::starting;
  failure = Failure::none;
  step = 0;
  crash_ordered = 0;
  for (Counter* counter :
       {&term, &appended, &synced, &applied, &applying, &flushed, &persisted, &witness, &durable, &truncated,
        &entries, &operations, &replayed, &stage_keys, &stage_keys_all, &observation_bytes}) {
    *counter = 0;
  }
  stage = MigrationStage::none;
  for (Counter& count : step_count) {
    count = 0;
  }
  for (Counter& at : phase_at_ns) {
    at = 0;
  }
  message[0] = '\0';
}

void FlightRecorder::say(std::string_view text) {
  const std::size_t size = std::min(text.size(), message.size() - 1);
  std::copy_n(text.begin(), size, message.begin());
  message.at(size) = '\0';
}

std::string FlightRecorder::said() const {
  return {message.begin(), std::find(message.begin(), message.end(), '\0')};
}

std::uint64_t FlightRecorder::published() const {
  return std::min<std::uint64_t>(observation_bytes.load(std::memory_order_acquire), kObservationCapacity);
}

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace chaosgate::wire
