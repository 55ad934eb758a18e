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
#include <memory>
#include <string>
#include <vector>

#include "harness/campaign/stop.h"
#include "harness/disk/profile.h"
#include "harness/report/writers.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

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
};

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
  std::vector<std::string> not_reproduced;  // MigrationSubject::not_reproduced()
  std::string harness_fault;                // why it ended early, or empty
  bool complete = false;                    // as many kills and images as were asked for
};

// Throws UsageError when the target's engine cannot be tapped. `progress` may be null.
MigrationTally run_migration_gate(const MigrationGateOptions& options, StopSignal& stop,
                                  report::Progress* progress);

}  // namespace chaosgate::campaign
