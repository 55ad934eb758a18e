#include "harness/base/beneath.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/printable.h"

namespace chaosgate {

namespace fs = std::filesystem;

namespace {

// What the name itself is to blame for.
constexpr std::array kErrorsOfNames = {EXDEV,  ELOOP,  ENAMETOOLONG, ENOTDIR, EINVAL,
                                       EEXIST, EISDIR, ENXIO,        EILSEQ};

// For kernels and sandboxes without openat2: one name after the other, none of them a link. REQUIRES: no part
// of the name is "..".
int walk_below(int directory, const fs::path& name, int flags) {
  UniqueFd at(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (const fs::path& part : name.parent_path()) {
    if (!at) {
      return -1;
    }
    at.reset(::openat(at.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  const fs::path last = name.filename();
  if (!at) {
    return -1;
  }
  // O_PATH would open a link itself.
  struct stat entry {};
  if (::fstatat(at.get(), last.empty() ? "." : last.c_str(), &entry, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISLNK(entry.st_mode)) {
    errno = ELOOP;
    return -1;
  }
  return ::openat(at.get(), last.empty() ? "." : last.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, 0644);
}

int open_below(int directory, const std::string& name, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? 0644 : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const long fd = ::syscall(SYS_openat2, directory, name.c_str(), &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
      return walk_below(directory, name, flags);
    }
    // EAGAIN: something was renamed meanwhile, and the kernel could not tell.
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) {
      return static_cast<int>(fd);
    }
  }
}

bool leads_below(const std::string& name) {
  const fs::path path = name;
  return !name.empty() && name.find('\0') == std::string::npos && path.is_relative() &&
         std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

}  // namespace

Beneath::Beneath(const fs::path& directory)
    : directory_(directory), fd_(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
  if (!fd_) {
    throw_errno("open " + directory.string());
  }
}

Status Beneath::refused(const std::string& name, int error) const {
  const std::string what = fmt::format("'{}' below {}", printable_line(name), directory_.string());
  if (error == ENOENT) {
    return {StatusCode::not_found, what + ": there is no such file"};
  }
  const Status status = Status::io_error(what, error);
  const bool of_name = std::find(kErrorsOfNames.begin(), kErrorsOfNames.end(), error) != kErrorsOfNames.end();
  return of_name ? Status::invalid_argument(status.message()) : status;
}

Status Beneath::open(const std::string& name, int flags, UniqueFd* fd) const {
  if (!leads_below(name)) {
    return refused(name, EXDEV);
  }
  fd->reset(open_below(fd_.get(), name, flags));
  return *fd ? Status() : refused(name, errno);
}

Status Beneath::open_parent(const std::string& name, UniqueFd* parent, std::string* last) const {
  const fs::path path = name;
  *last = path.filename().string();
  if (!leads_below(name) || last->empty() || *last == ".") {
    return refused(name, EXDEV);
  }
  const std::string above = path.parent_path().string();
  parent->reset(open_below(fd_.get(), above.empty() ? "." : above, O_PATH | O_DIRECTORY));
  return *parent ? Status() : refused(name, errno);
}

Status Beneath::make_directory(const std::string& name) const {
  UniqueFd parent;
  std::string last;
  RETURN_IF_ERROR(open_parent(name, &parent, &last));
  return ::mkdirat(parent.get(), last.c_str(), 0755) == 0 ? Status() : refused(name, errno);
}

Status Beneath::make_parents(const std::string& name) const {
  if (!leads_below(name)) {
    return refused(name, EXDEV);
  }
  UniqueFd at(open_below(fd_.get(), ".", O_PATH | O_DIRECTORY));
  for (const fs::path& part : fs::path(name).parent_path()) {
    if (at && ::mkdirat(at.get(), part.c_str(), 0755) != 0 && errno != EEXIST) {
      return refused(name, errno);
    }
    UniqueFd next(at ? open_below(at.get(), part.string(), O_PATH | O_DIRECTORY) : -1);
    if (!next) {
      return refused(name, errno);
    }
    at = std::move(next);
  }
  return {};
}

Status Beneath::write_new(const std::string& name, std::string_view bytes) const {
  UniqueFd file;
  RETURN_IF_ERROR(open(name, O_WRONLY | O_CREAT | O_EXCL, &file));
  return write_all(file.get(), bytes, (directory_ / name).string());
}

Status Beneath::link(const Beneath& a, const std::string& from, const Beneath& b, const std::string& to,
                     bool* linked) {
  UniqueFd from_parent;
  UniqueFd to_parent;
  std::string from_last;
  std::string to_last;
  RETURN_IF_ERROR(a.open_parent(from, &from_parent, &from_last));
  RETURN_IF_ERROR(b.open_parent(to, &to_parent, &to_last));
  *linked = ::linkat(from_parent.get(), from_last.c_str(), to_parent.get(), to_last.c_str(), 0) == 0;
  if (!*linked && errno != EXDEV && errno != EMLINK && errno != EPERM) {
    return b.refused(to, errno);
  }
  return {};
}

void throw_if_refused(const Status& status) {
  if (status.code() == StatusCode::invalid_argument || status.is_not_found()) {
    throw UsageError(status.message());
  }
  if (!status.ok()) {
    throw EnvironmentError(status.message());
  }
}

}  // namespace chaosgate
