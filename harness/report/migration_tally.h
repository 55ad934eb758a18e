// MigrationTally is what became of migrations between two engines that were killed and cut off from power;
// see harness/campaign/migrate_gate.h. Plain data; not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/json.h"

namespace chaosgate::report {

struct MigrationFinding {
  std::string death;    // "kill" or "power cut"
  std::string how;      // the deaths in order, or the image
  std::string detail;   // what was found; may have several lines
  std::string profile;  // power cut: the weakest that allows the image
  std::string kept;     // the directory, with the unfinished target in it as it was before the last run
};

struct MigrationTally {
  std::string from;
  std::string to;
  std::uint64_t kills = 0;  // confirmed
  std::uint64_t kills_at_calls = 0;
  std::uint64_t kills_at_any_time = 0;
  std::uint64_t kills_of_exporter = 0;
  std::uint64_t migrations = 0;  // under kills, judged
  std::uint64_t resumed = 0;     // runs that found keys in the target
  // After power cuts, runs whose unfinished target did not open. What an engine owes after one is for
  // 'chaosgate run' to judge; a migration owes the source's content in the end. After kills, it is a finding.
  std::uint64_t begun_anew = 0;
  std::uint64_t images = 0;  // judged
  std::uint64_t images_with_target = 0;
  std::uint64_t traces = 0;
  std::uint64_t calls = 0;  // storage calls in the traces
  std::uint64_t keys = 0;   // in the source
  std::vector<MigrationFinding> findings;
  std::vector<std::string> not_reproduced;  // ends of workers that did not come again, one sentence each
  std::string harness_fault;                // why it ended early, or empty
  bool complete = false;                    // as many kills and images as were asked for

  // Why it proves too little; empty when it does not.
  std::vector<std::string> doubts() const;
  // `counts`: counts_since() of an earlier state.
  void add(const MigrationTally& counts);
  // What was counted and found since the tally was `before`.
  MigrationTally counts_since(const MigrationTally& before) const;
};

// A few lines for people.
std::string migration_text(const MigrationTally& tally);
void to_json(nlohmann::json& json, const MigrationTally& tally);
void from_json(const nlohmann::json& json, MigrationTally& tally);

}  // namespace chaosgate::report
