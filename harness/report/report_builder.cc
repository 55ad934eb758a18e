#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "harness/base/error.h"
#include "harness/report/facts.h"
#include "harness/report/journal.h"

namespace chaosgate::report {
namespace {

// Of kills; of power cuts there is one for each cause.
constexpr std::size_t kViolationsKept = 20;

std::uint64_t parse_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const char* const end = text.data() + text.size();
  const char* const begin = text.data() + (text.starts_with("0x") ? 2 : 0);
  const auto [stop, error] = std::from_chars(begin, end, seed, 16);
  if (error != std::errc() || stop != end) {
    throw UsageError("not a seed");
  }
  return seed;
}

}  // namespace

ReportBuilder::EnginePart& ReportBuilder::part(const std::string& engine) {
  for (EnginePart& each : engines_) {
    if (each.section.engine == engine) {
      return each;
    }
  }
  EnginePart& added = engines_.emplace_back();
  added.section.engine = added.section.tally.engine = engine;
  return added;
}

const ReportBuilder::EnginePart* ReportBuilder::find(const std::string& engine) const {
  const auto at = std::find_if(engines_.begin(), engines_.end(),
                               [&](const EnginePart& each) { return each.section.engine == engine; });
  return at == engines_.end() ? nullptr : &*at;
}

template <typename Event>
bool ReportBuilder::add_if(const std::string& type, const nlohmann::json& event) {
  if (type != Event::kType) {
    return false;
  }
  add(event.get<Event>());
  return true;
}

void ReportBuilder::add(const nlohmann::json& event) {
  event.at("schema_version").get<int>();  // what has none, or another thing there, is no event
  const std::string type = event.value("type", "cycle");
  if (type == "cycle") {
    add_cycle(event.get<CycleEvent>());
    return;
  }
  if (type == ImageEvent::kType || type == FailingEvent::kType || type == FindingEvent::kType) {
    nlohmann::json whole = event;  // files of earlier builds lack some
    if (type == FindingEvent::kType) {
      whole.emplace("after_images", 0);
    } else {
      whole.at("finding").emplace("after_images", 0);
      whole.at("finding").emplace("seed_command", "");
    }
    add_if<ImageEvent>(type, whole) || add_if<FailingEvent>(type, whole) || add_if<FindingEvent>(type, whole);
    return;
  }
  add_if<CampaignBegin>(type, event) || add_if<EngineBegin>(type, event) ||
      add_if<ImagesEvent>(type, event) || add_if<GroupEvent>(type, event) ||
      add_if<MigrationEvent>(type, event) || add_if<CheckEvent>(type, event) ||
      add_if<DamageEvent>(type, event) || add_if<ControlEvent>(type, event) ||
      add_if<FaultEvent>(type, event) || add_if<DoubtEvent>(type, event) || add_if<EngineEnd>(type, event) ||
      add_if<CampaignEnd>(type, event);
}

void ReportBuilder::add_cycle(const CycleEvent& event) {
  EnginePart& mine = part(event.engine);
  EngineSection& section = mine.section;
  section.tally.add(event);
  if (!mine.begun) {
    add_once(&section.protocols, event.protocol);
  }
  const std::string where =
      fmt::format("{} {} cycle {}", mine.begin.replicas ? "replica" : "lane", event.lane, event.cycle);
  for (const ViolationEvent& violation : event.violations) {
    ++mine.found_by_kill;
    if (section.violations.size() < kViolationsKept) {
      section.violations.emplace_back(where, violation);
    }
  }
  note_ends(where, event, &section);
  if (mine.command.empty()) {
    mine.command = event.command;
  }
}

void ReportBuilder::add(const CampaignBegin& event) {
  frame_.seed = parse_seed(event.seed);
  frame_.version = event.version;
  frame_.libraries = event.libraries;
  frame_.plan_checksum = event.plan_checksum;
  frame_.settings = event.settings;
  frame_.started = event.started;
  frame_.work_directory_kind = event.work_directory_kind;
  frame_.not_tested = event.not_tested;
  frame_.command = event.command;
}

void ReportBuilder::add(const EngineBegin& event) {
  EnginePart& mine = part(event.engine);
  mine.begun = true;
  mine.begin = event;
  EngineSection& section = mine.section;
  section.version = event.version;
  section.commit_survives = event.commit_survives;
  section.flush_survives = event.flush_survives;
  section.protocols = event.protocols;
  section.kills_wanted = event.kills_wanted;
  section.steps_expected = event.steps_expected;
  section.kinds_expected = event.kinds_expected;
}

void ReportBuilder::add(const ImagesEvent& event) {
  EnginePart& mine = part(event.engine);
  mine.images_judged += event.tally.judged;
  mine.lanes[event.lane].tally.add(event.tally);
}

void ReportBuilder::add_image(PowerPart* lane, const std::string& where, const PowerFinding& finding,
                              bool first) {
  lane->tally.add_failing(finding);
  if (first && finding.promised) {
    lane->violations.emplace_back(
        fmt::format("power cut, {}, found after {}, weakest profile {}", where,
                    plural(finding.after_images, "disk image"), finding.profile),
        ViolationEvent{finding.invariant,
                       finding.cause + (finding.explanation.empty() ? "" : ": " + finding.explanation),
                       finding.detail, finding.bundle, finding.command, finding.seed_command});
  }
}

void ReportBuilder::add(const ImageEvent& event) {
  EnginePart& mine = part(event.engine);
  PowerPart& lane = mine.lanes[event.lane];
  lane.failing.reset();
  mine.images_broken += event.finding.promised ? 1 : 0;
  add_image(&lane, event.where, event.finding, event.first);
}

void ReportBuilder::add(const FailingEvent& event) { part(event.engine).lanes[event.lane].failing = event; }

