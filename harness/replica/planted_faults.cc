#include "harness/replica/planted_faults.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/faulty/faulty_engine.h"
#include "harness/base/error.h"
#include "harness/log/faulty_log.h"
#include "harness/migrate/side.h"

namespace chaosgate::replica {
namespace {

using wire::FaultDescription;
using wire::Protocol;

struct ProtocolFault {
  std::string_view name;
  std::string_view mechanism;
  std::string_view published_as;
  std::string_view engine;
  Protocol protocol;
  PlantedFault switches;
};

const std::vector<ProtocolFault>& protocol_faults() {
  static const std::vector<ProtocolFault> faults = {
      {"double-apply",
       "replay from the sidecar's index applies again what the engine already holds",
       "sidecar index behind the engine, operations that cannot be repeated",
       "rocksdb-wal",
       Protocol::sidecar,
       {.replay_ignores_witness = true}},
      {"obsolete-log-replayed",
       "replay widens to log entries that were already obsolete",
       "RocksDB#1370",
       "lmdb",
       Protocol::in_batch,
       {.replay_from_log_start = true}},
      {"index-captured-late",
       "the durable index is captured after the flush, entries applied meanwhile included",
       "the bbolt-to-Pebble port",
       "rocksdb",
       Protocol::sidecar,
       {.capture_after_flush = true}},
      {"sidecar-before-flush",
       "the durable index is persisted before the flush that it vouches for",
       "the bbolt-to-Pebble port",
       "rocksdb",
       Protocol::sidecar,
       {.persist_before_flush = true}},
      {"commit-ahead-of-tail",
       "an applied index beyond the end of the log is accepted silently",
       "RaftKeeper#320",
       "lmdb",
       Protocol::in_batch,
       {.log = "ack-before-sync", .accept_missing_tail = true}},
  };
  return faults;
}

// Those that only a power cut shows, but for what is the log's own. `profile`: the weakest under which it
// does.
struct PowerFault {
  std::string_view name;
  std::string_view layer;
  std::string_view mechanism;
  std::string_view published_as;
  std::string_view engine;
  Protocol protocol;
  std::string_view profile;
  PlantedFault switches;
  bool needs_compaction = false;  // the engine's
};

const std::vector<PowerFault>& power_faults() {
  static const std::vector<PowerFault> faults = {
      {"dir-never-synced",
       "log",
       "a segment is renamed into place, its directory is never synced",
       "etcd#6368",
       "lmdb",
       Protocol::in_batch,
       "btrfs",
       {.forgotten_syncs = "/log"}},
      {"segment-never-synced",
       "log",
       "entries are acknowledged when they are written, and nothing is synced",
       "etcd#14370",
       "lmdb",
       Protocol::in_batch,
       "prefix",
       {.forgotten_syncs = "/log/*.log"}},
      {"tail-cut-too-far",
       "log",
       "a damaged acknowledged record is treated like a torn tail",
       "Protocol-Aware Recovery (FAST 2018)",
       "lmdb",
       Protocol::in_batch,
       "prefix",
       {.log = "tail-cut-too-far", .accept_missing_tail = true, .forgotten_syncs = "/log/*.log"}},
      {"rename-without-dirsync",
       "engine",
       "a compacted file is synced and renamed into place, its directory is not synced",
       "the bbolt to Pebble notebook, bug A; LevelDB#195",
       "lmdb",
       Protocol::in_batch,
       "btrfs",
       {.forgotten_syncs = "/engine"},
       true},
      {"unlink-before-durable",
       "engine",
       "old files are removed before the name of the new one is durable",
       "WiredTiger; LevelDB#195 and its family",
       "rocksdb",
       Protocol::in_batch,
       "ext4-ordered",
       {.forgotten_syncs = "/engine"},
       true},
      {"current-before-manifest",
       "engine",
       "the new manifest is not synced before CURRENT points to it",
       "goleveldb#351",
       "rocksdb",
       Protocol::in_batch,
       "prefix",
       {.forgotten_syncs = "/engine/MANIFEST-*"}},
      {"value-log-missing",
       "engine",
       "the index survives, the file with the values that it points into does not",
       "badger#1954",
       "rocksdb",
       Protocol::in_batch,
       "ext4-ordered",
       {.forgotten_syncs = "/engine/*.sst"}},
      {"meta-before-data",
       "engine",
       "the meta page reaches the disk before the data pages that it points to",
       "ReOpenLDAP#1 (LMDB)",
       "lmdb",
       Protocol::in_batch,
       "btrfs",
       {.forgotten_syncs = "/engine/data.mdb"}},
      {"wal-never-synced",
       "engine",
       "a batch counts as committed when it is in the write-ahead log, which is never synced",
       "RocksDB#12489 and its family",
       "rocksdb-wal",
       Protocol::in_batch,
       "prefix",
       {.forgotten_syncs = "/engine/*.log"}},
      {"empty-main-deletes-log",
       "protocol",
       "a main file without a byte, renamed before its content was synced, makes recovery delete a valid log",
       "turso#4899",
       "lmdb",
       Protocol::in_batch,
       "xfs",
       {.forgotten_syncs = "/engine/data.mdb.compact", .empty_main_deletes_log = true},
       true},
      {"sidecar-never-synced",
       "protocol",
       "the sidecar index is renamed into place before its content is synced",
       "rename without fsync, ALICE (OSDI 2014)",
       "lmdb",
       Protocol::sidecar,
       "xfs",
       {.forgotten_syncs = "/durable-index*"}},
      {"fdatasync-drops-size",
       "file system",
       "fdatasync does not make the size of a grown file durable",
       "Torturing Databases (OSDI 2014), on ext3",
       "lmdb",
       Protocol::in_batch,
       "strict+fdatasync-drops-size",
       {}},
  };
  return faults;
}

// The profiles to look under, up to the one that is expected to be the weakest that shows the fault. Without
// those under which the correct engine fails, too (see results/): they would show nothing.
std::vector<std::string> profiles_to_try(std::string_view engine, std::string_view expected) {
  static constexpr std::string_view kProfiles[] = {"prefix", "btrfs",          "ext4-ordered",
                                                   "xfs",    "ext4-writeback", "strict"};
  std::vector<std::string> names;
  for (const std::string_view name : kProfiles) {
    const bool fragile = engine.starts_with("rocksdb") && name != "prefix" && name != "ext4-ordered";
    if (!fragile && !expected.empty() && expected.find('+') == std::string_view::npos) {
      names.emplace_back(name);
    }
    if (name == expected) {
      return names;
    }
  }
  return expected.empty() ? std::vector<std::string>() : std::vector{std::string(expected)};
}

}  // namespace

const std::vector<FaultDescription>& planted_faults() {
  static const std::vector<FaultDescription> all = [] {
    std::vector<FaultDescription> list;
    for (const auto& fault : engines::engine_faults()) {
      list.push_back({std::string(fault.name), "engine", std::string(fault.mechanism),
                      std::string(fault.published_as), std::string(fault.engine), Protocol::in_batch,
                      fault.needs_io_error,
                      // One that needs a power cut is a store of its own, and fragile in no other way.
                      profiles_to_try("", fault.power_profile)});
    }
    for (const auto& fault : log::log_faults()) {
      list.push_back({std::string(fault.name), "log", std::string(fault.mechanism),
                      std::string(fault.published_as), fault.power_profile.empty() ? "rocksdb" : "lmdb",
                      Protocol::in_batch, fault.needs_io_error,
                      profiles_to_try("lmdb", fault.power_profile)});
    }
    for (const ProtocolFault& fault : protocol_faults()) {
      list.push_back({std::string(fault.name),
                      "protocol",
                      std::string(fault.mechanism),
                      std::string(fault.published_as),
                      std::string(fault.engine),
                      fault.protocol,
                      false,
                      {}});
    }
    for (const PowerFault& fault : power_faults()) {
      FaultDescription& description = list.emplace_back();
      description.name = fault.name;
      description.layer = fault.layer;
      description.mechanism = fault.mechanism;
      description.published_as = fault.published_as;
      description.engine = fault.engine;
      description.protocol = fault.protocol;
      description.power_profiles = profiles_to_try(fault.engine, fault.profile);
      description.needs_compaction = fault.needs_compaction;
    }
    for (const snapshot::SnapshotFaultInfo& fault : snapshot::snapshot_faults()) {
      FaultDescription& description = list.emplace_back();
      description.name = fault.name;
      description.layer = "snapshot";
      description.mechanism = fault.mechanism;
      description.published_as = fault.published_as;
      description.protocol = Protocol::sidecar;
      // Power cuts must find nothing else: under most profiles they do in RocksDB.
      description.replicas = fault.power_profile.empty()
                                 ? std::vector<std::string>{"rocksdb", "lmdb", "rocksdb"}
                                 : std::vector<std::string>{"lmdb", "lmdb", "lmdb"};
      description.engine = description.replicas.front();
      description.power_profiles = profiles_to_try(description.engine, fault.power_profile);
    }
    for (const migrate::ImportFaultInfo& fault : migrate::import_faults()) {
      FaultDescription& description = list.emplace_back();
      description.name = fault.name;
      description.layer = "migration";
      description.mechanism = fault.mechanism;
      description.published_as = "the bbolt-to-Pebble port";
      description.engine = fault.to;
      description.migrates_from = fault.from;
      if (!fault.power_profile.empty()) {
        description.power_profiles = {fault.power_profile};
      }
    }
    std::sort(list.begin(), list.end(),
              [](const FaultDescription& a, const FaultDescription& b) { return a.name < b.name; });
    return list;
  }();
  return all;
}

PlantedFault find_planted_fault(std::string_view name) {
  if (name.empty()) {
    return {};
  }
  for (const ProtocolFault& fault : protocol_faults()) {
    if (fault.name == name) {
      return fault.switches;
    }
  }
  for (const PowerFault& fault : power_faults()) {
    if (fault.name == name) {
      return fault.switches;
    }
  }
  for (const auto& fault : engines::engine_faults()) {
    if (fault.name == name) {
      return {.engine = fault.name};
    }
  }
  for (const auto& fault : log::log_faults()) {
    if (fault.name == name) {
      return {.log = fault.name};
    }
  }
  if (const snapshot::SnapshotFaultInfo* fault = snapshot::find_snapshot_fault(name); fault != nullptr) {
    return {.snapshot = fault->faults};
  }
  throw UsageError(fmt::format("unknown planted fault '{}'", name));
}

}  // namespace chaosgate::replica
