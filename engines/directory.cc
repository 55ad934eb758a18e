#include "engines/directory.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "harness/base/file.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

Status sync_file(const fs::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return Status::io_error("open " + file.string(), errno);
  }
  if (::fsync(fd.get()) != 0) {
    return Status::io_error("fsync " + file.string(), errno);
  }
  return {};
}

Status copy_file(const fs::path& from, const fs::path& to) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!source || !target) {
    return Status::io_error("copy " + from.string() + " to " + to.string(), errno);
  }
  std::vector<char> block(1 << 20);
  for (;;) {
    const ssize_t count = ::read(source.get(), block.data(), block.size());
    if (count == 0) {
      return {};
    }
    if (count > 0) {
      RETURN_IF_ERROR(write_all(target.get(), {block.data(), static_cast<std::size_t>(count)}, to.string()));
    } else if (errno != EINTR) {
      return Status::io_error("read " + from.string(), errno);
    }
  }
}

namespace {

// readdir's order differs between runs; the sequence of storage calls must not.
Status list_sorted(const fs::path& directory, std::vector<fs::path>* entries) {
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    entries->push_back(it->path());
  }
  std::sort(entries->begin(), entries->end());
  return error ? Status::io_error("list " + directory.string(), error.value()) : Status();
}

}  // namespace

Status sync_tree(const fs::path& directory) {
  std::vector<fs::path> entries;
  RETURN_IF_ERROR(list_sorted(directory, &entries));
  std::error_code error;
  for (const fs::path& entry : entries) {
    const fs::file_status status = fs::symlink_status(entry, error);
    if (fs::is_directory(status)) {
      RETURN_IF_ERROR(sync_tree(entry));
    } else if (fs::is_regular_file(status)) {
      RETURN_IF_ERROR(sync_file(entry));
    }
  }
  return sync_directory(directory);
}

Status copy_directory(const fs::path& from, const fs::path& to) {
  std::vector<fs::path> entries;
  RETURN_IF_ERROR(list_sorted(from, &entries));
  std::error_code error;
  if (!fs::create_directory(to, error)) {
    return Status::io_error("create " + to.string(), error ? error.value() : EEXIST);
  }
  for (const fs::path& entry : entries) {
    const bool is_directory = fs::is_directory(fs::symlink_status(entry, error));
    RETURN_IF_ERROR((is_directory ? copy_directory : copy_file)(entry, to / entry.filename()));
  }
  return {};
}

Status remove_tree(const fs::path& directory) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(directory, error);
  if (!fs::exists(status)) {
    return {};
  }
  if (fs::is_directory(status)) {
    std::vector<fs::path> entries;
    RETURN_IF_ERROR(list_sorted(directory, &entries));
    for (const fs::path& entry : entries) {
      RETURN_IF_ERROR(remove_tree(entry));
    }
  }
  fs::remove(directory, error);
  return error ? Status::io_error("remove " + directory.string(), error.value()) : Status();
}

Status directory_bytes(const fs::path& directory, std::uint64_t* bytes) {
  *bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code vanished;
    if (it->is_regular_file(vanished) && !vanished) {
      const std::uintmax_t size = it->file_size(vanished);
      *bytes += vanished ? 0 : size;
    }
  }
  return error ? Status::io_error("list " + directory.string(), error.value()) : Status();
}

fs::path without_trailing_slash(const fs::path& path) {
  fs::path result = path;
  while (!result.has_filename() && result.has_relative_path()) {
    result = result.parent_path();
  }
  return result;
}

fs::path parent_directory(const fs::path& path) {
  const fs::path parent = without_trailing_slash(path).parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

}  // namespace chaosgate::engines
