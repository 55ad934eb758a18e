#include "harness/report/event.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/report/campaign_report.h"
#include "harness/report/facts.h"

namespace chaosgate::report {

namespace {

Outcome parse_outcome(const nlohmann::json& text) {
  const auto outcome = text.get<Outcome>();
  if (nlohmann::json(outcome) != text) {  // the library maps unknown names to the first one, a kill
    throw UsageError("unknown outcome " +
                     text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  return outcome;
}

}  // namespace

void add_once(std::vector<std::string>* list, std::string_view name) {
  if (std::find(list->begin(), list->end(), name) == list->end()) {
    list->emplace_back(name);
  }
}

void to_json(nlohmann::json& json, const Death& death) {
  json = {{"kind", death.kind},
          {"planned", death.planned},
          {"cell", death.cell},
          {"error", death.error},
          {"errors", death.errors},
          {"outcome", death.outcome},
          {"detail", valid_utf8(death.detail)},
          {"phase", death.phase},
          {"step", death.step},
          {"occurrence", death.occurrence},
          {"term", death.term},
          {"appended", death.appended},
          {"synced", death.synced},
          {"applied", death.applied},
          {"flushed", death.flushed},
          {"durable", death.durable},
          {"witness", death.witness},
          {"entries", death.entries},
          {"operations", death.operations}};
}

void from_json(const nlohmann::json& json, Death& death) {
  json.at("kind").get_to(death.kind);
  json.at("planned").get_to(death.planned);
  json.at("cell").get_to(death.cell);
  json.at("error").get_to(death.error);
  json.at("errors").get_to(death.errors);
  death.outcome = parse_outcome(json.at("outcome"));
  json.at("detail").get_to(death.detail);
  json.at("phase").get_to(death.phase);
  json.at("step").get_to(death.step);
  json.at("occurrence").get_to(death.occurrence);
  json.at("term").get_to(death.term);
  json.at("appended").get_to(death.appended);
  json.at("synced").get_to(death.synced);
  json.at("applied").get_to(death.applied);
  json.at("flushed").get_to(death.flushed);
  json.at("durable").get_to(death.durable);
  json.at("witness").get_to(death.witness);
  json.at("entries").get_to(death.entries);
  json.at("operations").get_to(death.operations);
}

void to_json(nlohmann::json& json, const ViolationEvent& violation) {
  json = {{"invariant", violation.invariant},         {"explanation", valid_utf8(violation.explanation)},
          {"detail", valid_utf8(violation.detail)},   {"bundle", valid_utf8(violation.bundle)},
          {"command", valid_utf8(violation.command)}, {"seed_command", valid_utf8(violation.seed_command)}};
}

void from_json(const nlohmann::json& json, ViolationEvent& violation) {
  json.at("invariant").get_to(violation.invariant);
  json.at("explanation").get_to(violation.explanation);
  json.at("detail").get_to(violation.detail);
  json.at("bundle").get_to(violation.bundle);
  json.at("command").get_to(violation.command);
  violation.seed_command = json.value("seed_command", "");  // older files have none
}

void to_json(nlohmann::json& json, const Timings& timings) {
  json = {{"start", timings.start},
          {"open", timings.open},
          {"dump_before", timings.dump_before},
          {"replay", timings.replay},
          {"dump_after", timings.dump_after},
          {"checks", timings.checks},
          {"compare", timings.compare},
          {"load", timings.load},
          {"kill", timings.kill},
          {"mirror", timings.mirror},
          {"total", timings.total}};
}

void from_json(const nlohmann::json& json, Timings& timings) {
  json.at("start").get_to(timings.start);
  json.at("open").get_to(timings.open);
  json.at("dump_before").get_to(timings.dump_before);
  json.at("replay").get_to(timings.replay);
  json.at("dump_after").get_to(timings.dump_after);
  json.at("checks").get_to(timings.checks);
  json.at("compare").get_to(timings.compare);
  json.at("load").get_to(timings.load);
  json.at("kill").get_to(timings.kill);
  json.at("mirror").get_to(timings.mirror);
  json.at("total").get_to(timings.total);
}

void to_json(nlohmann::json& json, const CycleEvent& event) {
  json = {{"schema_version", kSchemaVersion},
          {"engine", event.engine},
          {"protocol", event.protocol},
          {"workload", event.workload},
          {"fault", event.fault},
          {"lane", event.lane},
          {"cycle", event.cycle},
          {"plan", event.plan},
          {"maintenance", event.maintenance},
          {"cells", event.cells},
          {"crash", event.crash},
          {"recrashes", event.recrashes},
          {"recovered", event.recovered},
          {"last_index", event.last_index},
          {"torn_bytes", event.torn_bytes},
          {"cut_entries", event.cut_entries},
          {"at_risk", event.at_risk},
          {"replay_entries", event.replay_entries},
          {"live_keys", event.live_keys},
          {"checked", event.checked},
          {"violations", event.violations},
          {"command", valid_utf8(event.command)},
          {"timings_us", event.timings}};
}

void from_json(const nlohmann::json& json, CycleEvent& event) {
  json.at("engine").get_to(event.engine);
  json.at("protocol").get_to(event.protocol);
  json.at("workload").get_to(event.workload);
  json.at("fault").get_to(event.fault);
  json.at("lane").get_to(event.lane);
  json.at("cycle").get_to(event.cycle);
  json.at("plan").get_to(event.plan);
  json.at("maintenance").get_to(event.maintenance);
  json.at("cells").get_to(event.cells);
  json.at("crash").get_to(event.crash);
  json.at("recrashes").get_to(event.recrashes);
  json.at("recovered").get_to(event.recovered);
  json.at("last_index").get_to(event.last_index);
  json.at("torn_bytes").get_to(event.torn_bytes);
  json.at("cut_entries").get_to(event.cut_entries);
  json.at("at_risk").get_to(event.at_risk);
  json.at("replay_entries").get_to(event.replay_entries);
  json.at("live_keys").get_to(event.live_keys);
  json.at("checked").get_to(event.checked);
  json.at("violations").get_to(event.violations);
  event.command = json.value("command", "");  // bundles of earlier versions have none
  json.at("timings_us").get_to(event.timings);
}

bool is_kill(const Death& death) { return !death.kind.empty() && death.outcome == Outcome::killed; }

std::uint64_t CycleEvent::kills() const {
  return (is_kill(crash) ? 1 : 0) +
         static_cast<std::uint64_t>(std::count_if(recrashes.begin(), recrashes.end(), is_kill));
}

bool CycleEvent::ended_from_outside() const {
  return crash.outcome == Outcome::outside ||
         std::any_of(recrashes.begin(), recrashes.end(),
                     [](const Death& death) { return death.outcome == Outcome::outside; });
}

std::vector<Death*> CycleEvent::deaths() {
  std::vector<Death*> all = {&crash};
  for (Death& death : recrashes) {
    all.push_back(&death);
  }
  return all;
}

bool is_abnormal(Outcome outcome) {
  return outcome == Outcome::died || outcome == Outcome::hung || outcome == Outcome::failed;
}

std::string injected_errors(const CycleEvent& event) {
  std::string text;
  const auto add = [&](const char* where, const Death& death) {
    if (death.errors > 0 && !death.error.empty()) {
      text += fmt::format("{}{} in the {}, at {}", text.empty() ? "" : "; ", death.error, where,
                          plural(death.errors, "call"));
    }
  };
  add("load", event.crash);
  for (const Death& death : event.recrashes) {
    add("recovery", death);
  }
  return text;
}

std::string position(const Death& death) {
  return fmt::format("{} {}at {}#{} in phase {}: term {} appended {} synced {} applied {} flushed {}",
                     nlohmann::json(death.outcome).get<std::string>(),
                     death.cell.empty() ? "" : death.cell + ", ", death.step.empty() ? "no step" : death.step,
                     death.occurrence, death.phase, death.term, death.appended, death.synced, death.applied,
                     death.flushed);
}

}  // namespace chaosgate::report
