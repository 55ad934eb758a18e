// Damage at rest: a bit flipped, or a sector lost, in a file of the engine's, in a data directory that was
// closed cleanly. Then a recovery, judged as after a crash: the damage must be detected (an error, or the
// engine's own integrity check) or harmless (it hit bytes that nothing depends on), never silently wrong, if
// the engine's contract claims checksums.
//
// Only the engine's files are damaged: the log is ours, and its own tests damage it.
//
// What fails before anything is damaged, the making of a data directory or a recovery after a kill, is a
// finding, too, and a broken promise whatever the contract says of checksums; it ends the run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "harness/campaign/bundle.h"
#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/damage_tally.h"

namespace chaosgate::campaign {

struct DamageOptions : LaneTarget {
  std::uint64_t damages = 100;
  std::filesystem::path directory;  // must not exist; removed at the end
  // Called when something was found, now and then, and at the end, with all that was counted and found until
  // then. May be null.
  std::function<void(const report::DamageTally&)> on_change;
};

// Called for the first damage of each finding; may set bundle and command. The image is good until it
// returns.
using OnDamage =
    std::function<void(const Bundle& bundle, const std::filesystem::path& image, report::DamageFinding*)>;

// On one thread. Ends early when asked to stop. Throws UsageError like Lane; a fault of the machine ends it,
// and is said beside what was found by then.
report::DamageTally run_damage(const DamageOptions& options, StopSignal& stop, const OnDamage& on_finding);

}  // namespace chaosgate::campaign
