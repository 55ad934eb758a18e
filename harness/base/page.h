// kPageBytes is the unit of the page cache, and so of what a SIGKILL can leave of a write.
//
// The kernel looks for a deadly signal between two pages of a write, never inside one: what is left is the
// write up to a border of pages, counted in the file, or all of it. Larger pieces are possible (large folios
// of ext4 and XFS), smaller ones are not. harness/tap/kill_inside_test.cc measures that. Sectors and bytes
// tear when the power fails: see harness/disk/profile.h.
#pragma once

#include <cstdint>

namespace chaosgate {

inline constexpr std::uint64_t kPageBytes = 4096;

// The number of bytes, of a write of more than `size` bytes at `offset`, up to the last border of pages that
// `size` bytes reach; 0 when they reach none.
constexpr std::uint64_t bytes_to_page_border(std::uint64_t offset, std::uint64_t size) {
  const std::uint64_t border = (offset + size) / kPageBytes * kPageBytes;
  return border > offset ? border - offset : 0;
}

}  // namespace chaosgate
