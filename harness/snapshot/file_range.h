// A range of an open file, and the one way to walk over it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "harness/base/file.h"
#include "harness/base/status.h"

namespace chaosgate::snapshot {

inline constexpr std::size_t kBlockBytes = 256 << 10;

// Bytes [begin, end) of an open file.
struct FileRange {
  int fd = -1;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Calls take(const std::string& block) for the range, in blocks of at most kBlockBytes; stops at the first
// Status that is not ok. corruption when the file is shorter. `name` is for messages.
template <typename Take>
Status for_each_block(const FileRange& range, const std::string& name, const Take& take) {
  std::string block;
  for (std::uint64_t at = range.begin; at < range.end; at += block.size()) {
    block.resize(std::min<std::uint64_t>(kBlockBytes, range.end - at));
    RETURN_IF_ERROR(read_exactly(range.fd, at, block.data(), block.size(), name));
    RETURN_IF_ERROR(take(block));
  }
  return {};
}

}  // namespace chaosgate::snapshot
