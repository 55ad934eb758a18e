// result.json. Counts are numbers, seeds are hexadecimal text (a 64-bit integer is more than a JSON reader
// must keep exact), times carry their unit in the key, and what does not apply is null.

#include "harness/base/json.h"
#include "harness/report/facts.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

using Json = nlohmann::ordered_json;

Json texts(const std::vector<std::string>& lines) {
  Json array = Json::array();
  for (const std::string& line : lines) {
    array.push_back(valid_utf8(line));
  }
  return array;
}

Json percentiles(const Distribution& values) {
  return {{"count", values.count()},
          {"mean", values.mean()},
          {"p50", values.percentile(50)},
          {"p99", values.percentile(99)},
          {"max", values.max()}};
}

Json kills(const EngineSection& section) {
  const EngineTally& tally = section.tally;
  Json by_kind = Json::object();
  for (const std::string_view kind : kCrashKinds) {
    by_kind[std::string(kind)] = count_of(tally.kills_by_kind, kind);
  }
  for (const auto& [kind, count] : tally.kills_by_kind) {
    by_kind[kind] = count;
  }
  Json by_step = Json::object();
  Json timer_by_step = Json::object();
  for (const StepRow& row : step_rows(section)) {
    if (row.expected || row.ordered > 0) {
      by_step[row.step] = row.ordered;
    }
    timer_by_step[row.step] = row.timer;
  }
  return {{"wanted", section.kills_wanted},
          {"confirmed", tally.kills},
          {"in_load", tally.kills_in_load},
          {"in_recovery", tally.kills_in_recovery},
          {"by_kind", by_kind},
          {"ordered_by_step", by_step},
          {"timer_by_last_step", timer_by_step},
          {"never_hit", texts(section.never_hit())},
          {"by_cell", tally.kills_by_cell},
          {"cells_seen", tally.cells_seen.size()},
          {"cells_never_hit", texts(tally.zero_cells())},
          {"io_errors", tally.errors},
          {"refused_after_error", tally.refused},
          {"missed_crash_points", tally.missed}};
}

Json violations(const EngineSection& section) {
  Json first = Json::array();
  for (const auto& [where, violation] : section.violations) {
    first.push_back({{"where", valid_utf8(where)},
                     {"invariant", violation.invariant},
                     {"explanation", valid_utf8(violation.explanation)},
                     {"detail", valid_utf8(violation.detail)},
                     {"bundle", valid_utf8(violation.bundle)},
                     {"command", valid_utf8(violation.command)},
                     {"seed_command", valid_utf8(violation.seed_command)}});
  }
  return {{"count", section.violations_found()},
          {"by_invariant", section.tally.violations},
          {"by_crash_kind", section.tally.violations_by_kind},
          {"first", first}};
}

Json power(const PowerTally& power) {
  Json strategies = Json::object();
  for (const auto& [name, tally] : power.strategies) {
    strategies[name] = {{"judged", tally.judged},
                        {"skipped_as_the_same_image", tally.duplicate},
                        {"skipped_as_much_like_others", tally.grouped},
                        {"skipped_as_not_legal", tally.illegal}};
  }
  Json cuts = Json::object();
  for (const auto& [kind, coverage] : power.cuts) {
    cuts[kind] = {{"seen", coverage.seen}, {"cut_behind", coverage.cut}};
  }
  Json findings = Json::array();
  for (const PowerFinding& finding : power.findings) {
    findings.push_back({{"invariant", finding.invariant},
                        {"cause", valid_utf8(finding.cause)},
                        {"weakest_profile", finding.profile},
                        {"explanation", valid_utf8(finding.explanation)},
                        {"detail", valid_utf8(finding.detail)},
                        {"images", finding.images},
                        {"found_after_images", finding.after_images},
                        {"promised", finding.promised},
                        {"bundle", valid_utf8(finding.bundle)},
                        {"command", valid_utf8(finding.command)}});
  }
  return {{"profile", power.profile},
          {"images_wanted", power.wanted},
          {"images_judged", power.judged},
          {"images_exhausted", power.exhausted},
          {"images_in_recovery", power.in_recovery},
          {"images_failed", power.failed},
          {"failed_by_weakest_profile", power.failed_by_profile},
          {"recoveries_distinct", power.recoveries_distinct},
          {"loads", power.loads},
          {"loads_with_errors", power.loads_with_errors},
          {"storage_calls", power.calls},
          {"strategies", strategies},
          {"cuts", cuts},
          {"checks", power.checks},
          {"findings", findings},
          {"images_per_second_and_core", power.images_per_second_and_core()},
          {"seconds", power.seconds},
          {"threads", power.threads},
          {"record_us", power.record_us},
          {"explore_us", power.explore_us},
          {"build_us", power.build_us},
          {"recover_us", power.recover_us},
          {"explain_us", power.explain_us}};
}

