#include "harness/report/damage_tally.h"

namespace chaosgate::report {

std::uint64_t DamageTally::judged() const {
  const DamageCounts all = total();
  return all.harmless + all.detected + all.died + all.silent;
}

DamageCounts DamageTally::total() const {
  DamageCounts all;
  for (const auto& [file_class, counts] : by_class) {
    all.harmless += counts.harmless;
    all.detected += counts.detected;
    all.died += counts.died;
    all.silent += counts.silent;
  }
  return all;
}

DamageFinding& DamageTally::add(const DamageFinding& finding) {
  for (DamageFinding& known : findings) {
    if (known.file_class == finding.file_class && known.silent == finding.silent &&
        known.undamaged == finding.undamaged && known.invariant == finding.invariant) {
      known.count += finding.count;
      return known;
    }
  }
  return findings.emplace_back(finding);
}

void DamageTally::add(const DamageTally& other) {
  for (const auto& [file_class, counts] : other.by_class) {
    DamageCounts& mine = by_class[file_class];
    mine.harmless += counts.harmless;
    mine.detected += counts.detected;
    mine.died += counts.died;
    mine.silent += counts.silent;
  }
  for (const DamageFinding& finding : other.findings) {
    add(finding);
  }
  harness_fault = harness_fault.empty() ? other.harness_fault : harness_fault;
  not_reproduced.insert(not_reproduced.end(), other.not_reproduced.begin(), other.not_reproduced.end());
}

}  // namespace chaosgate::report
