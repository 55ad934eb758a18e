#include "harness/report/campaign_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/base/check.h"
#include "harness/report/facts.h"

namespace chaosgate::report {
namespace {

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t total, const auto& entry) { return total + entry.second; });
}

// "before-log-sync" of "before-log-sync#3".
std::string planned_step(const std::string& planned) { return planned.substr(0, planned.find('#')); }

void add_death(EngineTally& tally, const Death& death, bool in_load) {
  if (death.kind.empty()) {
    return;  // the campaign ended before the cycle got this far; not a kill, whatever its default says
  }
  tally.errors += death.errors;
  tally.refused += death.outcome == Outcome::refused ? 1 : 0;
  tally.entries += death.entries;
  tally.operations += death.operations;
  tally.outside += death.outcome == Outcome::outside ? 1 : 0;
  if (is_abnormal(death.outcome)) {
    ++tally.abnormal;
    ++tally.abnormal_by_kind[death.kind];
  } else if (death.outcome == Outcome::missed) {
    ++tally.missed;
  } else if (is_kill(death)) {
    ++tally.kills;
    ++(in_load ? tally.kills_in_load : tally.kills_in_recovery);
    ++tally.kills_by_kind[death.kind];
    if (!death.cell.empty()) {
      ++tally.kills_by_cell[death.cell];
    }
    if (death.kind == "step" || death.kind == "recovery-step") {
      ++tally.kills_by_step[planned_step(death.planned)];
    } else if (death.kind == "timer" || death.kind == "recovery-timer") {
      ++tally.timer_kills_by_step[death.step.empty() ? "before the first step" : death.step];
    }
  }
}

// A violation belongs to every kind of death that the recovery came after.
void add_violations(EngineTally& tally, const CycleEvent& event) {
  std::vector<std::string> kinds;
  if (!event.crash.kind.empty()) {
    kinds.push_back(event.crash.kind);
  }
  for (const Death& death : event.recrashes) {
    if (!death.kind.empty() && std::find(kinds.begin(), kinds.end(), death.kind) == kinds.end()) {
      kinds.push_back(death.kind);
    }
  }
  for (const ViolationEvent& violation : event.violations) {
    ++tally.violations[violation.invariant];
    for (const std::string& kind : kinds) {
      ++tally.violations_by_kind[kind];
    }
  }
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return "pass";
    case Verdict::violation:
      return "violation";
    case Verdict::inconclusive:
      return "inconclusive";
    case Verdict::harness_fault:
      return "harness-fault";
    case Verdict::interrupted:
      return "interrupted";
    case Verdict::nothing_ran:
      return "nothing-ran";
    case Verdict::abnormal_death:
      return "abnormal-death";
  }
  return "unknown";
}

ExitStatus exit_status(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
      return ExitStatus::pass;
    case Verdict::violation:
    case Verdict::abnormal_death:
      return ExitStatus::violation;
    case Verdict::inconclusive:
      return ExitStatus::inconclusive;
    case Verdict::harness_fault:
      return ExitStatus::internal;
    case Verdict::interrupted:
      return ExitStatus::interrupted;
    case Verdict::nothing_ran:
      return ExitStatus::nothing_ran;
  }
  return ExitStatus::internal;
}

std::uint64_t Distribution::percentile(double percent) const {
  if (values_.empty()) {
    return 0;
  }
  // Nearest rank; the subtraction keeps 99.9 % of 1,000 at 999 although 99.9 is no binary fraction.
  const double rank = std::ceil(percent * static_cast<double>(values_.size()) / 100.0 - 1e-9);
  const auto index = static_cast<std::size_t>(std::clamp(rank, 1.0, static_cast<double>(values_.size()))) - 1;
  std::vector<std::uint64_t> values = values_;
  const auto nth = values.begin() + static_cast<std::ptrdiff_t>(index);
  std::nth_element(values.begin(), nth, values.end());
  return *nth;
}

std::uint64_t Distribution::max() const {
  return values_.empty() ? 0 : *std::max_element(values_.begin(), values_.end());
}

double Distribution::mean() const {
  const double total = std::accumulate(values_.begin(), values_.end(), 0.0);
  return values_.empty() ? 0 : total / static_cast<double>(values_.size());
}

void EngineTally::add(const CycleEvent& event) {
  CHECK(cycles == 0 || engine == event.engine, "{} in a tally of {}", event.engine, engine);
  engine = event.engine;
  fault = event.fault;
  ++cycles;
  cells_seen.insert(event.cells.begin(), event.cells.end());
  add_death(*this, event.crash, true);
  for (const Death& death : event.recrashes) {
    add_death(*this, death, false);
  }
  add_violations(*this, event);
  at_risk_cycles += event.at_risk > 0 ? 1 : 0;
  for (const std::string& invariant : event.checked) {
    ++checks[invariant];
  }
  cycle_us.add(event.timings.total);
  if (!event.recovered) {
    return;
  }
  torn_tails += event.torn_bytes > 0 ? 1 : 0;
  if (event.violations.empty()) {  // otherwise the comparison may have ended early
    live_keys_min = compared_cycles == 0 ? event.live_keys : std::min(live_keys_min, event.live_keys);
    ++compared_cycles;
  }
  replay_entries.add(event.replay_entries);
  recovery_us.add(event.timings.open + event.timings.replay);
}

