#include "harness/campaign/scratch_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <system_error>

#include "harness/base/error.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

bool is_mine(const fs::path& directory) {
  struct stat info {};
  return ::lstat(directory.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
}

}  // namespace

ScratchDirectory::ScratchDirectory(const fs::path& parent, const std::string& what)
    : directory_(parent, kPrefix + what) {
  // Under its name only when it is locked: nobody may find it without.
  const fs::path unlocked = path() / (std::string(kOwner) + ".new");
  lock_.reset(::open(unlocked.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!lock_ || ::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 ||
      ::rename(unlocked.c_str(), (path() / kOwner).c_str()) != 0) {
    throw_errno("mark " + path().string() + " as in use");
  }
}

std::uint64_t ScratchDirectory::remove_abandoned(const fs::path& parent) {
  std::uint64_t removed = 0;
  std::error_code error;
  for (fs::directory_iterator at(parent, error), end; !error && at != end; at.increment(error)) {
    const fs::path directory = at->path();
    if (!directory.filename().string().starts_with(kPrefix) || !is_mine(directory)) {
      continue;
    }
    const UniqueFd owner(::open((directory / kOwner).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (owner && ::flock(owner.get(), LOCK_EX | LOCK_NB) == 0) {
      std::error_code ignored;
      fs::remove_all(directory, ignored);
      removed += fs::exists(directory, ignored) ? 0 : 1;
    }
  }
  return removed;
}

}  // namespace chaosgate::campaign
