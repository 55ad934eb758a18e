// LostPages remembers, for the fault lost-sync, what pages held before they were written, and puts that back:
// after a failed fsync Linux drops the dirty pages of the file, and a later fsync that succeeds does not
// write them (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
//
// Sizes stay as they are; what was never on the disk reads as zeroes. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "harness/base/unique_fd.h"
#include "harness/tap/trace.h"

namespace chaosgate::tap {

class LostPages {
 public:
  // A write of `size` bytes at `offset` is about to happen. `file` is any descriptor of the inode.
  void before_write(InodeId inode, int file, std::uint64_t offset, std::uint64_t size);
  // A write that is durable when it returns (O_DSYNC, RWF_DSYNC) was carried out: its pages are on the disk.
  void written_through(InodeId inode, std::uint64_t offset, std::uint64_t size);
  // A sync of the inode succeeded: what was written is on the disk.
  void synced(InodeId inode);
  // A sync of the inode failed: what was written since the last one is lost, but for what is written again.
  void lost(InodeId inode);
  // The worker is dead and the cache with it: the files go back to what is on the disk.
  void restore();

 private:
  struct File {
    UniqueFd fd;
    std::map<std::uint64_t, std::string> dirty;  // page number -> content on the disk
    std::map<std::uint64_t, std::string> lost;
  };
  std::map<InodeId, File> files_;
};

}  // namespace chaosgate::tap
