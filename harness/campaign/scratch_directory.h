// ScratchDirectory is a temporary directory that outlives nobody: it goes with its object, and when its
// process was killed, the next one removes it.
//
// The owner holds a lock on the file kOwner in it for as long as it lives; a kill drops the lock. Not
// thread-safe. Throws EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "harness/base/file.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::campaign {

class ScratchDirectory {
 public:
  static constexpr const char* kPrefix = "chaosgate-";
  static constexpr const char* kOwner = "chaosgate-owner";

  // Creates <parent>/chaosgate-<what>XXXXXX.
  explicit ScratchDirectory(const std::filesystem::path& parent, const std::string& what = "");

  const std::filesystem::path& path() const { return directory_.path(); }

  // Removes those in `parent` that are this user's and whose owner is gone; how many that were. What has no
  // kOwner is left alone, and so is what cannot be removed.
  static std::uint64_t remove_abandoned(const std::filesystem::path& parent);

 private:
  TempDir directory_;
  UniqueFd lock_;
};

}  // namespace chaosgate::campaign
