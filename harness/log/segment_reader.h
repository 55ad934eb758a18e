// read_segment() verifies the bytes of one segment and decides where it ends: at its end, at a torn tail, or
// not at all because an acknowledged entry is damaged.
//
// A torn tail is what a crash leaves of entries nobody was told about; it is dropped. Damage of an entry that
// was acknowledged must never be mistaken for it, or the log forgets what it promised (Alagappan et al.,
// "Protocol-Aware Recovery for Consensus-Based Storage", FAST 2018). The two look alike locally, so the
// reader looks behind the damage: a later intact record whose `synced` reaches the damaged index is the
// writer's own testimony that the entry had been durable. Without such a record (damage in the last group
// that was ever synced) only LogOptions::known_synced can tell.
//
// The search errs to the side of refusing: should the file system expose, behind a tail that a power cut
// tore, the blocks of records that a suffix truncation had removed, at their old offsets and before the
// first record of a higher term survived, an unacknowledged tail is reported as corruption.
//
// Pure functions of their arguments; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"
#include "harness/log/log_format.h"

namespace chaosgate::log {

struct SegmentRules {
  // The last index this segment must end with, known from the segment after it; none for the last segment,
  // the only one that may have a torn tail.
  std::optional<std::uint64_t> sealed_at;
  bool fault_skip_chain = false;       // LogOptions
  bool fault_keep_tail_bytes = false;  // LogOptions
  bool fault_cut_damage = false;       // LogOptions
};

struct SegmentContent {
  SegmentHeader header;
  std::vector<std::uint64_t> offsets;  // of the entries first_index, first_index + 1, ...
  std::uint64_t end_offset = 0;        // behind the last good record
  std::uint64_t chain = 0;             // checksum of the last good record, or of the header
  std::uint64_t last_term = 0;         // of the last good record, or header.previous_term
  std::uint64_t last_synced = 0;       // `synced` of the last good record; 0 without one
  std::uint64_t torn_bytes = 0;
  std::string torn_reason;

  std::uint64_t last_index() const { return header.first_index + offsets.size() - 1; }
};

// `name` is the file's name and states sequence and first index.
Status read_segment(std::string_view bytes, const std::string& name, const SegmentRules& rules,
                    SegmentContent* content);

}  // namespace chaosgate::log
