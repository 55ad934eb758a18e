// The conformance suite: what engine.h promises, asked of one engine configuration, check by check.
//
// A new engine is done when all checks pass. Each makes its own stores and says in one exception what it
// found and what it expected; checks know neither each other nor a test framework, so the same suite runs in
// unit tests, and in worker processes for `chaosgate conform`. The last checks are differential: see
// differential.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "engines/engine.h"

namespace chaosgate::engines {

struct ConformanceSubject {
  EngineConfig config;
  std::vector<EngineConfig> family;  // configurations that open each other's stores; `config` among them
  std::filesystem::path directory;   // exists, is empty, is the check's to use
  std::uint64_t seed = 0;            // of the differential checks
  // Takes down what is worth knowing of the engine and breaks no promise, as one sentence. May be empty.
  std::function<void(const std::string&)> note = nullptr;
};

// What a check throws. Other exceptions mean that it could not do its work.
class NotConforming : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ConformanceCheck {
  std::string name;  // a sentence that holds for every engine
  std::function<void(const ConformanceSubject&)> run;
};

// In a fixed order: cheap and basic ones first. Names are unique.
const std::vector<ConformanceCheck>& conformance_checks();

// The parts that conformance_checks() is made of.
std::vector<ConformanceCheck> batch_checks();
std::vector<ConformanceCheck> read_checks();
std::vector<ConformanceCheck> store_checks();
std::vector<ConformanceCheck> differential_checks();

}  // namespace chaosgate::engines
