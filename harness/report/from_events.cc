#include <fmt/format.h>

#include <algorithm>

#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

EngineSection& section_of(CampaignReport& report, const std::string& engine) {
  for (EngineSection& section : report.engines) {
    if (section.engine == engine) {
      return section;
    }
  }
  EngineSection section;
  section.engine = engine;
  section.tally.engine = engine;
  report.engines.push_back(std::move(section));
  return report.engines.back();
}

}  // namespace

CampaignReport report_from_events(const std::vector<CycleEvent>& events) {
  CampaignReport report;
  report.complete = true;
  for (const CycleEvent& event : events) {
    EngineSection& section = section_of(report, event.engine);
    section.tally.add(event);
    section.kills_wanted = section.tally.kills;
    if (std::find(section.protocols.begin(), section.protocols.end(), event.protocol) ==
        section.protocols.end()) {
      section.protocols.push_back(event.protocol);
    }
    note_ends(fmt::format("lane {} cycle {}", event.lane, event.cycle), event, &section);
    for (const ViolationEvent& violation : event.violations) {
      ++section.violation_count;
      section.violations.emplace_back(fmt::format("lane {} cycle {}", event.lane, event.cycle), violation);
      if (report.command.empty()) {
        report.command = violation.command;
      }
    }
  }
  return report;
}

}  // namespace chaosgate::report