double EngineTally::upper_bound() const { return kills < 3 ? 1.0 : 3.0 / static_cast<double>(kills); }

std::uint64_t EngineTally::violation_count() const { return sum(violations); }

std::vector<std::string> EngineTally::zero_cells() const {
  std::vector<std::string> cells;
  std::copy_if(cells_seen.begin(), cells_seen.end(), std::back_inserter(cells),
               [this](const std::string& cell) { return count_of(kills_by_cell, cell) == 0; });
  return cells;
}

std::vector<std::string> EngineTally::zero_classes() const {
  const auto class_of = [](const std::string& cell) {  // "after sst.datasync/flush"
    const std::size_t begin = cell.find(' ') + 1;
    return cell.substr(begin, cell.find('.', begin) - begin);
  };
  std::set<std::string> classes;
  for (const std::string& cell : cells_seen) {
    classes.insert(class_of(cell));
  }
  for (const auto& [cell, count] : kills_by_cell) {
    classes.erase(class_of(cell));
  }
  return {classes.begin(), classes.end()};
}

std::vector<EngineTally> tally_events(const std::vector<CycleEvent>& events) {
  std::vector<EngineTally> tallies;
  for (const CycleEvent& event : events) {
    auto tally = std::find_if(tallies.begin(), tallies.end(), [&](const EngineTally& each) {
      return each.engine == event.engine && each.fault == event.fault;
    });
    if (tally == tallies.end()) {
      tally = tallies.emplace(tallies.end());
    }
    tally->add(event);
  }
  return tallies;
}

std::uint64_t EngineSection::violations_found() const {
  return std::max({violation_count, static_cast<std::uint64_t>(violations.size()), tally.violation_count()});
}

std::uint64_t EngineSection::abnormal_found() const {
  const std::uint64_t once = power ? power->not_reproduced_by(false) : 0;
  return std::max(static_cast<std::uint64_t>(abnormal.size()), tally.abnormal) + once;
}

std::uint64_t EngineSection::outside_found() const {
  const std::uint64_t in_power = power ? power->not_reproduced_by(true) : 0;
  return std::max(static_cast<std::uint64_t>(outside.size()), tally.outside) + in_power;
}

std::vector<std::string> EngineSection::not_reproduced() const {
  std::vector<std::string> lines = outside;
  if (power) {
    for (const NotReproduced& end : power->not_reproduced) {
      lines.push_back(end.what);
    }
  }
  return lines;
}

void note_ends(const std::string& where, const CycleEvent& event, EngineSection* section) {
  constexpr std::size_t kLinesKept = 10;
  std::vector<const Death*> deaths = {&event.crash};
  for (const Death& death : event.recrashes) {
    deaths.push_back(&death);
  }
  for (const Death* death : deaths) {
    // A worker that reported an error in recovery broke an invariant, which says it already.
    if (is_abnormal(death->outcome) && !death->detail.empty() && section->abnormal.size() < kLinesKept) {
      section->abnormal.push_back(fmt::format("{}: {} while {} ({})", where,
                                              nlohmann::json(death->outcome).get<std::string>(), death->phase,
                                              death->detail));
    } else if (death->outcome == Outcome::outside && section->outside.size() < kLinesKept) {
      section->outside.push_back(
          fmt::format("{}: {}, while {}; the cycle was given up, and nothing like it came in the next ones",
                      where, death->detail, death->phase));
    }
  }
}

Verdict EngineSection::verdict() const {
  if (violations_found() > 0) {
    return Verdict::violation;
  }
  if (abnormal_found() > 0) {
    return Verdict::abnormal_death;
  }
  if (tally.kills == 0 && (!power || power->judged == 0)) {
    return Verdict::nothing_ran;
  }
  return reasons().empty() ? Verdict::pass : Verdict::inconclusive;
}

std::vector<std::string> EngineSection::reasons() const {
  std::vector<std::string> why = inconclusive;
  const bool found = violations_found() > 0 || abnormal_found() > 0;
  if (!found && outside_found() > 0) {
    why.push_back(plural(outside_found(), "worker death") +
                  " came from outside: abnormal, and not reproduced; who did it is not known");
  }
  if (found || !why.empty()) {
    return why;  // a finding is conclusive, however few kills it took
  }
  if (power && power->judged == 0) {
    return {"no disk image was judged"};
  }
  if (tally.kills == 0 && (!power || kills_wanted > 0)) {
    return {"no kill was confirmed"};
  }
  if (tally.kills < kills_wanted) {
    return {thousands(tally.kills) + " of " + plural(kills_wanted, "kill") + " were confirmed"};
  }
  if (power && power->judged < power->wanted && !power->exhausted) {
    return {thousands(power->judged) + " of " + plural(power->wanted, "disk image") + " were judged"};
  }
  return {};
}

