#include "harness/report/migration_tally.h"

#include <fmt/format.h>

#include "harness/base/json_fields.h"
#include "harness/report/facts.h"

namespace chaosgate::report {

JSON_FIELDS(MigrationFinding, death, how, detail, profile, kept)
JSON_FIELDS_DECLARED(MigrationTally, from, to, keys, kills, kills_at_calls, kills_at_any_time,
                     kills_of_exporter, migrations, resumed, begun_anew, images, images_with_target, traces,
                     calls, findings, not_reproduced, harness_fault, complete)

namespace {

// op(&mine, other's) on each count.
template <typename Op>
void on_counts(MigrationTally* mine, const MigrationTally& other, const Op& op) {
  op(&mine->kills, other.kills);
  op(&mine->kills_at_calls, other.kills_at_calls);
  op(&mine->kills_at_any_time, other.kills_at_any_time);
  op(&mine->kills_of_exporter, other.kills_of_exporter);
  op(&mine->migrations, other.migrations);
  op(&mine->resumed, other.resumed);
  op(&mine->begun_anew, other.begun_anew);
  op(&mine->images, other.images);
  op(&mine->images_with_target, other.images_with_target);
  op(&mine->traces, other.traces);
  op(&mine->calls, other.calls);
  op(&mine->keys, other.keys);
}

std::string finding_text(const MigrationFinding& finding) {
  return printable_line(fmt::format("{}: {}", finding.death, finding.how)) + "\n" +
         (finding.profile.empty() ? "" : fmt::format("  possible under: {}\n", finding.profile)) +
         fmt::format("  {}\n  kept in {}\n", printable_line(finding.detail), printable_line(finding.kept));
}

}  // namespace

void MigrationTally::add(const MigrationTally& counts) {
  from = counts.from;
  to = counts.to;
  on_counts(this, counts, [](std::uint64_t* mine, std::uint64_t count) { *mine += count; });
  findings.insert(findings.end(), counts.findings.begin(), counts.findings.end());
  not_reproduced.insert(not_reproduced.end(), counts.not_reproduced.begin(), counts.not_reproduced.end());
  harness_fault = harness_fault.empty() ? counts.harness_fault : harness_fault;
  complete = counts.complete;
}

MigrationTally MigrationTally::counts_since(const MigrationTally& before) const {
  MigrationTally counts = *this;
  on_counts(&counts, before, [](std::uint64_t* mine, std::uint64_t count) { *mine -= count; });
  counts.findings.erase(counts.findings.begin(),
                        counts.findings.begin() + static_cast<std::ptrdiff_t>(before.findings.size()));
  counts.not_reproduced.erase(
      counts.not_reproduced.begin(),
      counts.not_reproduced.begin() + static_cast<std::ptrdiff_t>(before.not_reproduced.size()));
  return counts;
}

std::vector<std::string> MigrationTally::doubts() const {
  std::vector<std::string> all;
  if (!complete) {
    all.emplace_back("not as many kills and disk images as were wanted");
  }
  for (const std::string& end : not_reproduced) {
    all.push_back("abnormal, not reproduced: " + end);
  }
  return all;
}

std::string migration_text(const MigrationTally& tally) {
  std::string text =
      fmt::format("{} to {}: {} in the source\n", tally.from, tally.to, plural(tally.keys, "key"));
  text += fmt::format("  {} in {}: {} at storage calls, {} at any time, {} of the exporter\n",
                      plural(tally.kills, "kill"), plural(tally.migrations, "migration"),
                      tally.kills_at_calls, tally.kills_at_any_time, tally.kills_of_exporter);
  text += fmt::format("  {} from power cuts in {} ({} storage calls), {} with the target in place\n",
                      plural(tally.images, "disk image"), plural(tally.traces, "trace"), tally.calls,
                      tally.images_with_target);
  text +=
      fmt::format("  {} went on from what was there, {} after power cuts could not and began anew; {}\n",
                  plural(tally.resumed, "run"), tally.begun_anew, plural(tally.findings.size(), "finding"));
  for (const MigrationFinding& finding : tally.findings) {
    text += finding_text(finding);
  }
  for (const std::string& end : tally.not_reproduced) {
    text += fmt::format("  abnormal, not reproduced: {}\n", printable_line(end));
  }
  if (!tally.harness_fault.empty()) {
    text += fmt::format("  ended early: {}\n", printable_line(tally.harness_fault));
  }
  return text;
}

}  // namespace chaosgate::report
