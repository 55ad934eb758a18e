#include "harness/replica/planted_faults.h"

#include <fmt/format.h>

#include <algorithm>

#include "engines/faulty/faulty_engine.h"
#include "harness/base/error.h"
#include "harness/log/faulty_log.h"

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

// The configuration under which an engine's fault shows: what loses unflushed batches needs the WAL off.
std::string_view engine_for(std::string_view fault) {
  for (const std::string_view name :
       {"flush-not-atomic", "flush-lies", "close-flushes", "empty-is-fresh", "index-one-low"}) {
    if (fault == name) {
      return "rocksdb";
    }
  }
  return "lmdb";
}

}  // namespace

const std::vector<FaultDescription>& planted_faults() {
  static const std::vector<FaultDescription> all = [] {
    std::vector<FaultDescription> list;
    for (const auto& fault : engines::engine_faults()) {
      list.push_back({std::string(fault.name), "engine", std::string(fault.mechanism),
                      std::string(fault.published_as), std::string(engine_for(fault.name)),
                      Protocol::in_batch, fault.needs_io_error});
    }
    for (const auto& fault : log::log_faults()) {
      list.push_back({std::string(fault.name), "log", std::string(fault.mechanism),
                      std::string(fault.published_as), "rocksdb", Protocol::in_batch, fault.needs_io_error});
    }
    for (const ProtocolFault& fault : protocol_faults()) {
      list.push_back({std::string(fault.name), "protocol", std::string(fault.mechanism),
                      std::string(fault.published_as), std::string(fault.engine), fault.protocol, false});
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
  throw UsageError(fmt::format("unknown planted fault '{}'", name));
}

}  // namespace chaosgate::replica