std::vector<std::string> EngineSection::never_hit() const {
  std::vector<std::string> steps;
  std::copy_if(steps_expected.begin(), steps_expected.end(), std::back_inserter(steps),
               [this](const std::string& step) { return count_of(tally.kills_by_step, step) == 0; });
  return steps;
}

std::string tries_text(const FaultResult& result) {
  return plural(result.found ? result.kills_until_found : result.kills,
                result.by_power_cut ? "disk image" : "kill");
}

std::uint64_t CampaignReport::kills() const {
  std::uint64_t count = 0;
  for (const EngineSection& section : engines) {
    count += section.tally.kills;
  }
  for (const MigrationTally& migration : migrations) {
    count += migration.kills;
  }
  return count;
}

std::uint64_t CampaignReport::images() const {
  std::uint64_t count = 0;
  for (const EngineSection& section : engines) {
    count += section.power ? section.power->judged : 0;
  }
  for (const MigrationTally& migration : migrations) {
    count += migration.images;
  }
  return count;
}

std::uint64_t CampaignReport::violations_found() const {
  std::uint64_t count = 0;
  for (const EngineSection& section : engines) {
    count += section.violations_found();
  }
  for (const MigrationTally& migration : migrations) {
    count += migration.findings.size();
  }
  for (const Conformance& each : conformance) {
    count += each.violations();
  }
  for (const Damage& each : damage) {
    count += each.violations();
  }
  for (const ControlResult& control : controls) {
    count += control.findings.size();
  }
  return count;
}

Verdict CampaignReport::verdict() const {
  const auto any = [this](Verdict verdict) {
    return std::any_of(engines.begin(), engines.end(),
                       [verdict](const EngineSection& section) { return section.verdict() == verdict; });
  };
  const bool self_test_ran = std::any_of(self_test.begin(), self_test.end(), [](const FaultResult& result) {
    return result.found || result.kills > 0;
  });
  if (violations_found() > 0) {
    return Verdict::violation;
  }
  if (any(Verdict::abnormal_death)) {
    return Verdict::abnormal_death;
  }
  if (!harness_fault.empty()) {
    return Verdict::harness_fault;
  }
  if (interrupted) {
    return Verdict::interrupted;
  }
  const bool damaged =
      std::any_of(damage.begin(), damage.end(), [](const Damage& each) { return each.tally.judged() > 0; });
  const bool controlled = std::any_of(controls.begin(), controls.end(),
                                      [](const ControlResult& control) { return control.kills > 0; });
  if (kills() == 0 && images() == 0 && conformance.empty() && !damaged && !controlled && !self_test_ran) {
    return Verdict::nothing_ran;
  }
  const bool doubt = any(Verdict::inconclusive) || any(Verdict::nothing_ran) || !reasons().empty();
  return doubt ? Verdict::inconclusive : Verdict::pass;
}

ExitStatus CampaignReport::exit_status() const {
  const Verdict result = verdict();
  if (result == Verdict::interrupted && terminated) {
    return ExitStatus::terminated;
  }
  return report::exit_status(result);
}

std::vector<std::string> CampaignReport::reasons() const {
  std::vector<std::string> all = inconclusive;
  for (const FaultResult& result : self_test) {
    const bool said = std::any_of(
        inconclusive.begin(), inconclusive.end(),
        [&result](const std::string& reason) { return reason.find(result.fault) != std::string::npos; });
    if (!result.found && !said) {
      all.push_back("the planted fault " + result.fault + " was not found in " + tries_text(result) +
                    (result.profile.empty() ? ""
                                            : ", but under profile " + result.profile + " instead of " +
                                                  result.profile_expected) +
                    " (" + result.engine + ", " + result.protocol + ", seed " + seed_text(result.seed) + ")");
    }
  }
  for (const MigrationTally& migration : migrations) {
    for (const std::string& doubt : migration.doubts()) {
      all.push_back(fmt::format("{} to {}: {}", migration.from, migration.to, doubt));
    }
  }
  for (const Damage& each : damage) {
    for (const std::string& doubt : each.doubts()) {
      all.push_back(fmt::format("damage of {}: {}", each.engine, doubt));
    }
  }
  if (!complete && harness_fault.empty() && !interrupted) {
    all.push_back("the campaign did not run to its end");
  }
  return all;
}

}  // namespace chaosgate::report
