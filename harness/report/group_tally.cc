#include "harness/report/group_tally.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/report/event.h"

namespace chaosgate::report {
namespace {

std::uint64_t sum(const std::map<std::string, std::uint64_t>& counts) {
  std::uint64_t all = 0;
  for (const auto& [name, count] : counts) {
    all += count;
  }
  return all;
}

std::string counts_text(const std::map<std::string, std::uint64_t>& counts) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) {
    parts.push_back(fmt::format("{} {}", name, count));
  }
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

void GroupTally::add(const GroupTally& other) {
  for (const std::string& replica : other.replicas) {  // that were killed, and cut off from power
    add_once(&replicas, replica);
  }
  cycles += other.cycles;
  entries += other.entries;
  messages += other.messages;
  repeated += other.repeated;
  swapped += other.swapped;
  late += other.late;
  gaps_refused += other.gaps_refused;
  for (const auto& [name, count] : other.snapshots_installed) {
    snapshots_installed[name] += count;
  }
  for (const auto& [name, count] : other.snapshots_damaged) {
    snapshots_damaged[name] += count;
  }
  senders_killed += other.senders_killed;
  receivers_killed += other.receivers_killed;
  states_compared += other.states_compared;
}

std::uint64_t GroupTally::installed() const { return sum(snapshots_installed); }
std::uint64_t GroupTally::damaged() const { return sum(snapshots_damaged); }

std::vector<std::pair<std::string, std::string>> group_facts(const GroupTally& tally) {
  return {{"replicas", fmt::format("{}", fmt::join(tally.replicas, ", "))},
          {"one log", fmt::format("{} entries in {} cycles, {} messages; {} came twice, {} out of order, {} "
                                  "late, {} refused for a gap",
                                  tally.entries, tally.cycles, tally.messages, tally.repeated, tally.swapped,
                                  tally.late, tally.gaps_refused)},
          {"snapshots",
           fmt::format("{} installed: {}", tally.installed(), counts_text(tally.snapshots_installed))},
          {"damaged", fmt::format("{} snapshots, all refused: {}", tally.damaged(),
                                  counts_text(tally.snapshots_damaged))},
          {"killed", fmt::format("{} times while one was sent, {} times while one was installed",
                                 tally.senders_killed, tally.receivers_killed)},
          {"compared", fmt::format("{} states at the same index, with the oracle and with each other",
                                   tally.states_compared)}};
}

nlohmann::json to_json(const GroupTally& tally) {
  return {{"replicas", tally.replicas},
          {"cycles", tally.cycles},
          {"entries", tally.entries},
          {"messages", tally.messages},
          {"repeated", tally.repeated},
          {"swapped", tally.swapped},
          {"late", tally.late},
          {"gaps_refused", tally.gaps_refused},
          {"snapshots_installed", tally.snapshots_installed},
          {"snapshots_damaged", tally.snapshots_damaged},
          {"senders_killed", tally.senders_killed},
          {"receivers_killed", tally.receivers_killed},
          {"states_compared", tally.states_compared}};
}

}  // namespace chaosgate::report
