// For readers that take a file: the input as a file of a given name, in a directory of its own.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "harness/base/check.h"
#include "harness/base/file.h"

namespace chaosgate::fuzz {

// Gone at the end of the program; after an abort it stays.
inline const std::filesystem::path& scratch_directory() {
  static const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-fuzz-");
  return directory.path();
}

inline void write_scratch(std::string_view name, std::string_view bytes) {
  std::ofstream file(scratch_directory() / name, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  CHECK(file.good());
}

}  // namespace chaosgate::fuzz
