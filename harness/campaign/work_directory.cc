#include "harness/campaign/work_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/campaign/engines.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMarker = "chaosgate-work.json";
constexpr const char* kWork = "work";  // in a named directory; everything else there is not ours
constexpr const char* kMemoryBacked = "/dev/shm";
constexpr std::uint64_t kRoomWanted = std::uint64_t{1} << 30;  // to prefer memory-backed storage
constexpr std::uint64_t kRoomNeeded = std::uint64_t{256} << 20;

std::uint64_t room(const fs::path& path) {
  struct statvfs info {};
  return ::statvfs(path.c_str(), &info) == 0 ? info.f_bavail * info.f_frsize : 0;
}

std::string file_system(const fs::path& path) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) {
    return "unknown";
  }
  switch (static_cast<unsigned long>(info.f_type)) {
    case TMPFS_MAGIC:
      return "tmpfs";
    case EXT4_SUPER_MAGIC:
      return "ext4";
    case XFS_SUPER_MAGIC:
      return "xfs";
    case BTRFS_SUPER_MAGIC:
      return "btrfs";
    case OVERLAYFS_SUPER_MAGIC:
      return "overlayfs";
    default:
      return fmt::format("file system {:#x}", info.f_type);
  }
}

fs::path choose_parent(Storage storage) {
  const bool memory = storage == Storage::memory_backed && file_system(kMemoryBacked) == "tmpfs" &&
                      ::access(kMemoryBacked, W_OK) == 0 && room(kMemoryBacked) >= kRoomWanted;
  return memory ? fs::path(kMemoryBacked) : fs::temp_directory_path();
}

void require_room(const fs::path& path) {
  const std::uint64_t left = room(path);
  if (left < kRoomNeeded) {
    throw EnvironmentError(fmt::format("the work directory {} has {} MiB left, {} MiB are needed",
                                       path.string(), left >> 20, kRoomNeeded >> 20));
  }
}

// Whether a campaign works there now.
bool is_in_use(const fs::path& marker) {
  const UniqueFd file(::open(marker.c_str(), O_RDONLY | O_CLOEXEC));
  return file && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

// Refuses an existing directory that is not empty and not a work directory for these engines.
void check_ours(const fs::path& directory, const fs::path& named, const std::vector<std::string>& engines) {
  if (!fs::is_directory(directory)) {
    throw UsageError(fmt::format("--dir {}: not a directory", named.string()));
  }
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    throw UsageError(fmt::format("--dir {}: {}", named.string(), std::strerror(errno)));
  }
  if (fs::is_empty(directory)) {
    return;
  }
  std::string text;
  if (!read_file(directory / kMarker, &text).ok()) {
    throw UsageError(fmt::format(
        "--dir {}: not empty and not a work directory of chaosgate (no {} in it); nothing was touched",
        named.string(), kMarker));
  }
  std::vector<std::string> owner;
  try {
    parse_json(text).at("engines").get_to(owner);
  } catch (const nlohmann::json::exception&) {
    throw UsageError(
        fmt::format("--dir {}: its {} is damaged; nothing was touched", named.string(), kMarker));
  }
  if (is_in_use(directory / kMarker)) {
    throw UsageError(fmt::format("--dir {}: in use by another campaign, on engine {}", named.string(),
                                 fmt::join(owner, "+")));
  }
  if (owner != engines) {
    throw UsageError(
        fmt::format("--dir {}: belongs to engine {}, not {}: a campaign on it was killed and left its work "
                    "there; nothing was "
                    "touched; remove {} and {} in it, or name another directory",
                    named.string(), fmt::join(owner, "+"), fmt::join(engines, "+"), kMarker, kWork));
  }
}

// False when the campaign that held the lock before has removed its marker meanwhile.
bool is_same_file(int fd, const fs::path& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 && ours.st_ino == there.st_ino &&
         ours.st_dev == there.st_dev;
}

}  // namespace

