// The files of an engine's store, and what they take of the disk.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "engines/engine.h"
#include "harness/base/status.h"

namespace chaosgate::replica {

struct Space {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // that are allocated within its size: neither a hole nor room beyond the end
};

// Calls `see` with the path below `directory` and the status of each regular file in its tree, but for those
// of a class that is for people. A file that goes away meanwhile is not seen.
using SeeFile = std::function<void(const std::string& path, const struct stat& status)>;
Status for_each_file(const engines::EngineConfig& config, const std::filesystem::path& directory,
                     const SeeFile& see);

Status measure_space(const engines::EngineConfig& config, const std::filesystem::path& directory,
                     Space* space);

}  // namespace chaosgate::replica
