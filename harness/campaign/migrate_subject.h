// MigrationSubject is what the gate of migrations works on: a replica whose store is migrated to another
// engine, and the judge of what comes of that.
//
// The replica comes from a load that an oracle knows; its log reaches beyond what its engine holds. A target
// is judged by putting it in the source's place in the replica and recovering: every invariant that a
// recovery after a kill has to keep, replay of the rest of the log included. One thread. Throws
// EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/campaign/image_judge.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/migrate.h"
#include "harness/campaign/migrate_gate.h"
#include "harness/campaign/stop.h"
#include "harness/tap/tap.h"

namespace chaosgate::campaign {

// The target's name in each directory that a migration happens in.
inline constexpr const char* kMigrationTarget = "target";

class MigrationSubject {
 public:
  // Makes the replica. Throws UsageError when storage calls cannot be seen here. `options` and `stop` must
  // outlive this.
  MigrationSubject(const MigrationGateOptions& options, StopSignal& stop);

  // What a whole migration takes, so that deaths can be drawn within it.
  struct Extent {
    std::uint64_t calls = 0;
    std::uint64_t writes = 0;
    std::uint64_t pieces = 0;
    std::uint64_t keys = 0;
    std::uint32_t us = 0;
  };
  // What is wrong with the source itself, found while it was made, with its data directory from before that
  // recovery in `directory`; or "". Then there is nothing to migrate.
  const std::string& broken_source(std::filesystem::path* directory) const;
  // Runs one that nothing happens to, in `directory`. Returns what is wrong with its end, or "".
  std::string measure(const std::filesystem::path& directory);
  const Extent& extent() const { return extent_; }

  // How the importer's storage calls below `directory` are seen.
  tap::TapOptions tap_options(const std::filesystem::path& directory) const;
  MigrationRun run(const std::filesystem::path& directory, const MigrationDeath& death = {},
                   tap::Tap* tap = nullptr);
  // Whether this is the end of a migration in `directory`: done, or nothing left to do. A kill behind its
  // last step leaves a target that is complete, and no record.
  static bool is_end(const MigrationRun& run, bool target_was_there);
  // Runs it to its end; what is wrong, or "". `report`: of the importer, from the first run that this took.
  std::string finish(const std::filesystem::path& directory, wire::MigrationReport* report);
  // What is wrong with the target in `directory`, which stays as it is, or "".
  std::string judge(const std::filesystem::path& directory);
  // Workers that ended in a way that nobody ordered, and not again when the same was tried; one sentence
  // each.
  const std::vector<std::string>& not_reproduced() const { return not_reproduced_; }

 private:
  void make_replica();
  // The lane could not go on. Throws when nothing was found.
  void note_broken(const Lane& lane, const report::CycleEvent& event);
  MigrationRun run_to_end(const std::filesystem::path& directory);

  const MigrationGateOptions& options_;
  StopSignal& stop_;
  LaneTarget target_;  // the replica, on the source's engine
  Migrator migrator_;
  ImageJudge judge_;
  LaneState replica_;
  std::string broken_source_;
  std::vector<std::string> keyspaces_;
  Extent extent_;
  std::vector<std::string> not_reproduced_;
};

}  // namespace chaosgate::campaign
