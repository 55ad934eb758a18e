#include "harness/migrate/source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "engines/directory.h"
#include "engines/marker.h"
#include "harness/base/file.h"
#include "harness/base/printable.h"

namespace chaosgate::migrate {

namespace fs = std::filesystem;

namespace {

bool matches(const engines::FileClass& file_class, const std::string& path) {
  return ::fnmatch(file_class.pattern.c_str(), path.c_str(), 0) == 0;
}

bool is_immutable(const engines::EngineConfig& config, const std::string& path) {
  return std::any_of(config.file_classes.begin(), config.file_classes.end(),
                     [&](const engines::FileClass& c) { return c.immutable && matches(c, path); });
}

// The regular files of a tree, by path relative to it, sorted.
Status list_files(const fs::path& directory, std::vector<std::string>* files) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;  // of a link that leads nowhere
    const fs::file_type type = it->status(ignored).type();
    if (type == fs::file_type::regular) {
      files->push_back(it->path().lexically_relative(directory).string());
    } else if (type != fs::file_type::directory) {
      return Status::invalid_argument(fmt::format(
          "the source has {}, which is neither a file nor a directory", printable_line(it->path().string())));
    }
  }
  std::sort(files->begin(), files->end());
  return error ? Status::io_error("list " + directory.string(), error.value()) : Status();
}

struct flock whole_file(short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

// Locks one file for reading. `busy`: any lock is on it, whoever has it.
Status lock_file(const fs::path& path, UniqueFd* fd, bool* busy) {
  *busy = false;
  fd->reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*fd) {
    return Status::io_error("open " + path.string(), errno);
  }
  struct flock probe = whole_file(F_WRLCK);
  if (::fcntl(fd->get(), F_OFD_GETLK, &probe) != 0) {
    return Status::io_error("look for locks on " + path.string(), errno);
  }
  struct flock hold = whole_file(F_RDLCK);
  if (probe.l_type != F_UNLCK || ::fcntl(fd->get(), F_OFD_SETLK, &hold) != 0 ||
      ::flock(fd->get(), LOCK_SH | LOCK_NB) != 0) {
    *busy = probe.l_type != F_UNLCK || errno == EAGAIN || errno == EACCES || errno == EWOULDBLOCK;
    return *busy ? Status() : Status::io_error("lock " + path.string(), errno);
  }
  return {};
}

Status clone_file(const fs::path& from, const fs::path& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!source || !target) {
    return Status::io_error("copy " + from.string() + " to " + to.string(), errno);
  }
  if (::ioctl(target.get(), FICLONE, source.get()) == 0) {
    return {};  // the file system shares the blocks
  }
  return engines::copy_file(from, to);
}

bool same_file_system(const fs::path& a, const fs::path& b) {
  struct stat x {};
  struct stat y {};
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_dev == y.st_dev;
}

}  // namespace

Status SourceHold::stamp(std::map<std::string, Stamp>* stamps) const {
  std::vector<std::string> files;
  RETURN_IF_ERROR(list_files(directory_, &files));
  for (const std::string& file : files) {
    struct stat info {};
    if (::stat((directory_ / file).c_str(), &info) != 0) {
      return Status::io_error("stat " + (directory_ / file).string(), errno);
    }
    stamps->emplace(file, Stamp{info.st_ino, static_cast<std::uint64_t>(info.st_size), info.st_mtim.tv_sec,
                                info.st_mtim.tv_nsec});
  }
  return {};
}

Status SourceHold::take(const engines::EngineConfig& config, const fs::path& directory) {
  directory_ = directory;
  RETURN_IF_ERROR(stamp(&stamps_));
  for (const auto& [file, ignored] : stamps_) {
    if (is_immutable(config, file)) {
      continue;  // of these there may be thousands, and no engine locks them
    }
    bool busy = false;
    RETURN_IF_ERROR(lock_file(directory / file, &locks_.emplace_back(), &busy));
    if (busy) {
      return Status::invalid_argument(
          fmt::format("the source {} is in use: a process has {} locked", directory.string(), file));
    }
  }
  return {};
}

Status SourceHold::check_unchanged() const {
  std::map<std::string, Stamp> now;
  RETURN_IF_ERROR(stamp(&now));
  if (now == stamps_) {
    return {};
  }
  std::string changed = "its list of files";
  for (const auto& [file, stamp] : stamps_) {
    if (const auto found = now.find(file); found != now.end() && found->second != stamp) {
      changed = file;
      break;
    }
  }
  return Status::invalid_argument(fmt::format(
      "the source {} was changed while it was read ({}): it is in use", directory_.string(), changed));
}

SourceCopy::~SourceCopy() {
  if (lock_) {
    std::error_code ignored;
    fs::remove_all(place_, ignored);
  }
}

Status SourceCopy::make(const engines::EngineConfig& config, const fs::path& from, const fs::path& place) {
  std::error_code error;
  fs::create_directory(place, error);
  if (error) {
    return Status::io_error("create " + place.string(), error.value());
  }
  UniqueFd lock(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Status::invalid_argument(fmt::format("{} is in use by another migration", place.string()));
  }
  place_ = place;
  lock_ = std::move(lock);
  for (const fs::directory_entry& left : fs::directory_iterator(place)) {
    fs::remove_all(left.path(), error);
  }
  std::vector<std::string> files;
  RETURN_IF_ERROR(list_files(from, &files));
  const bool linkable = same_file_system(from, place);
  const auto links = [&](const std::string& file) { return linkable && is_immutable(config, file); };
  std::uint64_t needed = 0;
  for (const std::string& file : files) {
    const std::uintmax_t size = links(file) ? 0 : fs::file_size(from / file, error);
    needed += error ? 0 : size;
  }
  std::uint64_t ignored = 0;
  RETURN_IF_ERROR(require_room(place, needed, &ignored));
  for (const std::string& file : files) {
    fs::create_directories((place / file).parent_path(), error);
    if (error) {
      return Status::io_error("create " + (place / file).parent_path().string(), error.value());
    }
    if (!links(file) || ::link((from / file).c_str(), (place / file).c_str()) != 0) {
      RETURN_IF_ERROR(clone_file(from / file, place / file));
    }
  }
  return {};
}

Status find_store(const fs::path& given, fs::path* store) {
  std::error_code error;
  const fs::path canonical = fs::canonical(given, error);
  if (error || !fs::is_directory(canonical, error)) {
    return Status::invalid_argument(fmt::format("the source {} is not a directory", given.string()));
  }
  for (const fs::path& place : {canonical, canonical / "engine"}) {
    if (fs::exists(place / engines::kMarkerFile, error)) {
      *store = place;
      return {};
    }
  }
  return Status::invalid_argument(fmt::format(
      "the source {} is neither an engine's directory (with a file {}) nor a replica's (with one in engine/)",
      given.string(), engines::kMarkerFile));
}

Status require_room(const fs::path& place, std::uint64_t needed, std::uint64_t* free_bytes) {
  fs::path there = place;
  std::error_code error;
  while (!fs::exists(there, error) && there.has_relative_path()) {
    there = engines::parent_directory(there);
  }
  struct statvfs info {};
  if (::statvfs(there.c_str(), &info) != 0) {
    return Status::io_error("look at the file system of " + there.string(), errno);
  }
  *free_bytes = std::uint64_t{info.f_bavail} * info.f_frsize;
  if (*free_bytes < needed) {
    return Status::invalid_argument(fmt::format("{} needs about {} MiB, its file system has {} MiB left",
                                                place.string(), (needed >> 20) + 1, *free_bytes >> 20));
  }
  return {};
}

}  // namespace chaosgate::migrate
