#include "harness/campaign/image_mirror.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <set>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/page.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kChunkBytes = 256 << 10;
// File times come from a clock that ticks every 1 to 10 ms.
constexpr std::int64_t kRacyNs = 20'000'000;

std::int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

std::size_t read_at(int fd, char* buffer, std::size_t size, off_t offset, const fs::path& path) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::pread(fd, buffer + done, size - done, offset + static_cast<off_t>(done));
    if (count < 0) {
      throw_errno("read " + path.string());
    }
    if (count == 0) {
      break;
    }
    done += static_cast<std::size_t>(count);
  }
  return done;
}

// The first offset at or behind `offset` that is not in a hole; `size` when there is none.
off_t next_data(int fd, off_t offset, off_t size) {
  const off_t data = ::lseek(fd, offset, SEEK_DATA);
  return data < 0 ? (errno == ENXIO ? size : offset) : data;
}

// Brings `to` to the content of `from`, writing only what differs.
void copy_changed(const fs::path& from, const fs::path& to, std::uint64_t size) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) {
    throw_errno("open " + from.string());
  }
  const UniqueFd target(::open(to.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!target) {
    throw_errno("create " + to.string());
  }
  if (::ftruncate(target.get(), static_cast<off_t>(size)) != 0) {
    throw_errno("resize " + to.string());
  }
  thread_local std::vector<char> ours(kChunkBytes);
  thread_local std::vector<char> theirs(kChunkBytes);
  off_t offset = 0;
  while (static_cast<std::uint64_t>(offset) < size) {
    const off_t data = next_data(source.get(), offset, static_cast<off_t>(size));
    if (data > offset) {
      // Holes stay holes (an engine may preallocate far more than it uses), also where there was data before.
      if (::fallocate(target.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, data - offset) != 0) {
        throw_errno("punch a hole into " + to.string());
      }
      offset = data;
      continue;
    }
    const std::size_t count = read_at(source.get(), ours.data(), kChunkBytes, offset, from);
    if (count == 0) {
      break;
    }
    const std::size_t old = read_at(target.get(), theirs.data(), count, offset, to);
    for (std::size_t at = 0; at < count; at += kPageBytes) {
      const std::size_t length = std::min(kPageBytes, count - at);
      if (at + length <= old && std::memcmp(ours.data() + at, theirs.data() + at, length) == 0) {
        continue;
      }
      if (::pwrite(target.get(), ours.data() + at, length, offset + static_cast<off_t>(at)) !=
          static_cast<ssize_t>(length)) {
        throw_errno("write " + to.string());
      }
    }
    offset += static_cast<off_t>(count);
  }
}

}  // namespace

ImageMirror::ImageMirror(fs::path from, fs::path to) : from_(std::move(from)), to_(std::move(to)) {
  fs::create_directories(to_);
}

void ImageMirror::sync() {
  timespec now_spec{};
  clock_gettime(CLOCK_REALTIME, &now_spec);
  const std::int64_t now = nanoseconds(now_spec);
  std::set<std::string> present;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(from_)) {
    const std::string name = entry.path().lexically_relative(from_).string();
    present.insert(name);
    struct stat info {};
    if (::lstat(entry.path().c_str(), &info) != 0) {
      throw_errno("stat " + entry.path().string());
    }
    const fs::file_type kind = fs::symlink_status(to_ / name).type();
    if (S_ISDIR(info.st_mode)) {
      seen_.erase(name);
      if (kind != fs::file_type::directory) {
        fs::remove(to_ / name);  // was a file
        fs::create_directories(to_ / name);
      }
      continue;
    }
    if (kind == fs::file_type::directory) {
      fs::remove_all(to_ / name);
    }
    const Seen current{info.st_ino, static_cast<std::uint64_t>(info.st_size), nanoseconds(info.st_mtim),
                       now - nanoseconds(info.st_mtim) < kRacyNs};
    Seen& seen = seen_[name];
    const bool same = !seen.racy && seen.inode == current.inode && seen.size == current.size &&
                      seen.modified_ns == current.modified_ns;
    if (!same) {
      if (seen.inode != current.inode) {
        std::error_code ignored;
        fs::remove(to_ / name, ignored);  // a new file under an old name starts with holes again
      }
      copy_changed(entry.path(), to_ / name, current.size);
      seen = current;
    }
  }
  for (auto at = seen_.begin(); at != seen_.end();) {
    at = present.contains(at->first) ? std::next(at) : seen_.erase(at);
  }
  std::vector<fs::path> gone;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(to_)) {
    if (!present.contains(entry.path().lexically_relative(to_).string())) {
      gone.push_back(entry.path());
    }
  }
  for (const fs::path& path : gone) {
    fs::remove_all(path);
  }
}

}  // namespace chaosgate::campaign
