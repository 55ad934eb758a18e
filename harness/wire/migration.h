// What driver and worker say to each other about a migration: the order for one side of it, and what that
// side reports, as JSON, in the observations.
//
// A migration has two workers, one a process for each engine, joined by a stream socket. The exporter reads
// the source and changes nothing in it; the importer fills the target. See harness/migrate.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/json_fields.h"

namespace chaosgate::wire {

enum class MigrationRole : std::uint8_t {
  none,
  inspector,  // looks at markers and places; opens no engine
  exporter,
  importer,
};
NLOHMANN_JSON_SERIALIZE_ENUM(MigrationRole, {{MigrationRole::none, "none"},
                                             {MigrationRole::inspector, "inspector"},
                                             {MigrationRole::exporter, "exporter"},
                                             {MigrationRole::importer, "importer"}})

struct MigrationOrder {
  MigrationRole role = MigrationRole::none;
  std::string source;  // inspector: an engine's or a replica's directory; exporter: an engine's
  std::string target;  // the engine directory to make
  std::vector<std::string> keyspaces;  // inspector: instead of what the marker says; exporter: what to read
  std::string source_engine;           // importer: as the progress record keeps it
  bool dry_run = false;                // importer: check and report, make nothing
  std::uint64_t batch_bytes = 0;       // importer: of one engine batch, about; 0: its default
  std::uint64_t flush_bytes = 0;  // importer: from one durable position to the next, about; 0: its default
  std::uint64_t chunk_bytes = 0;  // exporter: of one piece of the stream, about; 0: its default
  std::uint64_t die_after_pieces = 0;  // exporter: crash point, so many pieces of the stream sent; 0: never

  bool operator==(const MigrationOrder&) const = default;
};
JSON_FIELDS(MigrationOrder, role, source, target, keyspaces, source_engine, dry_run, batch_bytes, flush_bytes,
            chunk_bytes, die_after_pieces)

enum class MigrationOutcome : std::uint8_t {
  unknown,  // the worker died before it could say
  done,     // or, of an inspector or a dry run: nothing is in the way
  refused,  // nothing was changed, and nothing will be until the user changes something
  failed,   // stopped half-way; the same command goes on from there
  differs,  // the finished target is not what the source is
};
NLOHMANN_JSON_SERIALIZE_ENUM(MigrationOutcome, {{MigrationOutcome::unknown, "unknown"},
                                                {MigrationOutcome::done, "done"},
                                                {MigrationOutcome::refused, "refused"},
                                                {MigrationOutcome::failed, "failed"},
                                                {MigrationOutcome::differs, "differs"}})

struct MigratedKeyspace {
  std::string name;
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;  // of keys and values
  std::string hash;         // of keys and values in order, hexadecimal

  bool operator==(const MigratedKeyspace&) const = default;
};
JSON_FIELDS(MigratedKeyspace, name, keys, bytes, hash)

struct MigrationReport {
  MigrationOutcome outcome = MigrationOutcome::unknown;
  std::string message;                 // one line: why it is not done
  bool peer_gone = false;              // because the other side went first
  std::string source;                  // inspector: the engine's directory
  std::string family;                  // inspector: what the source's marker says
  std::vector<std::string> keyspaces;  // inspector: names
  std::uint64_t source_bytes = 0;      // inspector: of its files
  std::string target;                  // inspector: the engine directory to make
  std::string scratch;                 // inspector: where the exporter makes a copy of the source, if it does
  std::vector<MigratedKeyspace> found;  // exporter: in the source; importer: in the finished target
  bool has_applied_index = false;       // exporter, importer
  std::uint64_t applied_index = 0;
  std::uint64_t keys_resumed = 0;  // importer: durable in the target when it began
  std::string begun_anew;          // importer: why what was there of the target could not be used; else empty
  std::uint64_t bytes_needed = 0;  // importer: on the target's file system, estimated
  std::uint64_t bytes_free = 0;
};
JSON_FIELDS(MigrationReport, outcome, message, peer_gone, source, family, keyspaces, source_bytes, target,
            scratch, found, has_applied_index, applied_index, keys_resumed, begun_anew, bytes_needed,
            bytes_free)

// What a worker is at, for progress; published in the flight recorder.
enum class MigrationStage : std::uint32_t {
  none,
  copying,    // exporter: makes a copy of the source to read from
  surveying,  // exporter: reads the source once, to know it
  moving,     // importer: writes
  verifying,  // importer: reads the finished target
};

}  // namespace chaosgate::wire
