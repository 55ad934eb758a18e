// The flight recorder, which an engine with a wild pointer may have written into: whatever is in it, the
// driver finds words for it, and reads nothing beside it.
#include "harness/wire/flight_recorder.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "harness/base/check.h"
#include "harness/fuzz/fuzz.h"

namespace chaosgate::fuzz {
namespace {

using wire::FlightRecorder;

// The bytes as a recorder's memory; what is missing is zero.
std::unique_ptr<FlightRecorder> recorder_of(std::string_view bytes) {
  auto recorder = std::make_unique<FlightRecorder>();
  recorder->reset();
  std::memcpy(static_cast<void*>(recorder.get()), bytes.data(), std::min(bytes.size(), sizeof *recorder));
  return recorder;
}

std::vector<std::string> seeds() {
  FlightRecorder recorder;
  recorder.reset();
  recorder.phase = wire::Phase::failed;
  recorder.failure = wire::Failure::replay;
  recorder.step = 4;
  recorder.step_count[4] = 17;
  recorder.observation_bytes = 4096;
  recorder.say("the engine refuses a write");
  return {std::string(sizeof recorder, '\0'),
          std::string(reinterpret_cast<const char*>(&recorder), sizeof recorder)};
}

Reach run(std::string_view bytes) {
  const std::unique_ptr<FlightRecorder> recorder = recorder_of(bytes);
  CHECK(!wire::to_string(recorder->phase).empty());
  CHECK(!wire::to_string(recorder->failure).empty());
  const auto& phases = wire::protocol_phases();
  CHECK(std::find(phases.begin(), phases.end(), wire::protocol_phase(*recorder)) != phases.end());
  CHECK(recorder->said().size() <= recorder->message.size());
  CHECK(recorder->said().find('\0') == std::string::npos);
  CHECK(recorder->published() <= wire::kObservationCapacity);
  const bool known =
      wire::to_string(recorder->phase) != "unknown" && recorder->observation_bytes == recorder->published();
  return known ? Reach::accepted : Reach::verified;
}

}  // namespace

Target target() { return {"flight_recorder", seeds, nullptr, run}; }

}  // namespace chaosgate::fuzz
