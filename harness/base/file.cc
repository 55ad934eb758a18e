#include "harness/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "harness/base/error.h"

namespace chaosgate {

namespace fs = std::filesystem;

Status write_all(int fd, std::string_view bytes, const std::string& name) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return Status::io_error("write " + name, errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status read_exactly(int fd, std::uint64_t offset, char* bytes, std::size_t size, const std::string& name) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::pread(fd, bytes + done, size - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      return Status::io_error("read " + name, errno);
    }
    if (count == 0) {
      return Status::corruption(
          fmt::format("{}: expected {} bytes, found {}", name, offset + size, offset + done));
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Status read_file(const fs::path& path, std::string* bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return errno == ENOENT ? Status::not_found() : Status::io_error("open " + path.string(), errno);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return Status::io_error("stat " + path.string(), errno);
  }
  bytes->resize(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  for (;;) {
    if (done == bytes->size()) {
      bytes->resize(done + 4096);  // a file may grow while it is read
    }
    const ssize_t count = ::read(fd.get(), bytes->data() + done, bytes->size() - done);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return Status::io_error("read " + path.string(), errno);
    }
    if (count == 0) {
      bytes->resize(done);
      return {};
    }
    done += static_cast<std::size_t>(count);
  }
}

Status sync_directory(const fs::path& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return Status::io_error("open " + directory.string(), errno);
  }
  if (::fsync(fd.get()) != 0) {
    return Status::io_error("fsync " + directory.string(), errno);
  }
  return {};
}

namespace {

Status write_temporary(const fs::path& path, std::string_view bytes, bool durable) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) {
    return Status::io_error("create " + path.string(), errno);
  }
  RETURN_IF_ERROR(write_all(fd.get(), bytes, path.string()));
  if (durable && ::fsync(fd.get()) != 0) {
    return Status::io_error("fsync " + path.string(), errno);
  }
  return {};
}

fs::path temporary_of(const fs::path& path) {
  fs::path temporary = path;
  temporary += ".tmp";
  return temporary;
}

Status rename_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return Status::io_error("rename " + from.string() + " to " + to.string(), errno);
  }
  return {};
}

}  // namespace

Status replace_file_durably(const fs::path& path, std::string_view bytes,
                            const std::function<void()>& before_rename) {
  const fs::path temporary = temporary_of(path);
  RETURN_IF_ERROR(write_temporary(temporary, bytes, true));
  if (before_rename) {
    before_rename();
  }
  RETURN_IF_ERROR(rename_file(temporary, path));
  return sync_directory(path.parent_path());
}

void replace_file(const fs::path& path, std::string_view bytes) {
  std::error_code none;
  if (fs::is_other(path, none)) {  // a device or a pipe is written to, not replaced
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) {
      throw_errno("open " + path.string());
    }
    if (const Status status = write_all(fd.get(), bytes, path.string()); !status.ok()) {
      throw EnvironmentError(status.message());
    }
    return;
  }
  const fs::path temporary = temporary_of(path);
  Status status = write_temporary(temporary, bytes, false);
  if (status.ok()) {
    status = rename_file(temporary, path);
  }
  if (!status.ok()) {
    ::unlink(temporary.c_str());
    throw EnvironmentError(status.message());
  }
}

void copy_tree(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy(from, to, fs::copy_options::recursive, error);
  if (error) {
    throw_errno("copy " + from.string() + " to " + to.string(), error.value());
  }
}

TempDir::TempDir(const fs::path& parent, const std::string& prefix) {
  std::string pattern = (parent / (prefix + "XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw_errno("create a temporary directory in " + parent.string());
  }
  path_ = pattern;
}

TempDir::TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

TempDir::~TempDir() { remove(); }

void TempDir::remove() noexcept {
  if (!path_.empty()) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
}

}  // namespace chaosgate
