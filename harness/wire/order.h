// What driver and worker say to each other: the greeting of a worker parent, the order for one worker, and
// the report of its death. All are JSON on a local SOCK_SEQPACKET socket, so that a bundle can keep them
// readable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/crash_point.h"
#include "harness/base/json_fields.h"
#include "harness/wire/migration.h"

namespace chaosgate::wire {

// Which integer recovery trusts, and where it lives.
enum class Protocol : std::uint8_t {
  in_batch,  // the applied index travels in the same atomic batch as the data
  sidecar,   // captured before a flush, persisted after it in a file outside the engine
};
NLOHMANN_JSON_SERIALIZE_ENUM(Protocol, {{Protocol::in_batch, "in-batch"}, {Protocol::sidecar, "sidecar"}})

std::string_view to_string(Protocol protocol);
std::optional<Protocol> parse_protocol(std::string_view name);

// The kinds of maintenance that a load performs.
enum class Chore : std::uint8_t { none, flush, truncate, compact, checkpoint };
NLOHMANN_JSON_SERIALIZE_ENUM(Chore, {{Chore::none, "none"},
                                     {Chore::flush, "flush"},
                                     {Chore::truncate, "truncate"},
                                     {Chore::compact, "compact"},
                                     {Chore::checkpoint, "checkpoint"}})

// What a comparison of engines has measured by one worker.
enum class EngineBench : std::uint8_t {
  none,
  load,      // a new replica and a load, at whose end the worker waits to be killed
  recovery,  // after the recovery: closing, opening, compacting
};
NLOHMANN_JSON_SERIALIZE_ENUM(EngineBench, {{EngineBench::none, "none"},
                                           {EngineBench::load, "load"},
                                           {EngineBench::recovery, "recovery"}})

// The shape of a load. Every "one in" is drawn per entry from (seed, term, index), so it has no memory and a
// restart changes nothing but the term.
struct Schedule {
  std::uint32_t sync_group_max = 32;    // entries per log sync, drawn in [1, max]
  std::uint32_t apply_group_max = 32;   // entries per engine batch, drawn in [1, max]
  std::uint32_t flush_one_in = 600;     // a flush after one in so many entries
  std::uint32_t truncate_one_in = 400;  // entries
  std::uint32_t compact_one_in = 2500;  // entries; seldomer, and an LSM without automatic compaction drowns
  std::uint32_t checkpoint_one_in = 20000;  // entries
  Chore forced = Chore::none;               // done for certain ...
  std::uint32_t forced_every =
      0;  // ... each time so many more entries were proposed, so that its steps are reached
  std::uint32_t entries_max = 8000;  // a load that got this far without dying has missed its crash point

  bool operator==(const Schedule&) const = default;
};
JSON_FIELDS(Schedule, sync_group_max, apply_group_max, flush_one_in, truncate_one_in, compact_one_in,
            checkpoint_one_in, forced, forced_every, entries_max)

// One worker's life.
struct WorkerOrder {
  std::string directory;  // holds log/, engine/ and durable-index
  std::string plugin;     // path of the shared object that has the engine; empty: a built-in one
  std::string engine;     // configuration name
  std::string fault;      // planted fault, or empty
  std::string workload;
  std::uint64_t seed = 0;
  Protocol protocol = Protocol::in_batch;
  bool free_running = false;  // engine maintenance by its own threads
  bool stock_tuning = false;
  bool border_sizes = false;        // batches are padded to meet the borders of sectors, pages and blocks
  bool tap = false;                 // storage calls go through the driver
  std::uint64_t term = 0;           // higher than that of every worker before on this directory
  std::uint64_t segment_bytes = 0;  // of the log

  bool create = false;             // make a new directory, preload it and close; nothing is observed
  std::uint64_t known_synced = 0;  // acknowledged entries, as the rest of a Raft group would know them
  std::uint64_t cut_suffix_from =
      0;                       // discard unacknowledged entries from here on (a leader change); 0 = none
  std::string recovery_crash;  // crash point during recovery, or empty
  std::string load_crash;      // crash point during the load, or empty
  bool flush_after_replay = false;
  bool check_reopen = false;    // close, open and replay once more before the load
  bool check_backward = false;  // scan backward too
  bool check_integrity = false;
  bool check_space = false;  // compact, close, open, and tell what the store takes
  // What it took when it was new, for the judgement of that; 0 files: not known, and nothing is judged.
  std::uint64_t new_store_files = 0;
  std::uint64_t new_store_bytes = 0;
  std::uint32_t reads = 24;  // sampled point reads and seeks
  bool load = false;         // false: close cleanly after recovery
  // Instead of a load of its own: take entries and snapshots from a leader, over the socket that comes with
  // the order.
  bool follow = false;
  Schedule schedule;

