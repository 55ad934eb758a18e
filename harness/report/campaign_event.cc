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

JSON_FIELDS_DECLARED(CampaignBegin, version, libraries, seed, plan_checksum, settings, started,
                     work_directory_kind, not_tested, command)
JSON_FIELDS_DECLARED(EngineBegin, engine, version, commit_survives, flush_survives, protocols, replicas,
                     kills_wanted, steps_expected, kinds_expected, profile, images_wanted)
JSON_FIELDS_DECLARED(ImagesEvent, engine, lane, tally)
JSON_FIELDS_DECLARED(ImageEvent, engine, lane, where, first, finding)
JSON_FIELDS_DECLARED(FailingEvent, engine, lane, where, finding)
JSON_FIELDS_DECLARED(FindingEvent, engine, lane, where, after_images, violation)
JSON_FIELDS_DECLARED(GroupEvent, group, tally)
JSON_FIELDS_DECLARED(MigrationEvent, number, tally)
JSON_FIELDS_DECLARED(CheckEvent, engine, result)
JSON_FIELDS_DECLARED(DamageEvent, engine, lane, wanted, promised, tally)
JSON_FIELDS_DECLARED(ControlEvent, number, result)
JSON_FIELDS_DECLARED(FaultEvent, number, result)
JSON_FIELDS_DECLARED(DoubtEvent, engine, reason)
JSON_FIELDS_DECLARED(EngineEnd, engine, seconds, exhausted, images_seconds, threads)
JSON_FIELDS_DECLARED(CampaignEnd, complete, harness_fault, interrupted, terminated, seconds)

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
