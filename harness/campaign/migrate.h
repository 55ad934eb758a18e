// Migrator moves the content of one store into another: it starts the two workers of a migration, joins them,
// and waits until they are done, die, or are told to stop.
//
// What happens in them, and how an interrupted migration goes on, is harness/migrate. The driver only carries
// orders and reports: it opens no store and reads no record.
//
// Threading: one thread for the object's whole life (see WorkerParent). Throws EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/campaign/stop.h"
#include "harness/campaign/worker_parent.h"
#include "harness/report/writers.h"
#include "harness/tap/tap.h"
#include "harness/wire/migration.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

// An engine as a worker's order names it.
struct EngineChoice {
  std::string plugin;  // path; empty: built in
  std::string name;
};

struct MigrationRequest {
  std::filesystem::path source;  // an engine's directory
  std::filesystem::path target;
  std::filesystem::path scratch;  // MigrationReport::scratch: removed after each run, when given
  EngineChoice from;
  EngineChoice to;
  std::vector<std::string> keyspaces;
  bool dry_run = false;
  bool stock_tuning = true;
  // For small sources that are to take many steps; 0: the defaults.
  std::uint64_t batch_bytes = 0;
  std::uint64_t flush_bytes = 0;
  std::uint64_t chunk_bytes = 0;
  std::string fault;  // planted, or empty
};

// How a run is to die before it is done; the default is not at all.
struct MigrationDeath {
  std::uint64_t exporter_after_pieces = 0;   // of the stream; 0: no
  std::optional<std::uint32_t> importer_us;  // after it was started
  std::vector<tap::StorageFault> importer_faults;
};

struct MigrationRun {
  wire::MigrationReport exporter;
  wire::MigrationReport importer;
  bool killed = false;   // one of them died as ordered
  bool stopped = false;  // by a signal
  std::string abnormal;  // a death that nobody ordered, or a hang; else empty
  bool outside = false;  // that was somebody else's doing (report::Outcome::outside)

  bool done() const { return importer.outcome == wire::MigrationOutcome::done; }
  // What came of it, of both sides together.
  wire::MigrationOutcome outcome() const;
  std::string message() const;
};

class Migrator {
 public:
  // What workers print goes to files in `directory`, which exists. `stop` and `progress` may be null.
  // `hang_ms`: without a key read or written for so long, a run hangs.
  Migrator(const std::filesystem::path& worker, const std::filesystem::path& directory, std::uint32_t hang_ms,
           StopSignal* stop, report::Progress* progress = nullptr);

  // Looks at both places. `keyspaces`: instead of the marker's.
  wire::MigrationReport inspect(const std::filesystem::path& source, const std::filesystem::path& target,
                                const std::vector<std::string>& keyspaces);
  // Runs it to its end. The importer's storage calls go through `tap`, when there is one. Throws UsageError
  // when the tap had to end it because it cannot see what it does.
  MigrationRun run(const MigrationRequest& request, const MigrationDeath& death = {},
                   tap::Tap* tap = nullptr);

 private:
  class Waiting;

  void start(const MigrationRequest& request, const MigrationDeath& death, tap::Tap* tap);
  void collect(const MigrationDeath& death, MigrationRun* run);
  void show_progress() const;

  WorkerParent exporter_;
  WorkerParent importer_;
  std::uint32_t hang_ms_;
  StopSignal* stop_;
  report::Progress* progress_;
};

}  // namespace chaosgate::campaign
