// Whole-file helpers over POSIX: read, write durably, sync directories, temporary directories.
//
// Functions that return Status report failures of files under test; functions that throw are for the
// harness's own files. None of them retries a failed fsync: after one failure the data must be
// considered lost (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "harness/base/status.h"
#include "harness/base/unique_fd.h"

namespace chaosgate {

// Writes all of `bytes` at the file position, continuing after short writes and EINTR.
Status write_all(int fd, std::string_view bytes, const std::string& name);

// Reads bytes [offset, offset + size) of a file, which leaves its position alone. corruption when it is
// shorter.
Status read_exactly(int fd, std::uint64_t offset, char* bytes, std::size_t size, const std::string& name);

// not_found when there is no such file.
Status read_file(const std::filesystem::path& path, std::string* bytes);

// fsync of a directory: makes the names in it durable.
Status sync_directory(const std::filesystem::path& directory);

// Creates `path` or replaces it so that after a crash either the old or the new content is there, whole:
// temporary file beside it, fsync, rename, fsync of the directory. `before_rename`, if given, is called when
// the temporary file is durable.
Status replace_file_durably(const std::filesystem::path& path, std::string_view bytes,
                            const std::function<void()>& before_rename = nullptr);

// The same without fsync, for reports: readers never see half a file. Throws EnvironmentError.
void replace_file(const std::filesystem::path& path, std::string_view bytes);

// Copies a directory tree of regular files and directories. Throws EnvironmentError.
void copy_tree(const std::filesystem::path& from, const std::filesystem::path& to);

// A directory that is removed with everything in it when the object goes.
class TempDir {
 public:
  // Creates <parent>/<prefix>XXXXXX. Throws EnvironmentError.
  TempDir(const std::filesystem::path& parent, const std::string& prefix);
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&& other) noexcept;
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::filesystem::path& path() const { return path_; }

 private:
  void remove() noexcept;

  std::filesystem::path path_;
};

}  // namespace chaosgate
