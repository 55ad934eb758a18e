// StorageFault is one thing that is ordered to go wrong at one storage call: which call, and what happens.
//
// A value with a printable form that parses back:
//
//   fault  := action "@" site | "full~" bytes [ "x" refusals ]
//   action := "kill-before" | "kill-after" | "kill-inside~" pages "p"
//           | "error~" ERRNO | "short~" permille | "lost-sync"
//   site   := class "." call [ "/" phase ] "#" occurrence [ "x" ( times | "*" ) ]
//
//   kill-before@manifest.datasync#3     before the 3rd fdatasync of a manifest
//   kill-inside~2p@data.write#5         up to the 2nd border of pages in the 5th such write, then the kill
//   kill-after@any.any#117              after the 117th storage call, before the worker learns of it
//   error~EIO@sst.write/flush#1x*       every write of a table that a flush makes
//   lost-sync@segment.datasync#2        that sync fails once; what it should have written is gone
//   full~65536x3                        room for 64 KiB more; back after three calls were refused
//
// Occurrences are counted from 1 in each worker, anew when its load begins, over the calls that match class,
// call and phase, and to which the fault can happen. "any" class is every class but those of informational
// files.
//
// A fault leaves only what its cause can leave:
//   kill-*      a SIGKILL. The page cache survives; a write is whole, missing, or cut at a border of pages
//               (harness/base/page.h), and one with O_DIRECT is not cut at all. Sectors are for power cuts.
//   error       what this call may return for a regular file or a directory of a local file system: see
//               can_return(). A signal interrupts no write, sync or rename of those, only fallocate.
//   short       a limit of the file's size (RLIMIT_FSIZE) that is lifted again: it cuts at any byte.
//   full        a file system that gives blocks of 4 KiB: a write that finds no block for all of its bytes
//   ends
//               at a border of blocks, and what stays within the file's last block needs none.
//   lost-sync   a failed fsync, after which the kernel takes the pages for clean, and memory pressure that
//               takes them out of the cache before the next worker reads. A kill alone loses nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "harness/base/page.h"
#include "harness/base/status.h"
#include "harness/tap/trace.h"

namespace chaosgate::tap {

inline constexpr std::string_view kAnyClass = "any";

// Where: the calls of one kind on one class of files, in one phase of the protocol.
struct CallSite {
  std::string file_class{kAnyClass};
  std::optional<StorageCall> call;  // nullopt: any
  std::string phase;                // empty: any
  std::uint64_t occurrence = 1;     // REQUIRES: > 0
  std::uint64_t times = 1;          // so many calls in a row, UINT64_MAX: for good

  bool operator==(const CallSite&) const = default;
};

enum class FaultAction : std::uint8_t {
  kill_before,  // the call is not carried out
  kill_after,   // carried out, but the worker never learns of it
  kill_inside,  // of a write, a prefix is carried out, which ends at a border of pages
  error,        // answered with an errno, nothing is carried out
  short_count,  // of a write, a prefix is carried out and answered
  lost_sync,    // answered with EIO once; the pages it should have written are lost at the next death
  full,         // the data directory has a budget of bytes; writes beyond it are answered with ENOSPC
};

struct StorageFault {
  FaultAction action = FaultAction::kill_before;
  CallSite site;                        // not for full
  std::uint64_t pages = 1;              // kill_inside: so many borders of pages are passed
  std::uint32_t error = 0;              // error: errno
  std::uint32_t permille = 500;         // short_count: share of the bytes
  std::uint64_t bytes = 0;              // full: room beyond what is there when the worker starts
  std::uint64_t refusals = UINT64_MAX;  // full: room is back after so many refused calls

  bool is_kill() const {
    return action == FaultAction::kill_before || action == FaultAction::kill_after ||
           action == FaultAction::kill_inside;
  }
  bool operator==(const StorageFault&) const = default;
};

std::string to_string(FaultAction action);
std::string to_string(const CallSite& site);
std::string to_string(const StorageFault& fault);

// invalid_argument says which part is wrong, and what was expected. File classes are not checked: only an
// engine knows them.
Status parse_fault(std::string_view text, StorageFault* fault);

// Whether the call may fail with this errno on a regular file or a directory of a local file system: open(2),
// write(2) and so on, and what Linux does. `system_call`, when it is known: sync(2) never fails.
bool can_return(StorageCall call, std::uint32_t error, std::string_view system_call = "");

// "EIO" <-> EIO, for the errors that storage calls are documented to return.
std::optional<std::uint32_t> parse_errno(std::string_view name);
std::string errno_name(std::uint32_t error);

}  // namespace chaosgate::tap
