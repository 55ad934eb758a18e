// For readers that take a file: the input as a file of a given name, in a directory of its own. It is in
// memory where there is such a place: millions of inputs are tried.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "harness/base/check.h"
#include "harness/base/file.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::fuzz {

// Gone at the end of the program; after an abort it stays.
inline const std::filesystem::path& scratch_directory() {
  constexpr const char* kMemoryBacked = "/dev/shm";
  static const TempDir directory(
      ::access(kMemoryBacked, W_OK) == 0 ? kMemoryBacked : std::filesystem::temp_directory_path(),
      "chaosgate-fuzz-");
  return directory.path();
}

inline void write_scratch(std::string_view name, std::string_view bytes) {
  const std::filesystem::path path = scratch_directory() / name;
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  CHECK(file && write_all(file.get(), bytes, path.string()).ok(), "write {}", path.string());
}

}  // namespace chaosgate::fuzz