  // Instead of all that, measure the floor: so many cycles of the same work, each with so many entries, in
  // one process without a crash. The times come back as JSON in the flight recorder's message.
  std::uint32_t floor_cycles = 0;
  std::uint32_t floor_entries = 0;

  // Besides (recovery) or instead of (load) all that, measure the engine; see harness/wire/engine_bench.h.
  EngineBench engine_bench = EngineBench::none;

  // Instead of all that, run this check of the conformance suite, in `directory`, which exists and is empty.
  // What it found is the observations' text.
  std::string conformance_check;

  // Instead of all that, one side of a migration. `engine` and `plugin` are that side's; `fault` is one of
  // harness/migrate.
  MigrationOrder migration;
};
// Orders in bundles of earlier builds lack what came later.
JSON_FIELDS_WITH_DEFAULTS(WorkerOrder, directory, plugin, engine, fault, workload, seed, protocol,
                          free_running, stock_tuning, border_sizes, tap, term, segment_bytes, create,
                          known_synced, cut_suffix_from, recovery_crash, load_crash, flush_after_replay,
                          check_reopen, check_backward, check_integrity, check_space, new_store_files,
                          new_store_bytes, reads, load, follow, schedule, floor_cycles, floor_entries,
                          engine_bench, conformance_check, migration)

// Names a class of an engine's files; see engines::FileClass.
struct FileClassDescription {
  std::string name;
  std::string pattern;
  std::uint64_t bytes_end = 0;
  bool informational = false;
  bool immutable = false;
};
JSON_FIELDS(FileClassDescription, name, pattern, bytes_end, informational, immutable)

// What the worker program was built with. The driver knows nothing of engines but this.
struct EngineDescription {
  std::string plugin;  // path of the shared object that has it; empty: built in
  std::string name;
  std::string family;
  std::string summary;
  std::string version;
  std::string commit_survives;  // "nothing", "process crash", "power cut"
  std::string flush_survives;
  bool commit_survives_kill = false;
  bool commit_survives_power_cut = false;
  bool flush_survives_power_cut = false;
  bool opens_after_power_cut = false;
  bool checksums = false;                   // damage at rest is detected, it says
  std::vector<std::string> volatile_files;  // relative to the engine's directory
  std::vector<FileClassDescription> file_classes;
};
JSON_FIELDS(EngineDescription, plugin, name, family, summary, version, commit_survives, flush_survives,
            commit_survives_kill, commit_survives_power_cut, flush_survives_power_cut, opens_after_power_cut,
            checksums, volatile_files, file_classes)

struct FaultDescription {
  std::string name;
  std::string layer;  // "engine", "log", "protocol", "snapshot", "migration"
  std::string mechanism;
  std::string published_as;
  std::string engine;  // the configuration that shows it
  Protocol protocol = Protocol::in_batch;
  bool needs_io_error = false;  // kills alone do not show it
  // Shown by power cuts only: the profiles to look under; the last of them is the weakest that shows it.
  std::vector<std::string> power_profiles;
  // Shown by a replica group only: the engines of its replicas.
  std::vector<std::string> replicas;
  // Shown by a migration only, to `engine`: the engine of its source.
  std::string migrates_from;
  // Needs compactions of the engine in a load that is cut off from power.
  bool needs_compaction = false;
};
JSON_FIELDS(FaultDescription, name, layer, mechanism, published_as, engine, protocol, needs_io_error,
            power_profiles, replicas, migrates_from, needs_compaction)

struct Hello {
  std::string version;
  std::string tap_unavailable;             // why workers cannot be tapped here; empty: they can
  std::vector<EngineDescription> engines;  // built-in ones, then each plugin's in its order
  std::vector<FaultDescription> faults;
  std::vector<std::string> conformance_checks;  // by name, in the order of the suite
  std::string error;  // why a plugin cannot be used, one line; the rest is then empty
};
JSON_FIELDS(Hello, version, tap_unavailable, engines, faults, conformance_checks, error)

// Null when the worker program does not have it.
const EngineDescription* find_engine(const Hello& hello, std::string_view name);

}  // namespace chaosgate::wire
