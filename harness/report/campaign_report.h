// CampaignReport is everything that a campaign's reports are made of, and its verdict.
//
// The campaign fills it while it runs; the writers (result.json, junit.xml, summary.md, report.html, the
// terminal) only render it. Plain data; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/report/event.h"
#include "harness/report/group_tally.h"
#include "harness/report/migration_tally.h"
#include "harness/report/power_tally.h"
#include "harness/report/trials.h"

namespace chaosgate::report {

inline constexpr int kSchemaVersion = 1;  // of result.json and events.jsonl

// Exit statuses of chaosgate, as documented in README.
enum class ExitStatus : int {
  pass = 0,
  violation = 1,
  usage = 2,         // usage or configuration
  inconclusive = 3,  // nothing was found, but the campaign proves too little
  nothing_ran = 4,
  internal = 70,
  interrupted = 130,  // SIGINT
  terminated = 143,   // SIGTERM
  untestable = 125,   // replay: cannot be judged; `git bisect run` skips it
};

enum class Verdict : std::uint8_t {
  pass,
  violation,
  inconclusive,
  harness_fault,
  interrupted,
  nothing_ran,
  abnormal_death,  // no invariant is broken, but a worker died, hung or gave up by itself: a finding, too
};
// "pass", "abnormal-death", ...
std::string_view to_string(Verdict verdict);
ExitStatus exit_status(Verdict verdict);

// Percentiles over recorded values; exact.
class Distribution {
 public:
  void add(std::uint64_t value) { values_.push_back(value); }
  std::size_t count() const { return values_.size(); }
  // The smallest value that at least `percent` % of the values do not exceed; 0 without values.
  std::uint64_t percentile(double percent) const;
  std::uint64_t max() const;
  double mean() const;

  bool operator==(const Distribution&) const = default;

 private:
  std::vector<std::uint64_t> values_;
};

// What happened to one engine configuration; filled from events only, so an events.jsonl gives the same
// numbers.
struct EngineTally {
  std::string engine;
  std::string fault;  // planted fault that it ran with, or empty
  std::uint64_t cycles = 0;
  std::uint64_t kills = 0;  // confirmed, of loads and recoveries
  std::uint64_t kills_in_load = 0;
  std::uint64_t kills_in_recovery = 0;
  std::uint64_t missed = 0;    // planned crash points never reached
  std::uint64_t abnormal = 0;  // deaths nobody ordered, hangs, worker failures
  std::uint64_t outside = 0;   // ended by somebody else; the cycle was given up
  std::uint64_t entries = 0;
  std::uint64_t operations = 0;      // acknowledged
  std::uint64_t at_risk_cycles = 0;  // cycles in which acknowledged but unflushed entries were at risk
  std::uint64_t torn_tails = 0;
  std::uint64_t compared_cycles = 0;  // recovered, and compared in full without a violation
  std::uint64_t live_keys_min = 0;    // fewest keys compared in one of them
  std::uint64_t errors = 0;           // I/O errors that happened as ordered
  std::uint64_t refused = 0;          // workers that ended by themselves after one, as they may
  // Places at storage calls ("after sst.datasync/flush"): those that were seen, and how many kills landed
  // there.
  std::set<std::string> cells_seen;
  std::map<std::string, std::uint64_t> kills_by_cell;
  // Kills by kind ("timer", "step", "call", "recovery-timer", ...) and, for each step, by where they landed.
  std::map<std::string, std::uint64_t> kills_by_kind;
  std::map<std::string, std::uint64_t> kills_by_step;        // ordered step kills only, by planned step
  std::map<std::string, std::uint64_t> timer_kills_by_step;  // where timer kills landed
  std::map<std::string, std::uint64_t> checks;               // invariant -> how often it was checked
  std::map<std::string, std::uint64_t> violations;           // invariant -> how often it did not hold
  // By the kinds of kill that preceded: a cycle with a re-crash counts for both kinds.
  std::map<std::string, std::uint64_t> violations_by_kind;
  std::map<std::string, std::uint64_t> abnormal_by_kind;  // by the kind of kill that was planned
  Distribution replay_entries;
  Distribution recovery_us;  // open + replay
  Distribution cycle_us;

  // REQUIRES: all events are of one engine.
  void add(const CycleEvent& event);
  // Kills after which nothing was found bound the probability of a violation per kill, at 95 % confidence, by
  // 3 / n. 1 without kills. Says nothing once a violation was found.
  double upper_bound() const;
  std::uint64_t violation_count() const;        // of all invariants
  std::vector<std::string> zero_cells() const;  // seen, and no kill landed there
  // Classes of files whose storage calls were seen, and no kill landed at one.
  std::vector<std::string> zero_classes() const;

