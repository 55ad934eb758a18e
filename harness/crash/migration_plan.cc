#include "harness/crash/migration_plan.h"

#include <fmt/format.h>

#include <array>

#include "harness/base/rng.h"

namespace chaosgate::crash {
namespace {

constexpr std::array kKills = {MigrationKill::before_call, MigrationKill::after_call,
                               MigrationKill::inside_write, MigrationKill::between_pieces,
                               MigrationKill::any_time};
constexpr std::array<std::string_view, kKills.size()> kNames = {"before-call", "after-call", "inside-write",
                                                                "between-pieces", "any-time"};

Rng stream_of(std::uint64_t seed, std::string_view from, std::string_view to) {
  return Rng(seed).fork("migrate").fork(from).fork(to);
}

void add(std::string_view name, Part where, std::string* text) {
  *text += fmt::format("{}{}@{:016x}", text->empty() ? "" : " ", name, where);
}

}  // namespace

std::uint64_t place_in(Part where, std::uint64_t size) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(where) * size) >> 64U);
}

std::vector<MigrationKillPlan> plan_killed_migration(std::uint64_t seed, std::string_view from,
                                                     std::string_view to, std::uint64_t number) {
  const Rng stream = stream_of(seed, from, to).fork("kills").fork(number);
  std::vector<MigrationKillPlan> plan;
  for (std::size_t i = 0; i < kMigrationKillsMax; ++i) {
    Rng draws = stream.fork(i);
    const MigrationKill kill = kKills.at(draws.below(kKills.size()));
    plan.push_back({kill, draws.next()});
  }
  return plan;
}

RecordedMigrationPlan plan_recorded_migration(std::uint64_t seed, std::string_view from, std::string_view to,
                                              std::uint64_t number) {
  const Rng stream = stream_of(seed, from, to).fork("traces").fork(number);
  RecordedMigrationPlan plan;
  if (number % 2 == 1) {
    Rng begun = stream.fork("begun");
    plan.begun = begun.next();
  }
  if (Rng end = stream.fork("exporter"); end.chance(1, 3)) {
    plan.exporter_ends = end.next();
  }
  return plan;
}

std::string to_string(const std::vector<MigrationKillPlan>& plan) {
  std::string text;
  for (const MigrationKillPlan& each : plan) {
    add(kNames.at(static_cast<std::size_t>(each.kill)), each.where, &text);
  }
  return text.empty() ? "none" : text;
}

std::string to_string(const RecordedMigrationPlan& plan) {
  std::string text;
  if (plan.begun) {
    add("begun", *plan.begun, &text);
  }
  if (plan.exporter_ends) {
    add("exporter-ends", *plan.exporter_ends, &text);
  }
  return text.empty() ? "none" : text;
}

}  // namespace chaosgate::crash
