// Beneath is one directory and what lies below it. It is the only way from a name that an input gives (a
// member of an archive, an entry of a trace) to a file: a bundle is mailed around, so its names are hostile.
//
// The kernel resolves each name below one directory descriptor (openat2 with RESOLVE_BENEATH) and follows no
// symbolic link. A name is refused before that when it is empty or absolute, has a part "..", or a NUL.
//
//   const Beneath image(directory);
//   UniqueFd file;
//   throw_if_refused(image.open("engine/CURRENT", O_WRONLY | O_CREAT | O_EXCL, &file));
//
// invalid_argument: the name is at fault (it leads out, is too long, lies below a file, is taken). not_found:
// there is no such file. io_error: the machine is at fault. May be used by several threads.
#pragma once

#include <filesystem>
#include <string>

#include "harness/base/status.h"
#include "harness/base/unique_fd.h"

namespace chaosgate {

class Beneath {
 public:
  // Throws EnvironmentError when there is no such directory.
  explicit Beneath(const std::filesystem::path& directory);

  const std::filesystem::path& directory() const { return directory_; }

  // Like open(2). New files get mode 0644; O_CLOEXEC is added.
  Status open(const std::string& name, int flags, UniqueFd* fd) const;
  // Like mkdir(2).
  Status make_directory(const std::string& name) const;
  // The directories that lie above `name`, as far as they are missing.
  Status make_parents(const std::string& name) const;
  // A new file with these bytes. Its directories must be there.
  Status write_new(const std::string& name, std::string_view bytes) const;

  // A further name for the file `from` below `a`. *linked is false where the file system cannot do it.
  static Status link(const Beneath& a, const std::string& from, const Beneath& b, const std::string& to,
                     bool* linked);

 private:
  Status refused(const std::string& name, int error) const;
  // The directory of `name`, and its last part.
  Status open_parent(const std::string& name, UniqueFd* parent, std::string* last) const;

  std::filesystem::path directory_;
  UniqueFd fd_;
};

// Throws UsageError when the name was at fault, EnvironmentError when the machine was.
void throw_if_refused(const Status& status);

}  // namespace chaosgate