  bool operator==(const EngineTally&) const = default;
};

// One tally for each engine and planted fault, in order of first appearance.
std::vector<EngineTally> tally_events(const std::vector<CycleEvent>& events);

// One engine configuration of the campaign.
struct EngineSection {
  std::string engine;
  std::string version;          // of the library
  std::string commit_survives;  // the contract
  std::string flush_survives;
  std::vector<std::string> protocols;
  std::uint64_t kills_wanted = 0;
  std::vector<std::string>
      steps_expected;  // every step that could be hit; those with no kill are the zero cells
  std::vector<std::string> kinds_expected;  // the kinds of kill that were planned, as in kills_by_kind
  std::vector<std::string> inconclusive;  // why this engine's part proves too little; empty when it does not
  EngineTally tally;
  std::optional<PowerTally> power;  // power cuts, when they were asked for
  std::vector<std::pair<std::string, ViolationEvent>>
      violations;  // (where: "lane 0 cycle 17", what), first ones
  std::uint64_t violation_count = 0;
  std::vector<std::string> abnormal;  // deaths nobody ordered, one line each, first ones
  std::vector<std::string> outside;   // cycles given up because somebody else ended a worker, likewise
  double seconds = 0;

  // The count that holds whichever of the three places was filled.
  std::uint64_t violations_found() const;
  std::uint64_t abnormal_found() const;
  std::uint64_t outside_found() const;
  // Abnormal ends that did not come again, of kills and of power cuts, one line each.
  std::vector<std::string> not_reproduced() const;
  // Never harness_fault or interrupted: those are the campaign's.
  Verdict verdict() const;
  // `inconclusive`, or what follows from the numbers when the campaign gave no reason: fewer kills than
  // wanted, none at all.
  std::vector<std::string> reasons() const;
  // The expected steps at which no kill was ordered and landed: the zero cells.
  std::vector<std::string> never_hit() const;
};

// Adds a line for each death in the event that nobody ordered, up to some. `where`: "lane 0 cycle 17".
void note_ends(const std::string& where, const CycleEvent& event, EngineSection* section);

// One planted fault of a self-test, for one seed.
struct FaultResult {
  std::string fault;
  std::string layer;
  std::string engine;
  std::string protocol;
  std::string published_as;
  std::uint64_t seed = 0;
  bool found = false;
  std::string invariant;  // the first one broken
  std::uint64_t kills_until_found = 0;
  std::uint64_t kills = 0;  // tried
  // A fault that only power cuts show: then the counts are of disk images.
  bool by_power_cut = false;
  std::string profile;           // the weakest under which it was found
  std::string profile_expected;  // found under another one, it counts as not found

  bool operator==(const FaultResult&) const = default;
};

// "12 kills", "340 disk images".
std::string tries_text(const FaultResult& result);

struct SettingLine {
  std::string key;
  std::string value;
  std::string source;  // "flag", "environment", "file", "default"
};

struct CampaignReport {
  std::string version;                                         // of chaosgate
  std::vector<std::pair<std::string, std::string>> libraries;  // name, version
  std::uint64_t seed = 0;
  std::string plan_checksum;
  std::vector<SettingLine> settings;
  std::string started;  // UTC, ISO 8601
  double seconds = 0;
  std::string work_directory_kind;  // "tmpfs", "ext4", ...: what the kills ran on
  bool complete = false;
  std::vector<EngineSection> engines;
  std::optional<GroupTally> group;       // when the engines were replicas of one log
  std::vector<Conformance> conformance;  // checks of engines, without a kill
  std::vector<Damage> damage;            // at rest
  std::vector<MigrationTally> migrations;
  std::vector<FaultResult> self_test;
  std::vector<ControlResult> controls;    // of the self-test: correct configurations beside the faulty ones
  std::vector<std::string> inconclusive;  // reasons that concern the whole campaign
  std::vector<std::string> not_tested;    // what this campaign says nothing about
  std::string harness_fault;              // why it ended early, or empty
  bool interrupted = false;
  bool terminated = false;  // interrupted by SIGTERM, not SIGINT
  std::string command;      // reproduces the first failure, or repeats the campaign

  // In this order: a violation wins over everything, for it cannot be taken back; then deaths nobody ordered,
  // a fault of the harness, an interruption, nothing ran. A campaign with any reason for doubt, that missed a
  // planted fault or that is not complete never passes.
  Verdict verdict() const;
  ExitStatus exit_status() const;
  // `inconclusive`, missed planted faults, and that it is not complete. Without the engines' own reasons.
  std::vector<std::string> reasons() const;
  // Of engines and migrations, without the self-test.
  std::uint64_t kills() const;
  std::uint64_t images() const;
  std::uint64_t violations_found() const;  // of all parts
};

}  // namespace chaosgate::report
