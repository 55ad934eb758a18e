// What a campaign may consist of besides cycles and disk images of engines: conformance checks, damage at
// rest, and correct configurations that a self-test runs beside the faulty ones. Plain data; not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/report/damage_tally.h"

namespace chaosgate::report {

// One check of the conformance suite.
struct ConformResult {
  std::string check;
  std::string outcome;  // "passed", "failed", "died", "hung"
  std::string detail;   // why not; may have several lines
  std::string note;     // of one that passed: what is worth knowing and breaks no promise; one line each
  std::uint64_t ms = 0;

  bool passed() const { return outcome == "passed"; }
};

struct Conformance {
  std::string engine;
  std::vector<ConformResult> checks;

  std::uint64_t violations() const;  // checks that were not passed
};

struct Damage {
  std::string engine;
  std::uint64_t wanted = 0;
  bool promised = false;  // the engine claims checksums: what is silently wrong is a violation
  DamageTally tally;

  // What happens without any damage is a violation, too.
  bool breaks_promise(const DamageFinding& finding) const;
  std::uint64_t violations() const;  // each damaged file counts
  // Why it proves too little; empty when it does not.
  std::vector<std::string> doubts() const;
};

// A correct configuration under the eyes of the self-test.
struct ControlResult {
  std::string engine;
  std::string protocol;
  std::uint64_t seed = 0;
  std::uint64_t kills = 0;
  std::vector<std::string> findings;  // must stay empty
};

void to_json(nlohmann::json& json, const ConformResult& result);
void from_json(const nlohmann::json& json, ConformResult& result);
void to_json(nlohmann::json& json, const Conformance& conformance);
void from_json(const nlohmann::json& json, Conformance& conformance);
void to_json(nlohmann::json& json, const DamageTally& tally);
void from_json(const nlohmann::json& json, DamageTally& tally);
void to_json(nlohmann::json& json, const Damage& damage);
void from_json(const nlohmann::json& json, Damage& damage);
void to_json(nlohmann::json& json, const ControlResult& result);
void from_json(const nlohmann::json& json, ControlResult& result);

}  // namespace chaosgate::report
