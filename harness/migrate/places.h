// Where a migration works: the directory that becomes the target, and what stands beside it until then.
//
//   TARGET                    the finished store; absent, or an empty directory, before
//   TARGET.migrating/         the work directory: `store/`, without a marker, and `progress`
//   TARGET.migrating-source/  a copy of the source, when its engine cannot read it in place
//
// So a target can be opened as a store only when it is complete: it gets its name last.
#pragma once

#include <filesystem>

#include "harness/base/status.h"

namespace chaosgate::migrate {

struct Places {
  std::filesystem::path target;
  std::filesystem::path work;
  std::filesystem::path store;    // in work
  std::filesystem::path scratch;  // for the copy

  explicit Places(const std::filesystem::path& target_directory);
};

// The engine directory that a user means by `given`, as an absolute path without symbolic links: `engine/` in
// a replica's data directory that has a log but no engine, otherwise itself. It need not exist.
std::filesystem::path find_target(const std::filesystem::path& given);

// What can be said before anything is read: the target's parent is there, and neither directory is the other
// or lies in it. invalid_argument says what is wrong. `source` and `places` are canonical.
Status check_places(const std::filesystem::path& source, const Places& places);

// Whether something is there that is not an empty directory.
bool is_occupied(const std::filesystem::path& path);

}  // namespace chaosgate::migrate
