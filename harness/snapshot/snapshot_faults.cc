#include "harness/snapshot/snapshot_faults.h"

namespace chaosgate::snapshot {

const std::vector<SnapshotFaultInfo>& snapshot_faults() {
  constexpr std::string_view kPort = "the bbolt-to-Pebble port";
  static const std::vector<SnapshotFaultInfo> all = {
      {"install-without-dirsync",
       "an installed snapshot is renamed into place without fsync of the parent directory",
       kPort,
       {.no_directory_sync = true},
       "btrfs"},
      {"short-snapshot",
       "the announced size of a snapshot forgets its header and trailer, so that its end is never sent",
       kPort,
       {.short_snapshot = true}},
      {"trailer-ignored",
       "a snapshot is installed without a look at its checksum",
       kPort,
       {.trailer_ignored = true}},
      {"snapshot-of-unflushed-state",
       "a snapshot announces entries that its copy of the engine does not hold",
       "a checkpoint taken while the latest writes were in memory only",
       {.unflushed_state = true}},
      {"marker-before-data",
       "the durable index of an installed snapshot is persisted before its data is in place",
       kPort,
       {.marker_before_data = true}},
      {"log-truncated-before-install",
       "the log is dropped before the snapshot that replaces it is in place",
       "etcd: WAL released before the snapshot was durable",
       {.log_truncated_early = true}},
      {"half-installed-is-fresh",
       "recovery makes a new and empty engine where an installation left none",
       kPort,
       {.absent_is_fresh = true}},
  };
  return all;
}

const SnapshotFaultInfo* find_snapshot_fault(std::string_view name) {
  for (const SnapshotFaultInfo& fault : snapshot_faults()) {
    if (fault.name == name) {
      return &fault;
    }
  }
  return nullptr;
}

}  // namespace chaosgate::snapshot
