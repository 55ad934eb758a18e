#include "harness/report/trials.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/json_fields.h"

namespace chaosgate::report {

JSON_FIELDS_DECLARED(ConformResult, check, outcome, detail, note, ms)
JSON_FIELDS_DECLARED(Conformance, engine, checks)
JSON_FIELDS(DamageCounts, harmless, detected, died, silent)
JSON_FIELDS(DamageFinding, file_class, silent, undamaged, invariant, damage, explanation, count, bundle,
            command)
JSON_FIELDS_DECLARED(DamageTally, by_class, findings, not_reproduced, harness_fault)
JSON_FIELDS_DECLARED(Damage, engine, wanted, promised, tally)
JSON_FIELDS_DECLARED(ControlResult, engine, protocol, seed, kills, findings)

std::uint64_t Conformance::violations() const {
  return static_cast<std::uint64_t>(
      std::count_if(checks.begin(), checks.end(), [](const ConformResult& each) { return !each.passed(); }));
}

bool Damage::breaks_promise(const DamageFinding& finding) const {
  return finding.undamaged || (finding.silent && promised);
}

std::uint64_t Damage::violations() const {
  std::uint64_t count = 0;
  for (const DamageFinding& finding : tally.findings) {
    count += breaks_promise(finding) ? finding.count : 0;
  }
  return count;
}

std::vector<std::string> Damage::doubts() const {
  std::vector<std::string> all;
  if (tally.judged() < wanted) {
    all.push_back(fmt::format("{} of {} damaged files were judged", tally.judged(), wanted));
  }
  for (const std::string& end : tally.not_reproduced) {
    all.push_back("abnormal, not reproduced: " + end);
  }
  return all;
}

}  // namespace chaosgate::report
