// Files with holes: reading only what is there, and writing in long runs.
//
// Everything here throws: UsageError for a name that an input should not give (harness/base/beneath.h),
// EnvironmentError for the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "harness/base/beneath.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::disk {

// Calls `page` for each 4 KiB page that is not in a hole, padded with zeroes at the end of the file. Returns
// the size of the file.
std::uint64_t read_sparse(const Beneath& directory, const std::string& name,
                          const std::function<void(std::uint64_t page, std::string_view bytes)>& page);

// Writes a new file of `size` bytes; what is not written is a hole.
class SparseWriter {
 public:
  SparseWriter(const Beneath& directory, const std::string& name, std::uint64_t size);

  // Bytes that continue the last ones go out in one call with them.
  void write(std::uint64_t offset, std::string_view bytes);
  // Without it the file may be short.
  void finish();

 private:
  void flush();

  const std::string path_;
  const std::uint64_t size_;
  UniqueFd fd_;
  std::uint64_t run_begin_ = 0;
  std::string run_;
  std::uint64_t written_ = 0;  // end of the file so far
};

}  // namespace chaosgate::disk
