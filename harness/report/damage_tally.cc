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

DamageTally DamageTally::counts_since(const DamageTally& before) const {
  DamageTally counts = *this;
  for (const auto& [file_class, earlier] : before.by_class) {
    DamageCounts& mine = counts.by_class[file_class];
    mine.harmless -= earlier.harmless;
    mine.detected -= earlier.detected;
    mine.died -= earlier.died;
    mine.silent -= earlier.silent;
  }
  for (std::size_t i = 0; i < before.findings.size(); ++i) {  // none ever goes, or changes its place
    counts.findings[i].count -= before.findings[i].count;
  }
  std::erase_if(counts.findings, [](const DamageFinding& finding) { return finding.count == 0; });
  counts.not_reproduced.erase(
      counts.not_reproduced.begin(),
      counts.not_reproduced.begin() + static_cast<std::ptrdiff_t>(before.not_reproduced.size()));
  return counts;
}

}  // namespace chaosgate::report
