// What the seed decided for the migrations of a gate: how their workers die, one after the other, before they
// come to their end.
//
// How long a migration is, in storage calls, pieces and microseconds, depends on the engines; a plan says in
// which part of it a death comes, and place_in() makes that a number. Pure functions of their arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaosgate::crash {

enum class MigrationKill : std::uint8_t {
  before_call,  // of the importer
  after_call,
  inside_write,
  between_pieces,  // of the exporter, which it sends
  any_time,        // of the importer
};

// A part of a whole: this many of 2^64.
using Part = std::uint64_t;

struct MigrationKillPlan {
  MigrationKill kill = MigrationKill::before_call;
  Part where = 0;

  bool operator==(const MigrationKillPlan&) const = default;
};

// In [0, size); 0 for an empty whole.
std::uint64_t place_in(Part where, std::uint64_t size);

inline constexpr std::size_t kMigrationKillsMax = 12;  // of one migration; then it is left alone

// The deaths of one migration after the other, as many as it lives to see.
std::vector<MigrationKillPlan> plan_killed_migration(std::uint64_t seed, std::string_view from,
                                                     std::string_view to, std::uint64_t number);

// Of a migration whose storage calls are recorded, so that power cuts can be tried on them.
struct RecordedMigrationPlan {
  std::optional<Part> begun;  // it goes on from where a kill at a call of the importer left another one
  std::optional<Part> exporter_ends;  // after so many of its pieces

  bool operator==(const RecordedMigrationPlan&) const = default;
};

RecordedMigrationPlan plan_recorded_migration(std::uint64_t seed, std::string_view from, std::string_view to,
                                              std::uint64_t number);

// "before-call@8f00000000000000 any-time@..." and "begun@... exporter-ends@...", or "none".
std::string to_string(const std::vector<MigrationKillPlan>& plan);
std::string to_string(const RecordedMigrationPlan& plan);

}  // namespace chaosgate::crash