WorkDirectory::WorkDirectory(const fs::path& named, const std::vector<std::string>& engines, StopSignal* stop,
                             Storage storage)
    : stop_(stop) {
  if (named.empty()) {
    for (const fs::path& place : {fs::path(kMemoryBacked), fs::temp_directory_path()}) {
      ScratchDirectory::remove_abandoned(place);
    }
    const fs::path parent = choose_parent(storage);
    require_utf8("TMPDIR", parent);
    require_room(parent);
    temporary_.emplace(parent);
    path_ = temporary_->path();
    made_ = {path_};
  } else {
    take_named(named, engines);
  }
  kind_ = file_system(path_);
  if (stop_ != nullptr) {
    for (const fs::path& path : made_) {
      stop_->add_directory(path);
    }
  }
}

void WorkDirectory::take_named(const fs::path& named, const std::vector<std::string>& engines) {
  const fs::path directory = fs::absolute(named);
  require_utf8("--dir", directory);
  const fs::path marker = directory / kMarker;
  std::error_code error;
  const bool present = fs::exists(directory, error);
  if (present) {
    check_ours(directory, named, engines);
  }
  const fs::path parent =
      directory.has_filename() ? directory.parent_path() : directory.parent_path().parent_path();
  if (present || fs::is_directory(parent, error)) {
    require_room(present ? directory : parent);
  }
  // From here on, what was made goes again when something fails.
  const auto undo = [&] {
    std::error_code ignored;
    for (const fs::path& path : made_) {
      fs::remove_all(path, ignored);
    }
  };
  if (!present) {
    if (!fs::create_directory(directory, error)) {
      throw UsageError(fmt::format("--dir {}: cannot create it: {}", named.string(), error.message()));
    }
    made_ = {directory};
  }
  const bool marked = fs::exists(marker, error);
  lock_.reset(::open(marker.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock_) {
    const int failure = errno;
    undo();
    throw UsageError(fmt::format("--dir {}: cannot mark it: {}", named.string(), std::strerror(failure)));
  }
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 || !is_same_file(lock_.get(), marker)) {
    throw UsageError(fmt::format("--dir {}: in use by another campaign", named.string()));
  }
  if (present) {
    made_ = {directory / kWork};
    if (!marked) {
      made_.push_back(marker);
    }
  }
  const std::string text =
      nlohmann::json{{"chaosgate", "work directory"}, {"engines", engines}}.dump() + "\n";
  if (const Status status = ::ftruncate(lock_.get(), 0) != 0
                                ? Status::io_error("truncate " + marker.string(), errno)
                                : write_all(lock_.get(), text, marker.string());
      !status.ok()) {
    undo();
    throw EnvironmentError(fmt::format("--dir {}: cannot mark it: {}", named.string(), status.message()));
  }
  if (present) {
    made_ = {directory / kWork, marker};
  }
  // What an earlier campaign left when it was killed.
  fs::remove_all(directory / kWork);
  path_ = directory / kWork;
  if (!fs::create_directory(path_, error)) {
    undo();
    throw EnvironmentError(fmt::format("create {}: {}", path_.string(), error.message()));
  }
}

WorkDirectory::~WorkDirectory() {
  std::error_code ignored;
  temporary_.reset();
  for (const fs::path& path : made_) {
    fs::remove_all(path, ignored);
    if (stop_ != nullptr) {
      stop_->remove_directory(path);
    }
  }
}

std::filesystem::path make_directory(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::create_directory(path, error)) {
    throw_errno("create " + path.string(), error ? error.value() : EEXIST);
  }
  return path;
}

void check_room(const fs::path& directory, const std::string& message) {
  constexpr std::uint64_t kRoomMin = 16 << 20;
  for (const int error : {ENOSPC, EDQUOT}) {
    if (message.find(std::strerror(error)) != std::string::npos) {
      throw EnvironmentError(fmt::format("the work directory {} was full ({} KiB are left now): {}",
                                         directory.string(), room(directory) / 1024, message));
    }
  }
  std::error_code error;
  if (!fs::exists(directory, error)) {
    throw EnvironmentError(
        fmt::format("the work directory {} is gone: somebody removed it", directory.string()));
  }
  if (const std::uint64_t left = room(directory); left < kRoomMin) {
    throw EnvironmentError(
        fmt::format("the work directory {} is full ({} KiB left)", directory.string(), left / 1024));
  }
}

}  // namespace chaosgate::campaign
