// Files that begin with something fixed and end with hash64 of everything before: trace, marker, progress
// record, sidecar.
#pragma once

#include <string>
#include <string_view>

#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate::fuzz {

inline bool is_sealed(std::string_view bytes, std::string_view begin) {
  constexpr std::size_t kSum = sizeof(std::uint64_t);
  return bytes.size() >= begin.size() + kSum && bytes.starts_with(begin) &&
         hash64(bytes.substr(0, bytes.size() - kSum)) ==
             load_fixed<std::uint64_t>(bytes.data() + bytes.size() - kSum);
}

// Gives `bytes` that begin and that checksum, when they are long enough.
inline void seal(std::string_view begin, std::string* bytes) {
  constexpr std::size_t kSum = sizeof(std::uint64_t);
  if (bytes->size() >= begin.size() + kSum) {
    bytes->replace(0, begin.size(), begin);
    bytes->resize(bytes->size() - kSum);
    put_u64(bytes, hash64(*bytes));
  }
}

}  // namespace chaosgate::fuzz
