// WorkDirectory is where a campaign's data directories live while it runs.
//
// Either a new temporary directory, on memory-backed storage when that has room (a SIGKILL does not care, and
// the report says so) unless the time of syncs matters, or one the user named. A named one must be absent,
// empty, or one of ours for the same engines; it is marked and locked while in use, and the work happens in
// `work/` inside it. The destructor leaves nothing behind: it removes what the campaign made. What campaigns
// left that were killed is removed by the next one. A constructor
// that throws has touched nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/campaign/scratch_directory.h"
#include "harness/campaign/stop.h"

namespace chaosgate::campaign {

// Throws EnvironmentError when hardly any room is left, or when `message`, of an engine to which no such
// error was given, says that none was: a full work directory is the environment's failure, never a finding.
void check_room(const std::filesystem::path& directory, const std::string& message = "");

// Makes it, and returns it. Throws EnvironmentError, also when it exists already.
std::filesystem::path make_directory(const std::filesystem::path& path);

// Where a directory that the user did not name is made.
enum class Storage : std::uint8_t {
  memory_backed,  // when it has room, else the temporary directory
  temporary,      // the temporary directory, wherever that is
};

class WorkDirectory {
 public:
  // Throws UsageError when `named` cannot be used, EnvironmentError when the storage is full. `stop` may be
  // null.
  WorkDirectory(const std::filesystem::path& named, const std::vector<std::string>& engines, StopSignal* stop,
                Storage storage = Storage::memory_backed);
  ~WorkDirectory();
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // "tmpfs", "ext4", ...
  const std::string& kind() const { return kind_; }

 private:
  void take_named(const std::filesystem::path& named, const std::vector<std::string>& engines);

  StopSignal* stop_;
  std::optional<ScratchDirectory> temporary_;
  std::filesystem::path path_;
  std::string kind_;
  UniqueFd lock_;
  std::vector<std::filesystem::path> made_;  // goes with this object
};

}  // namespace chaosgate::campaign
