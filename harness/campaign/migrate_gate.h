// MigrationGate kills migrations and cuts their power, and judges what they end with.
//
// A load makes a source: a replica's data directory with a log that reaches beyond what the engine holds. Its
// store is migrated to the other engine again and again while workers die:
//   kills    the importer before, after and inside storage calls or at any time, the exporter between two
//            pieces of its stream; then the migration goes on until it is done
//   images   what a power cut may leave of an importer's storage calls; from each the migration goes on
// The target then takes the place of the source in the replica, and a recovery is judged by the oracle as
// after any crash (state before replay, replay of the rest of the log, state after). A finding is a migration
// that does not come to its end, or a target with something else in it; a target that can be opened before
// that is judged alike.
//
// But for kills at any time, the same options give the same deaths and images. One thread. Throws
// EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "harness/campaign/stop.h"
#include "harness/disk/profile.h"
#include "harness/report/migration_tally.h"
#include "harness/report/writers.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

// Of the storage calls of one migration, at most.
inline constexpr std::uint64_t kImagesPerTrace = 300;

struct MigrationGateOptions {
  wire::EngineDescription from;
  wire::EngineDescription to;
  std::uint64_t seed = 0;
  std::string workload = "small";
  std::uint64_t kills = 1000;
  std::uint64_t images = 1000;
  disk::Profile profile = disk::named_profile("strict");
  std::string fault;                // planted in the importer, or empty
  std::uint32_t findings_max = 3;   // it ends after so many
  std::filesystem::path worker;     // program
  std::filesystem::path directory;  // to work in; must exist
  std::filesystem::path failures;   // where the directories of findings are kept; made when there is one
  std::uint32_t hang_ms = 60'000;
  // Called when something was found, now and then, and at the end, with all that was counted and found until
  // then. May be null.
  std::function<void(const report::MigrationTally&)> on_change;
};

// Throws UsageError when the target's engine cannot be tapped. `progress` may be null.
report::MigrationTally run_migration_gate(const MigrationGateOptions& options, StopSignal& stop,
                                          report::Progress* progress);

}  // namespace chaosgate::campaign
