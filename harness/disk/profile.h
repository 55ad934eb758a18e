// Profile is what a file system promises about the order in which unsynced changes reach the disk: the rules
// that decide which disk images are legal after a power cut.
//
// Each promise is a flag of its own. Six named sets of defaults exist; their cells are configurable choices
// after fsync(2), the ext4 and XFS kernel documentation and Pillai et al., "All File Systems Are Not Created
// Equal" (OSDI 2014), not measurements. Plain data.
//
// Printed form: the name of a default, then what differs from it:
//
//   profile := name setting*
//   setting := '+' flag | '-' flag | '+' key '=' value
//   name    := "prefix" | "btrfs" | "ext4-ordered" | "xfs" | "ext4-writeback" | "strict"
//
// for example "ext4-ordered", "xfs+fsync-commits-dir-ops", "strict+tearing=byte-atomic-rename".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"

namespace chaosgate::disk {

// How writes within the size of a file may reach the disk.
enum class Overwrites : std::uint8_t {
  free,         // in any order, torn as `tearing` says
  page_atomic,  // in any order, each 4 KiB page as a whole
  ordered,      // in the order of the calls, within one file
};

// The unit of which a write in flight may leave any part behind.
enum class Tearing : std::uint8_t {
  byte,
  sector,   // 512 bytes
  none,     // a 4 KiB page is old or new
  last_op,  // 512 bytes, and only in the last operation that survives at all
};

struct Profile {
  std::string base = "strict";  // the named default that this one was made from

  bool ordered_directories = false;  // all directory operations reach the disk in the order of the calls
  bool atomic_rename = false;        // both halves of a rename, or neither
  bool fsync_persists_name = false;  // fsync of a file makes its name durable, and those of its directories
  bool fsync_commits_directories = false;  // any fsync makes all earlier directory operations durable
  bool data_before_rename_over = false;    // a rename onto a name in use waits for the content of the file
  // A grown size may be there without the data: then the tail reads as zeroes, or as garbage. A hole reads as
  // zeroes too; the difference is what the file system promises, not what a reader sees.
  bool bare_size_zero = true;
  bool bare_size_garbage = true;
  bool bare_size_hole = true;
  bool ordered_appends = false;  // what is appended to one file reaches the disk in order
  Overwrites overwrites = Overwrites::free;
  Tearing tearing = Tearing::sector;
  bool fdatasync_drops_size = false;  // fdatasync does not make a grown size durable (an old ext3 bug)
  bool prefix = false;                // everything reaches the disk in the order of the calls

  bool operator==(const Profile&) const = default;
};

// The names, from the profile that allows the fewest images to the one that allows the most: prefix, btrfs,
// ext4-ordered, xfs, ext4-writeback, strict. A failure is charged to the first of them that allows its image:
// the weakest adversary that shows it. The order is a convention: not every image of one profile is an image
// of the next.
const std::vector<std::string>& profile_names();

// REQUIRES: `name` is one of profile_names().
Profile named_profile(std::string_view name);

std::string to_string(const Profile& profile);
// invalid_argument, with the known names, for an unknown profile, flag or value; *profile is then left alone.
Status parse_profile(std::string_view text, Profile* profile);

}  // namespace chaosgate::disk