void ReportBuilder::add(const FindingEvent& event) {
  EnginePart& mine = part(event.engine);
  ++mine.found_by_kill;
  mine.lanes[event.lane].violations.emplace_back(
      fmt::format("{}, found after {}", event.where, plural(event.after_images, "disk image")),
      event.violation);
}

void ReportBuilder::add(const GroupEvent& event) { groups_[event.group].add(event.tally); }

void ReportBuilder::add(const MigrationEvent& event) { migrations_[event.number].add(event.tally); }

void ReportBuilder::add(const CheckEvent& event) {
  auto mine = std::find_if(conformance_.begin(), conformance_.end(),
                           [&](const Conformance& each) { return each.engine == event.engine; });
  if (mine == conformance_.end()) {
    mine = conformance_.insert(mine, {event.engine, {}});
  }
  mine->checks.push_back(event.result);
}

void ReportBuilder::add(const DamageEvent& event) {
  auto mine = std::find_if(damage_.begin(), damage_.end(),
                           [&](const DamagePart& each) { return each.damage.engine == event.engine; });
  if (mine == damage_.end()) {
    mine = damage_.insert(mine, DamagePart());
    mine->damage.engine = event.engine;
  }
  mine->damage.wanted = event.wanted;
  mine->damage.promised = event.promised;
  mine->lanes[event.lane].add(event.tally);
}

void ReportBuilder::add(const ControlEvent& event) { controls_[event.number] = event.result; }

void ReportBuilder::add(const FaultEvent& event) { faults_[event.number] = event.result; }

void ReportBuilder::add(const DoubtEvent& event) {
  (event.engine.empty() ? frame_.inconclusive : part(event.engine).section.inconclusive)
      .push_back(event.reason);
}

void ReportBuilder::add(const EngineEnd& event) {
  EnginePart& mine = part(event.engine);
  mine.end = event;
  mine.section.seconds = event.seconds;
}

void ReportBuilder::add(const CampaignEnd& event) {
  frame_.complete = event.complete;
  frame_.harness_fault = event.harness_fault;
  frame_.interrupted = event.interrupted;
  frame_.terminated = event.terminated;
  frame_.seconds = event.seconds;
}

EngineSection ReportBuilder::section_of(const EnginePart& part) {
  EngineSection section = part.section;
  if (!part.begun) {
    section.kills_wanted = section.tally.kills;
  }
  const bool power = !part.begin.profile.empty() || !part.lanes.empty();
  if (power) {
    PowerTally& tally = section.power.emplace();
    tally.profile = part.begin.profile;
    tally.wanted = part.begin.images_wanted;
    tally.exhausted = part.end.exhausted;
    tally.seconds = part.end.images_seconds;
    tally.threads = part.end.threads;
    for (const auto& [number, lane] : part.lanes) {  // in their order, whichever was first
      PowerPart whole = lane;
      if (lane.failing) {
        add_image(&whole, lane.failing->where, lane.failing->finding, true);
      }
      tally.add(whole.tally);
      section.violations.insert(section.violations.end(), whole.violations.begin(), whole.violations.end());
    }
  }
  section.violation_count = part.found_by_kill + (power ? section.power->violations() : 0);
  return section;
}

std::string ReportBuilder::command_of(const EnginePart& part, const EngineSection& section) {
  if (!part.command.empty()) {
    return part.command;
  }
  for (const auto& [where, violation] : section.violations) {
    if (!violation.command.empty()) {
      return violation.command;
    }
  }
  return {};
}

CampaignReport ReportBuilder::report() const {
  CampaignReport report = frame_;
  std::string command;
  for (const EnginePart& part : engines_) {
    EngineSection section = section_of(part);
    command = command.empty() ? command_of(part, section) : command;
    if (part.begun) {
      report.libraries.emplace_back(section.engine, section.version);
    }
    report.engines.push_back(std::move(section));
  }
  for (const DamagePart& part : damage_) {
    for (const auto& [number, tally] : part.lanes) {
      for (const DamageFinding& finding : tally.findings) {
        command = command.empty() && part.damage.breaks_promise(finding) ? finding.command : command;
      }
    }
  }
  report.command = command.empty() ? report.command : command;
  if (!groups_.empty()) {
    report.group = group();
  }
  report.conformance = conformance_;
  for (const DamagePart& part : damage_) {
    Damage& damage = report.damage.emplace_back(part.damage);
    for (const auto& [number, tally] : part.lanes) {  // in their order, whichever was first
      damage.tally.add(tally);
    }
  }
  for (const auto& [number, control] : controls_) {
    report.controls.push_back(control);
  }
  for (const auto& [number, migration] : migrations_) {
    report.migrations.push_back(migration);
  }
  for (const auto& [number, fault] : faults_) {
    report.self_test.push_back(fault);
  }
  return report;
}

EngineSection ReportBuilder::section(const std::string& engine) const {
  const EnginePart* part = find(engine);
  return part == nullptr ? EngineSection() : section_of(*part);
}

Totals ReportBuilder::totals(const std::string& engine) const {
  const EnginePart* part = find(engine);
  return part == nullptr ? Totals()
                         : Totals{part->section.tally.kills, part->images_judged,
                                  part->found_by_kill + part->images_broken};
}

Totals ReportBuilder::totals() const {
  Totals all;
  for (const EnginePart& part : engines_) {
    const Totals one = totals(part.section.engine);
    all.kills += one.kills;
    all.images += one.images;
    all.violations += one.violations;
  }
  return all;
}

GroupTally ReportBuilder::group() const {
  GroupTally all;
  for (const auto& [number, tally] : groups_) {
    all.add(tally);
  }
  return all;
}

}  // namespace chaosgate::report
