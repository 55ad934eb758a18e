#include "harness/campaign/work_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "harness/base/error.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr const char* kMarker = "chaosgate-work.json";
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

fs::path choose_parent() {
  const bool memory = file_system(kMemoryBacked) == "tmpfs" && ::access(kMemoryBacked, W_OK) == 0 &&
                      room(kMemoryBacked) >= kRoomWanted;
  return memory ? fs::path(kMemoryBacked) : fs::temp_directory_path();
}

}  // namespace

WorkDirectory::WorkDirectory(const fs::path& named, const std::vector<std::string>& engines, StopSignal* stop)
    : stop_(stop) {
  if (named.empty()) {
    temporary_.emplace(choose_parent(), "chaosgate-");
    path_ = temporary_->path();
    if (stop_ != nullptr) {
      stop_->add_directory(path_);
    }
  } else {
    take_named(named, engines);
  }
  kind_ = file_system(path_);
  if (room(path_) < kRoomNeeded) {
    const std::string message = fmt::format("the work directory {} has {} MiB left, {} MiB are needed",
                                            path_.string(), room(path_) >> 20, kRoomNeeded >> 20);
    if (created_) {
      std::error_code ignored;
      fs::remove_all(path_, ignored);
    }
    throw EnvironmentError(message);
  }
}

void WorkDirectory::take_named(const fs::path& named, const std::vector<std::string>& engines) {
  path_ = fs::absolute(named);
  const fs::path marker = path_ / kMarker;
  std::error_code error;
  if (!fs::exists(path_, error)) {
    if (!fs::create_directory(path_, error)) {
      throw UsageError(fmt::format("--dir {}: cannot create it: {}", named.string(), error.message()));
    }
    created_ = true;
  } else if (!fs::is_directory(path_)) {
    throw UsageError(fmt::format("--dir {}: not a directory", named.string()));
  }
  if (::access(path_.c_str(), W_OK | X_OK) != 0) {
    throw UsageError(fmt::format("--dir {}: {}", named.string(), std::strerror(errno)));
  }
  if (!fs::is_empty(path_)) {
    std::string text;
    if (!read_file(marker, &text).ok()) {
      throw UsageError(fmt::format(
          "--dir {}: not empty and not a work directory of chaosgate (no {} in it); nothing was touched",
          named.string(), kMarker));
    }
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_object() || !json.contains("engines") || !json["engines"].is_array()) {
      throw UsageError(
          fmt::format("--dir {}: its {} is damaged; nothing was touched", named.string(), kMarker));
    }
    const auto owner = json["engines"].get<std::vector<std::string>>();
    if (owner != engines) {
      throw UsageError(fmt::format("--dir {}: belongs to engine {}, not {}; nothing was touched",
                                   named.string(), fmt::join(owner, "+"), fmt::join(engines, "+")));
    }
  }
  lock_.reset(::open(marker.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock_) {
    throw UsageError(fmt::format("--dir {}: cannot mark it: {}", named.string(), std::strerror(errno)));
  }
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw UsageError(fmt::format("--dir {}: in use by another campaign", named.string()));
  }
  const std::string text =
      nlohmann::json{{"chaosgate", "work directory"}, {"engines", engines}}.dump() + "\n";
  if (::ftruncate(lock_.get(), 0) != 0 || !write_all(lock_.get(), text, marker.string()).ok()) {
    throw EnvironmentError(fmt::format("--dir {}: cannot mark it: {}", named.string(), std::strerror(errno)));
  }
  // What an earlier campaign left when it was killed.
  for (const fs::directory_entry& entry : fs::directory_iterator(path_)) {
    if (entry.path().filename() != kMarker) {
      fs::remove_all(entry.path());
    }
  }
}

WorkDirectory::~WorkDirectory() {
  std::error_code ignored;
  if (temporary_) {
    if (stop_ != nullptr) {
      stop_->remove_directory(path_);
    }
    return;
  }
  if (created_) {
    fs::remove_all(path_, ignored);
  } else {
    fs::remove(path_ / kMarker, ignored);
  }
}

}  // namespace chaosgate::campaign
