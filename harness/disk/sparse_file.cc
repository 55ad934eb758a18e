#include "harness/disk/sparse_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "harness/base/error.h"
#include "harness/disk/micro_op.h"

namespace chaosgate::disk {
namespace {

constexpr std::size_t kRunBytes = 1 << 20;

UniqueFd open_file(const Beneath& directory, const std::string& name, int flags) {
  UniqueFd fd;
  const Status status = directory.open(name, flags, &fd);
  if (status.is_not_found()) {
    throw EnvironmentError(status.message());  // a file of ours has vanished
  }
  throw_if_refused(status);
  return fd;
}

// Reads up to the end of the range, or of the file.
std::string read_range(int fd, const std::string& path, off_t begin, off_t end) {
  std::string bytes(static_cast<std::size_t>(end - begin), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pread(fd, bytes.data() + done, bytes.size() - done, begin + static_cast<off_t>(done));
    if (n < 0 && errno != EINTR) {
      throw_errno(path);
    }
    if (n == 0) {
      break;
    }
    done += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace

std::uint64_t read_sparse(const Beneath& directory, const std::string& name,
                          const std::function<void(std::uint64_t page, std::string_view bytes)>& page) {
  const std::string path = (directory.directory() / name).string();
  const UniqueFd fd = open_file(directory, name, O_RDONLY | O_NONBLOCK);
  struct stat info = {};
  if (::fstat(fd.get(), &info) != 0) {
    throw_errno(path);
  }
  constexpr off_t kPage = static_cast<off_t>(kPageBytes);
  for (off_t at = ::lseek(fd.get(), 0, SEEK_DATA); at >= 0 && at < info.st_size;
       at = ::lseek(fd.get(), at, SEEK_DATA)) {
    const off_t begin = at / kPage * kPage;
    const off_t hole = ::lseek(fd.get(), at, SEEK_HOLE);
    const off_t end = std::min((hole + kPage - 1) / kPage * kPage, begin + static_cast<off_t>(kRunBytes));
    std::string bytes = read_range(fd.get(), path, begin, end);
    bytes.resize(static_cast<std::size_t>(end - begin), '\0');
    for (std::size_t i = 0; i < bytes.size(); i += kPageBytes) {
      page(static_cast<std::uint64_t>(begin) / kPageBytes + i / kPageBytes,
           std::string_view(bytes).substr(i, kPageBytes));
    }
    at = end;
  }
  return static_cast<std::uint64_t>(info.st_size);
}

SparseWriter::SparseWriter(const Beneath& directory, const std::string& name, std::uint64_t size)
    : path_((directory.directory() / name).string()),
      size_(size),
      fd_(open_file(directory, name, O_WRONLY | O_CREAT | O_EXCL)) {}

void SparseWriter::write(std::uint64_t offset, std::string_view bytes) {
  if (offset != run_begin_ + run_.size() || run_.size() >= kRunBytes) {
    flush();
    run_begin_ = offset;
  }
  run_.append(bytes);
}

void SparseWriter::flush() {
  std::size_t done = 0;
  while (done < run_.size()) {
    const ssize_t n =
        ::pwrite(fd_.get(), run_.data() + done, run_.size() - done, static_cast<off_t>(run_begin_ + done));
    if (n < 0 && errno != EINTR) {
      throw_errno(path_);
    }
    done += static_cast<std::size_t>(std::max<ssize_t>(n, 0));
  }
  written_ = std::max(written_, run_begin_ + run_.size());
  run_.clear();
}

void SparseWriter::finish() {
  flush();
  if (written_ != size_ && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
    throw_errno(path_);
  }
}

}  // namespace chaosgate::disk
