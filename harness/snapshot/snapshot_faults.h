// Planted faults of snapshots: switches that leave out one thing each that a snapshot or its installation
// needs.
//
// Each re-creates a mechanism that shipped, or that its review found. Plain data; a correct run has none set.
#pragma once

#include <string_view>
#include <vector>

namespace chaosgate::snapshot {

struct SnapshotFaults {
  bool short_snapshot = false;       // the announced size counts the body only, and no more is sent
  bool trailer_ignored = false;      // the receiver does not compare the trailer
  bool unflushed_state = false;      // the announced index is ahead of what the body holds, and nobody looks
  bool no_directory_sync = false;    // an installation does not make its renames durable
  bool marker_before_data = false;   // the durable index is persisted before the data is in place
  bool log_truncated_early = false;  // the log is reset before the engine that replaces it is in place
  bool absent_is_fresh = false;      // recovery takes an engine that is not there for one that never was

  bool operator==(const SnapshotFaults&) const = default;
};

struct SnapshotFaultInfo {
  std::string_view name;
  std::string_view mechanism;
  std::string_view published_as;
  SnapshotFaults faults;
  std::string_view power_profile = {};  // the weakest under which a power cut shows it; empty: a kill does
};

const std::vector<SnapshotFaultInfo>& snapshot_faults();
// Null when there is none of this name.
const SnapshotFaultInfo* find_snapshot_fault(std::string_view name);

}  // namespace chaosgate::snapshot
