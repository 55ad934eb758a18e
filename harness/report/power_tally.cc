#include "harness/report/power_tally.h"

#include <algorithm>
#include <cctype>

#include "harness/base/check.h"

namespace chaosgate::report {

std::string without_numbers(std::string_view sentence) {
  std::string out;
  for (const char c : sentence) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      out += c;
    } else if (out.empty() || out.back() != 'N') {
      out += 'N';
    }
  }
  return out;
}

const std::string& weaker_profile(const std::string& a, const std::string& b) {
  static const std::vector<std::string> order = {"prefix", "btrfs",          "ext4-ordered",
                                                 "xfs",    "ext4-writeback", "strict"};
  const auto rank = [](const std::string& name) { return std::find(order.begin(), order.end(), name); };
  return rank(b) < rank(a) ? b : a;
}

std::uint64_t PowerTally::not_reproduced_by(bool outside) const {
  return static_cast<std::uint64_t>(
      std::count_if(not_reproduced.begin(), not_reproduced.end(),
                    [outside](const NotReproduced& end) { return end.outside == outside; }));
}

PowerFinding& PowerTally::add(const PowerFinding& finding) {
  const auto same = std::find_if(findings.begin(), findings.end(), [&](const PowerFinding& each) {
    return each.invariant == finding.invariant && each.promised == finding.promised &&
           without_numbers(each.cause) == without_numbers(finding.cause);
  });
  if (same == findings.end()) {
    return findings.emplace_back(finding);
  }
  same->images += finding.images;
  same->profile = weaker_profile(same->profile, finding.profile);
  return *same;
}

void PowerTally::add(const PowerTally& other) {
  CHECK(profile.empty() || profile == other.profile);
  profile = other.profile;
  loads += other.loads;
  loads_with_errors += other.loads_with_errors;
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
    add(finding);
  }
  not_reproduced.insert(not_reproduced.end(), other.not_reproduced.begin(), other.not_reproduced.end());
  record_us += other.record_us;
  explore_us += other.explore_us;
  build_us += other.build_us;
  recover_us += other.recover_us;
  explain_us += other.explain_us;
}

}  // namespace chaosgate::report
