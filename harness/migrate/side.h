// The two sides of a migration, each in a worker of its own: the exporter reads the source, the importer
// fills the target. See places.h for what stands where, progress_record.h for how it is resumed.
//
//   exporter                                importer
//   holds and opens the source, reads it
//   once: its survey                   -->  checks the target, reads its progress record
//                                      <--  where to begin, or that nothing is wanted
//   the key-value stream from there    -->  batches into the store; every flush_bytes a flush, then the
//   record makes sure nothing changed, ends the stream                         -->  flushes, closes, opens,
//   reads all again: its survey must be the
//                                           source's. Then marker and name.
//
// A death of either side, at any moment, leaves the work directory; the next run goes on from the last
// record. Records are put again where the store holds more than its record says: they are the same, since the
// source is. A source or an engine that is not the record's is refused.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "harness/migrate/pipe.h"
#include "harness/migrate/survey.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/migration.h"

namespace chaosgate::migrate {

inline constexpr std::uint64_t kBatchBytes = 1 << 20;
inline constexpr std::uint64_t kFlushBytes = 64 << 20;

// Deliberately broken importers, chosen by name in the worker order's `fault`.
struct ImportFaults {
  bool record_written = false;  // the record says what was written, not what is durable
  bool thrown_away = false;     // what a killed importer left is not used
  bool unverified = false;      // the finished target is not read again
  bool unsynced = false;  // nothing more than `config` itself does is synced before the target has its name
};

struct ImportFaultInfo {
  std::string name;
  std::string mechanism;
  ImportFaults faults;
  std::string from;  // engines between which it shows
  std::string to;
  std::string power_profile;  // the weakest that shows it; empty: kills show it
};

const std::vector<ImportFaultInfo>& import_faults();
// Throws UsageError for an unknown name; an empty one is no fault.
ImportFaults find_import_faults(const std::string& name);

// The configuration that fills a store of `config` so that a power cut on the way does not cost it: itself,
// when it promises to open after one, or else the first of `configs`, in the same family, that does; itself
// when there is none.
const engines::EngineConfig& careful_config(const std::vector<engines::EngineConfig>& configs,
                                            const engines::EngineConfig& config);

struct Side {
  const wire::MigrationOrder& order;
  const engines::EngineConfig& config;  // of this side's engine
  // importer: of the same family, fills the store that `config` then verifies; see careful_config().
  const engines::EngineConfig& filler;
  engines::Tuning tuning = engines::Tuning::stock;
  AppliedIndexPlace applied_index;
  wire::FlightRecorder& recorder;
};

// Looks at source and target for the driver: `default_keyspaces` when neither order nor marker names any.
wire::MigrationReport inspect(const wire::MigrationOrder& order,
                              const std::vector<std::string>& default_keyspaces);
wire::MigrationReport run_exporter(const Side& side, Pipe& pipe);
wire::MigrationReport run_importer(const Side& side, const ImportFaults& faults, Pipe& pipe);

// The importer's answer to a survey.
struct Start {
  bool wanted = false;         // false: no stream
  std::uint32_t keyspace = 0;  // the first one of the stream; their number: none
  std::string after;           // key in it; empty: from its first
};
void encode(const Start& start, std::string* bytes);
bool decode(std::string_view bytes, Start* start);

}  // namespace chaosgate::migrate
