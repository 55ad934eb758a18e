#include "harness/report/campaign_event.h"

#include "harness/base/json_fields.h"
#include "harness/report/facts.h"

namespace chaosgate::report {

JSON_FIELDS(SettingLine, key, value, source)
JSON_FIELDS(StrategyTally, judged, duplicate, grouped, illegal)
JSON_FIELDS(CutCoverage, seen, cut)
JSON_FIELDS(PowerFinding, invariant, cause, profile, explanation, detail, images, after_images, promised,
            bundle, command, seed_command)
JSON_FIELDS(NotReproduced, what, outside)
JSON_FIELDS(FaultResult, fault, layer, engine, protocol, published_as, seed, found, invariant,
            kills_until_found, kills, by_power_cut, profile, profile_expected)
// The counts alone: each failing image has a line, what was wanted stands in the begin, and times in the end.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PowerTally, loads, loads_with_errors, calls, judged, in_recovery,
                                   recoveries_distinct, strategies, cuts, checks, not_reproduced, record_us,
                                   explore_us, build_us, recover_us, explain_us)

#define CHAOSGATE_EVENT_FIELDS(type, ...)                                                            \
  void to_json(nlohmann::json& nlohmann_json_j, const type& nlohmann_json_t) {                       \
    NLOHMANN_JSON_EXPAND(NLOHMANN_JSON_PASTE(NLOHMANN_JSON_TO, __VA_ARGS__))                         \
  }                                                                                                  \
  void from_json(const nlohmann::json& nlohmann_json_j, type& nlohmann_json_t){NLOHMANN_JSON_EXPAND( \
      NLOHMANN_JSON_PASTE(NLOHMANN_JSON_FROM, __VA_ARGS__))} CHECK_FIELDS(type, __VA_ARGS__);
CHAOSGATE_EVENT_FIELDS(CampaignBegin, version, libraries, seed, plan_checksum, settings, started,
                       work_directory_kind, not_tested, command)
CHAOSGATE_EVENT_FIELDS(EngineBegin, engine, version, commit_survives, flush_survives, protocols, replicas,
                       kills_wanted, steps_expected, kinds_expected, profile, images_wanted)
CHAOSGATE_EVENT_FIELDS(ImagesEvent, engine, lane, tally)
CHAOSGATE_EVENT_FIELDS(ImageEvent, engine, lane, where, first, finding)
CHAOSGATE_EVENT_FIELDS(FailingEvent, engine, lane, where, finding)
CHAOSGATE_EVENT_FIELDS(FindingEvent, engine, lane, where, after_images, violation)
CHAOSGATE_EVENT_FIELDS(GroupEvent, group, tally)
CHAOSGATE_EVENT_FIELDS(FaultEvent, number, result)
CHAOSGATE_EVENT_FIELDS(DoubtEvent, engine, reason)
CHAOSGATE_EVENT_FIELDS(EngineEnd, engine, seconds, exhausted, images_seconds, threads)
CHAOSGATE_EVENT_FIELDS(CampaignEnd, complete, harness_fault, interrupted, terminated, seconds)
#undef CHAOSGATE_EVENT_FIELDS

namespace {

// Engines' messages and keys hold any bytes.
void make_texts_valid(nlohmann::json* json) {
  if (json->is_string()) {
    *json = valid_utf8(json->get_ref<const std::string&>());
  } else if (json->is_structured()) {
    for (nlohmann::json& each : *json) {
      make_texts_valid(&each);
    }
  }
}

}  // namespace

nlohmann::json event_json(const char* type, nlohmann::json event) {
  make_texts_valid(&event);
  event["type"] = type;
  event["schema_version"] = kSchemaVersion;
  return event;
}

}  // namespace chaosgate::report
