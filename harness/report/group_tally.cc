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

namespace {

// op(&mine, other's) on each count.
template <typename Op>
void on_counts(GroupTally* mine, const GroupTally& other, const Op& op) {
  op(&mine->cycles, other.cycles);
  op(&mine->entries, other.entries);
  op(&mine->messages, other.messages);
  op(&mine->repeated, other.repeated);
  op(&mine->swapped, other.swapped);
  op(&mine->late, other.late);
  op(&mine->gaps_refused, other.gaps_refused);
  for (const auto& [name, count] : other.snapshots_installed) {
    op(&mine->snapshots_installed[name], count);
  }
  for (const auto& [name, count] : other.snapshots_damaged) {
    op(&mine->snapshots_damaged[name], count);
  }
  op(&mine->senders_killed, other.senders_killed);
  op(&mine->receivers_killed, other.receivers_killed);
  op(&mine->states_compared, other.states_compared);
}

}  // namespace

void GroupTally::add(const GroupTally& other) {
  for (const std::string& replica : other.replicas) {  // that were killed, and cut off from power
    add_once(&replicas, replica);
  }
  on_counts(this, other, [](std::uint64_t* mine, std::uint64_t count) { *mine += count; });
}

GroupTally GroupTally::counts_since(const GroupTally& before) const {
  GroupTally counts = *this;
  on_counts(&counts, before, [](std::uint64_t* mine, std::uint64_t count) { *mine -= count; });
  return counts;
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

void to_json(nlohmann::json& json, const GroupTally& tally) {
  json = {{"replicas", tally.replicas},
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

void from_json(const nlohmann::json& json, GroupTally& tally) {
  json.at("replicas").get_to(tally.replicas);
  json.at("cycles").get_to(tally.cycles);
  json.at("entries").get_to(tally.entries);
  json.at("messages").get_to(tally.messages);
  json.at("repeated").get_to(tally.repeated);
  json.at("swapped").get_to(tally.swapped);
  json.at("late").get_to(tally.late);
  json.at("gaps_refused").get_to(tally.gaps_refused);
  json.at("snapshots_installed").get_to(tally.snapshots_installed);
  json.at("snapshots_damaged").get_to(tally.snapshots_damaged);
  json.at("senders_killed").get_to(tally.senders_killed);
  json.at("receivers_killed").get_to(tally.receivers_killed);
  json.at("states_compared").get_to(tally.states_compared);
}

}  // namespace chaosgate::report
