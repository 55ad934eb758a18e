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
  if (finding.after_images != 0) {
    same->after_images =
        same->after_images == 0 ? finding.after_images : std::min(same->after_images, finding.after_images);
  }
  same->profile = weaker_profile(same->profile, finding.profile);
  return *same;
}

namespace {

// op(&mine, other's) on each count that is not of failing images.
template <typename Op>
void on_counts(PowerTally* mine, const PowerTally& other, const Op& op) {
  op(&mine->loads, other.loads);
  op(&mine->loads_with_errors, other.loads_with_errors);
  op(&mine->calls, other.calls);
  op(&mine->judged, other.judged);
  op(&mine->in_recovery, other.in_recovery);
  op(&mine->recoveries_distinct, other.recoveries_distinct);
  for (const auto& [name, tally] : other.strategies) {
    StrategyTally& of_name = mine->strategies[name];
    op(&of_name.judged, tally.judged);
    op(&of_name.duplicate, tally.duplicate);
    op(&of_name.grouped, tally.grouped);
    op(&of_name.illegal, tally.illegal);
  }
  for (const auto& [name, coverage] : other.cuts) {
    op(&mine->cuts[name].seen, coverage.seen);
    op(&mine->cuts[name].cut, coverage.cut);
  }
  for (const auto& [name, count] : other.checks) {
    op(&mine->checks[name], count);
  }
  op(&mine->record_us, other.record_us);
  op(&mine->explore_us, other.explore_us);
  op(&mine->build_us, other.build_us);
  op(&mine->recover_us, other.recover_us);
  op(&mine->explain_us, other.explain_us);
}

}  // namespace

void PowerTally::add(const PowerTally& other) {
  CHECK(profile.empty() || other.profile.empty() || profile == other.profile);
  profile = profile.empty() ? other.profile : profile;
  exhausted = exhausted || other.exhausted;
  on_counts(this, other, [](std::uint64_t* mine, std::uint64_t count) { *mine += count; });
  failed += other.failed;
  for (const auto& [name, count] : other.failed_by_profile) {
    failed_by_profile[name] += count;
  }
  for (const PowerFinding& finding : other.findings) {
    add(finding);
  }
  not_reproduced.insert(not_reproduced.end(), other.not_reproduced.begin(), other.not_reproduced.end());
}

void PowerTally::add_failing(const PowerFinding& finding) {
  ++failed;
  ++failed_by_profile[finding.profile];
  add(finding);
}

PowerTally PowerTally::counts_since(const PowerTally& before) const {
  PowerTally counts;
  on_counts(&counts, *this, [](std::uint64_t* mine, std::uint64_t count) { *mine += count; });
  on_counts(&counts, before, [](std::uint64_t* mine, std::uint64_t count) { *mine -= count; });
  counts.not_reproduced.assign(
      not_reproduced.begin() + static_cast<std::ptrdiff_t>(before.not_reproduced.size()),
      not_reproduced.end());
  return counts;
}

}  // namespace chaosgate::report
