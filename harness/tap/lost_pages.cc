#include "harness/tap/lost_pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/tap/fault.h"

namespace chaosgate::tap {

void LostPages::before_write(InodeId inode, int file, std::uint64_t offset, std::uint64_t size) {
  File& pages = files_[inode];
  if (!pages.fd) {
    // The worker's descriptor may be for writing only.
    const std::string link = "/proc/self/fd/" + std::to_string(file);
    pages.fd = UniqueFd(::open(link.c_str(), O_RDWR | O_CLOEXEC));
    if (!pages.fd) {
      throw_errno("open a data file again");
    }
  }
  for (std::uint64_t page = offset / kPageBytes; page * kPageBytes < offset + size; ++page) {
    const auto was_lost = pages.lost.find(page);
    if (was_lost != pages.lost.end()) {
      // Dirty again, with all that the cache holds; what the disk holds has not changed.
      pages.dirty.insert(pages.lost.extract(was_lost));
      continue;
    }
    if (pages.dirty.contains(page)) {
      continue;
    }
    std::string content(kPageBytes, '\0');
    if (::pread(pages.fd.get(), content.data(), content.size(), static_cast<off_t>(page * kPageBytes)) < 0) {
      throw_errno("read a data file");
    }
    pages.dirty.emplace(page, std::move(content));
  }
}

void LostPages::written_through(InodeId inode, std::uint64_t offset, std::uint64_t size) {
  if (const auto at = files_.find(inode); at != files_.end()) {
    for (std::uint64_t page = offset / kPageBytes; page * kPageBytes < offset + size; ++page) {
      at->second.dirty.erase(page);
    }
  }
}

void LostPages::synced(InodeId inode) {
  if (const auto at = files_.find(inode); at != files_.end()) {
    at->second.dirty.clear();
  }
}

void LostPages::lost(InodeId inode) {
  if (const auto at = files_.find(inode); at != files_.end()) {
    at->second.lost.merge(at->second.dirty);
    at->second.dirty.clear();
  }
}

void LostPages::restore() {
  for (auto& [inode, pages] : files_) {
    struct stat info {};
    if (::fstat(pages.fd.get(), &info) != 0) {
      throw_errno("stat a data file");
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    for (const auto& [page, content] : pages.lost) {
      const std::uint64_t at = page * kPageBytes;
      if (at >= size) {
        continue;
      }
      const std::uint64_t length = std::min<std::uint64_t>(kPageBytes, size - at);
      if (::pwrite(pages.fd.get(), content.data(), length, static_cast<off_t>(at)) !=
          static_cast<ssize_t>(length)) {
        throw_errno("write a data file");
      }
    }
  }
  files_.clear();
}

}  // namespace chaosgate::tap
