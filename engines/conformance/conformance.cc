#include "engines/conformance/conformance.h"

namespace chaosgate::engines {

const std::vector<ConformanceCheck>& conformance_checks() {
  static const std::vector<ConformanceCheck> all = [] {
    std::vector<ConformanceCheck> checks;
    for (const auto& part : {batch_checks(), read_checks(), store_checks(), differential_checks()}) {
      checks.insert(checks.end(), part.begin(), part.end());
    }
    return checks;
  }();
  return all;
}

}  // namespace chaosgate::engines
