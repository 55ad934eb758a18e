// DamageTally counts what damaged files led to; see harness/campaign/damage.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace chaosgate::report {

struct DamageCounts {
  std::uint64_t harmless = 0;
  std::uint64_t detected = 0;  // an error, or the integrity check
  std::uint64_t died = 0;      // the engine's process ended by itself: loud, but no answer
  std::uint64_t silent = 0;    // something wrong was given out

  bool operator==(const DamageCounts&) const = default;
};

// What failed in the same way.
struct DamageFinding {
  std::string file_class;
  bool silent = false;      // or the process died
  bool undamaged = false;   // it happened before anything was damaged
  std::string invariant;    // the first one broken, or "abnormal death"
  std::string damage;       // of the first: "bit 3 of byte 4711 of engine/data.mdb flipped"
  std::string explanation;  // of the first
  std::uint64_t count = 0;
  std::string bundle;   // relative to the certificate, or empty
  std::string command;  // that shows it again

  bool operator==(const DamageFinding&) const = default;
};

struct DamageTally {
  std::map<std::string, DamageCounts> by_class;  // of files
  std::vector<DamageFinding> findings;
  // Workers that ended in a way that nobody ordered, and not again; one sentence each.
  std::vector<std::string> not_reproduced;
  std::string harness_fault;  // why it ended early, or empty

  std::uint64_t judged() const;
  DamageCounts total() const;
  // Counts it with those of the same class and invariant. The finding that it was put to.
  DamageFinding& add(const DamageFinding& finding);
  void add(const DamageTally& other);
  // What was counted and found since the tally was `before`.
  DamageTally counts_since(const DamageTally& before) const;

  bool operator==(const DamageTally&) const = default;
};

}  // namespace chaosgate::report
