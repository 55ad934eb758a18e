#include "harness/report/power_tally.h"

#include <algorithm>

#include "harness/base/check.h"

namespace chaosgate::report {

void PowerTally::add(const PowerTally& other) {
  CHECK(profile.empty() || profile == other.profile);
  profile = other.profile;
  loads += other.loads;
  calls += other.calls;
  judged += other.judged;
  in_recovery += other.in_recovery;
  failed += other.failed;
  recoveries_distinct += other.recoveries_distinct;
  exhausted = exhausted || other.exhausted;
  for (const auto& [name, tally] : other.strategies) {
    StrategyTally& mine = strategies[name];
    mine.judged += tally.judged;
    mine.duplicate += tally.duplicate;
    mine.grouped += tally.grouped;
    mine.illegal += tally.illegal;
  }
  for (const auto& [name, coverage] : other.cuts) {
    cuts[name].seen += coverage.seen;
    cuts[name].cut += coverage.cut;
  }
  for (const auto& [name, count] : other.failed_by_profile) {
    failed_by_profile[name] += count;
  }
  for (const auto& [name, count] : other.checks) {
    checks[name] += count;
  }
  for (const PowerFinding& finding : other.findings) {
    const auto same = std::find_if(findings.begin(), findings.end(), [&](const PowerFinding& each) {
      return each.invariant == finding.invariant && each.cause == finding.cause &&
             each.profile == finding.profile && each.promised == finding.promised;
    });
    if (same == findings.end()) {
      findings.push_back(finding);
    } else {
      same->images += finding.images;
    }
  }
  record_us += other.record_us;
  explore_us += other.explore_us;
  build_us += other.build_us;
  recover_us += other.recover_us;
  explain_us += other.explain_us;
}

}  // namespace chaosgate::report
