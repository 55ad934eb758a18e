// What an events.jsonl holds besides cycles: one line each, written when it happens. Every number, text and
// verdict of a report follows from these lines alone (journal.h).
//
// A line is a JSON object; its "type" says which of these it is:
//   campaign    begin: what runs, and how
//   engine      begin of an engine configuration's part: its contract, and what is wanted of it
//   cycle       event.h; the type of a line without one
//   images      disk images that were judged since the last such line of the lane: counts
//   failing     a disk image failed; its cause is looked for
//   image       the same image, with its cause
//   finding     of an engine, what neither a cycle nor an image stands for
//   group       what happened between replicas since the last such line of the group: counts
//   migration   what became of migrations from one engine to another since the last such line: counts,
//               findings
//   check       a conformance check of an engine
//   damage      what damaged files of an engine led to since the last such line of the lane: counts, findings
//   control     a correct configuration of a self-test: what was found on it
//   fault       a planted fault of a self-test: found or not
//   doubt       why the campaign, or an engine's part of it, proves too little
//   engine-end  its part came to its end
//   end         the campaign did. Without this line it was killed, and is not complete
// Counts are what came in addition, so that lines of several files add up. A lane, or a group, numbers them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"
#include "harness/report/campaign_report.h"
#include "harness/report/event.h"
#include "harness/report/group_tally.h"
#include "harness/report/power_tally.h"

namespace chaosgate::report {

struct CampaignBegin {
  static constexpr const char* kType = "campaign";
  std::string version;                                         // of chaosgate
  std::vector<std::pair<std::string, std::string>> libraries;  // without the engines'
  std::string seed;                                            // "0x2a": more than a JSON reader must keep
  std::string plan_checksum;
  std::vector<SettingLine> settings;
  std::string started;
  std::string work_directory_kind;
  std::vector<std::string> not_tested;
  std::string command;  // repeats the campaign
};

struct EngineBegin {
  static constexpr const char* kType = "engine";
  std::string engine;
  std::string version;
  std::string commit_survives;
  std::string flush_survives;
  std::vector<std::string> protocols;
  bool replicas = false;  // of a group: a lane is a replica
  std::uint64_t kills_wanted = 0;
  std::vector<std::string> steps_expected;
  std::vector<std::string> kinds_expected;
  std::string profile;  // of power cuts; empty: none are wanted
  std::uint64_t images_wanted = 0;
};

struct ImagesEvent {
  static constexpr const char* kType = "images";
  std::string engine;
  std::uint64_t lane = 0;
  PowerTally tally;  // counts_since() of the lane's
};

struct ImageEvent {
  static constexpr const char* kType = "image";
  std::string engine;
  std::uint64_t lane = 0;
  std::string where;   // "lane 0 load 3"
  bool first = false;  // with its cause: has an explanation and, if it could be kept, a bundle
  PowerFinding finding;
};

struct FailingEvent {
  static constexpr const char* kType = "failing";
  std::string engine;
  std::uint64_t lane = 0;
  std::string where;
  PowerFinding finding;  // as far as it is known
};

struct FindingEvent {
  static constexpr const char* kType = "finding";
  std::string engine;
  std::uint64_t lane = 0;
  std::string where;               // "lane 0 load 3, after a kill"
  std::uint64_t after_images = 0;  // of the engine, judged before
  ViolationEvent violation;
};

struct GroupEvent {
  static constexpr const char* kType = "group";
  std::uint64_t group = 0;
  GroupTally tally;  // counts_since() of the group's
};

struct MigrationEvent {
  static constexpr const char* kType = "migration";
  std::uint64_t number = 0;  // of the pair of engines
  MigrationTally tally;      // counts_since() of the pair's
};

struct CheckEvent {
  static constexpr const char* kType = "check";
  std::string engine;
  ConformResult result;
};

struct DamageEvent {
  static constexpr const char* kType = "damage";
  std::string engine;
  std::uint64_t lane = 0;
  std::uint64_t wanted = 0;  // of all lanes
  bool promised = false;     // Damage::promised
  DamageTally tally;         // counts_since() of the lane's
};

struct ControlEvent {
  static constexpr const char* kType = "control";
  std::uint64_t number = 0;  // in the order of the report
  ControlResult result;
};

struct FaultEvent {
  static constexpr const char* kType = "fault";
  std::uint64_t number = 0;  // in the order of the report
  FaultResult result;
};

struct DoubtEvent {
  static constexpr const char* kType = "doubt";
  std::string engine;  // empty: the whole campaign
  std::string reason;
};

struct EngineEnd {
  static constexpr const char* kType = "engine-end";
  std::string engine;
  double seconds = 0;
  // Of power cuts.
  bool exhausted = false;
  double images_seconds = 0;
  std::uint32_t threads = 1;
};

struct CampaignEnd {
  static constexpr const char* kType = "end";
  bool complete = false;
  std::string harness_fault;
  bool interrupted = false;
  bool terminated = false;
  double seconds = 0;
};

// Each pair is each other's inverse. A missing key or a value of the wrong type throws.
#define CHAOSGATE_EVENT_JSON(type)                   \
  void to_json(nlohmann::json& json, const type& t); \
  void from_json(const nlohmann::json& json, type& t)
CHAOSGATE_EVENT_JSON(CampaignBegin);
CHAOSGATE_EVENT_JSON(EngineBegin);
CHAOSGATE_EVENT_JSON(ImagesEvent);
CHAOSGATE_EVENT_JSON(ImageEvent);
CHAOSGATE_EVENT_JSON(FailingEvent);
CHAOSGATE_EVENT_JSON(FindingEvent);
CHAOSGATE_EVENT_JSON(GroupEvent);
CHAOSGATE_EVENT_JSON(MigrationEvent);
CHAOSGATE_EVENT_JSON(CheckEvent);
CHAOSGATE_EVENT_JSON(DamageEvent);
CHAOSGATE_EVENT_JSON(ControlEvent);
CHAOSGATE_EVENT_JSON(FaultEvent);
CHAOSGATE_EVENT_JSON(DoubtEvent);
CHAOSGATE_EVENT_JSON(EngineEnd);
CHAOSGATE_EVENT_JSON(CampaignEnd);
#undef CHAOSGATE_EVENT_JSON

// The line of an event, without its newline: `type` and `schema_version` added, bytes that are not UTF-8
// written as \xNN.
nlohmann::json event_json(const char* type, nlohmann::json event);
template <typename Event>
nlohmann::json event_json(const Event& event) {
  return event_json(Event::kType, nlohmann::json(event));
}

}  // namespace chaosgate::report
