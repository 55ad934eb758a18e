#include "harness/replica/conformance.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "engines/conformance/conformance.h"
#include "harness/base/error.h"
#include "harness/replica/offer.h"

namespace chaosgate::replica {
namespace {

const engines::ConformanceCheck& find_check(const std::string& name) {
  for (const engines::ConformanceCheck& check : engines::conformance_checks()) {
    if (check.name == name) {
      return check;
    }
  }
  throw UsageError("there is no conformance check '" + name + "'");
}

// What it notes, one line each.
std::string run_check(const wire::WorkerOrder& order) {
  const engines::ConformanceCheck& check = find_check(order.conformance_check);
  engines::ConformanceSubject subject;
  subject.family = load_engines(order.plugin);
  subject.config = find_engine(subject.family, order.engine);
  std::erase_if(subject.family,
                [&](const engines::EngineConfig& other) { return other.family != subject.config.family; });
  subject.directory = order.directory;
  subject.seed = order.seed;
  std::string notes;
  subject.note = [&](const std::string& note) { notes += (notes.empty() ? "" : "\n") + note; };
  check.run(subject);
  return notes;
}

void publish(std::string_view text, const Shared& shared) {
  const std::size_t size = std::min(text.size(), wire::kObservationCapacity);
  std::memcpy(shared.observations, text.data(), size);
  shared.recorder->observation_bytes = size;
}

}  // namespace

int run_conformance(const wire::WorkerOrder& order, const Shared& shared) {
  try {
    publish(run_check(order), shared);
  } catch (const std::exception& error) {
    publish(error.what(), shared);
    shared.recorder->phase = wire::Phase::failed;
    return wire::kWorkerFailed;
  }
  shared.recorder->phase = wire::Phase::closed;
  return 0;
}

}  // namespace chaosgate::replica
