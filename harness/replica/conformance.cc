#include "harness/replica/conformance.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>

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

void run_check(const wire::WorkerOrder& order) {
  const engines::ConformanceCheck& check = find_check(order.conformance_check);
  engines::ConformanceSubject subject;
  subject.family = load_engines(order.plugin);
  subject.config = find_engine(subject.family, order.engine);
  std::erase_if(subject.family,
                [&](const engines::EngineConfig& other) { return other.family != subject.config.family; });
  subject.directory = order.directory;
  subject.seed = order.seed;
  check.run(subject);
}

}  // namespace

int run_conformance(const wire::WorkerOrder& order, const Shared& shared) {
  try {
    run_check(order);
  } catch (const std::exception& error) {
    const std::size_t size = std::min(std::strlen(error.what()), wire::kObservationCapacity);
    std::memcpy(shared.observations, error.what(), size);
    shared.recorder->observation_bytes = size;
    shared.recorder->phase = wire::Phase::failed;
    return wire::kWorkerFailed;
  }
  shared.recorder->phase = wire::Phase::closed;
  return 0;
}

}  // namespace chaosgate::replica
