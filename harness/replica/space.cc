#include "harness/replica/space.h"

#include <fnmatch.h>

#include <algorithm>
#include <string>
#include <system_error>

namespace chaosgate::replica {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kBlockBytes = 512;  // the unit of st_blocks

bool is_informational(const engines::EngineConfig& config, const std::string& name) {
  const auto of_class = std::find_if(
      config.file_classes.begin(), config.file_classes.end(),
      [&](const auto& file_class) { return ::fnmatch(file_class.pattern.c_str(), name.c_str(), 0) == 0; });
  return of_class != config.file_classes.end() && of_class->informational;
}

}  // namespace

Status for_each_file(const engines::EngineConfig& config, const fs::path& directory, const SeeFile& see) {
  std::error_code error;
  fs::recursive_directory_iterator entry(directory, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    struct stat status {};
    if (::lstat(entry->path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
      continue;
    }
    const std::string path = entry->path().lexically_relative(directory).string();
    if (!is_informational(config, path)) {
      see(path, status);
    }
  }
  return error ? Status::io_error("list " + directory.string(), error.value()) : Status();
}

Status measure_space(const engines::EngineConfig& config, const fs::path& directory, Space* space) {
  *space = {};
  return for_each_file(config, directory, [&](const std::string&, const struct stat& status) {
    ++space->files;
    space->bytes += std::min(static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes,
                             static_cast<std::uint64_t>(status.st_size));
  });
}

}  // namespace chaosgate::replica