Json engine(const EngineSection& section) {
  const EngineTally& tally = section.tally;
  const bool bounded = section.violations_found() == 0 && tally.kills > 0;
  Json json = {{"engine", section.engine},
               {"planted_fault", tally.fault.empty() ? Json() : Json(tally.fault)},
               {"version", valid_utf8(section.version)},
               {"contract",
                {{"commit_survives", section.commit_survives}, {"flush_survives", section.flush_survives}}},
               {"protocols", texts(section.protocols)},
               {"verdict", to_string(section.verdict())},
               {"inconclusive", texts(section.reasons())},
               {"seconds", section.seconds},
               {"cycles", tally.cycles},
               {"kills", kills(section)},
               {"violations", violations(section)}};
  json["abnormal_deaths"] = {{"count", section.abnormal_found()}, {"first", texts(section.abnormal)}};
  json["not_reproduced"] = {{"from_outside", section.outside_found()},
                            {"first", texts(section.not_reproduced())}};
  json["violation_per_kill_upper_bound_95"] = bounded ? Json(tally.upper_bound()) : Json();
  json["entries"] = tally.entries;
  json["operations_acknowledged"] = tally.operations;
  json["at_risk_cycles"] = tally.at_risk_cycles;
  json["torn_tails"] = tally.torn_tails;
  json["compared_cycles"] = tally.compared_cycles;
  json["live_keys_min"] = tally.live_keys_min;
  json["checks"] = tally.checks;
  json["replay_entries"] = percentiles(tally.replay_entries);
  json["recovery_us"] = percentiles(tally.recovery_us);
  json["cycle_us"] = percentiles(tally.cycle_us);
  json["power_cuts"] = section.power ? power(*section.power) : Json();
  return json;
}

Json fault(const FaultResult& result) {
  return {{"fault", result.fault},
          {"layer", result.layer},
          {"engine", result.engine},
          {"protocol", result.protocol},
          {"published_as", valid_utf8(result.published_as)},
          {"seed", seed_text(result.seed)},
          {"found", result.found},
          {"invariant", result.found ? Json(result.invariant) : Json()},
          {"kills_until_found", result.found ? Json(result.kills_until_found) : Json()},
          {"kills", result.kills},
          {"by_power_cut", result.by_power_cut},
          {"weakest_profile", result.profile.empty() ? Json() : Json(result.profile)}};
}

}  // namespace

std::string render_json(const CampaignReport& report) {
  Json json = {
      {"schema_version", kSchemaVersion},
      {"complete", report.complete},
      {"verdict", to_string(report.verdict())},
      {"exit_status", static_cast<int>(report.exit_status())},
      {"summary", verdict_sentence(report)},
      {"chaosgate", report.version},
      {"seed", report.version.empty() ? Json() : Json(seed_text(report.seed))},
      {"plan_checksum", report.plan_checksum},
      {"started", report.started},
      {"seconds", report.seconds},
      {"work_directory_kind", report.work_directory_kind},
      {"command", valid_utf8(report.command)},
      {"harness_fault", report.harness_fault.empty() ? Json() : Json(valid_utf8(report.harness_fault))},
      {"interrupted", report.interrupted}};
  Json libraries = Json::object();
  for (const auto& [name, version] : report.libraries) {
    libraries[name] = valid_utf8(version);
  }
  json["libraries"] = libraries;
  json["settings"] = Json::array();
  for (const SettingLine& line : report.settings) {
    json["settings"].push_back(
        {{"key", line.key}, {"value", valid_utf8(line.value)}, {"source", line.source}});
  }
  json["engines"] = Json::array();
  for (const EngineSection& section : report.engines) {
    json["engines"].push_back(engine(section));
  }
  if (report.group) {
    json["group"] = nlohmann::json(*report.group);
  }
  const auto add = [&json](const char* key, const auto& list) {
    if (!list.empty()) {
      json[key] = nlohmann::json(list);
    }
  };
  add("conformance", report.conformance);
  add("damage", report.damage);
  add("migrations", report.migrations);
  add("controls", report.controls);
  json["self_test"] = Json::array();
  for (const FaultResult& result : report.self_test) {
    json["self_test"].push_back(fault(result));
  }
  json["inconclusive"] = texts(report.reasons());
  json["not_tested"] = texts(report.not_tested);
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace chaosgate::report
