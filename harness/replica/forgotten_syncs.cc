#include "harness/replica/forgotten_syncs.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include <fmt/format.h>

namespace chaosgate::replica {
namespace {

std::string forgotten_pattern;  // written before threads start

bool is_forgotten(int fd) {
  if (forgotten_pattern.empty()) {
    return false;
  }
  std::array<char, 4096> path{};
  const ssize_t size = ::readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), path.data(), path.size() - 1);
  return size > 0 && ::fnmatch(forgotten_pattern.c_str(), path.data(), 0) == 0;
}

}  // namespace

void forget_syncs(const std::string& pattern) { forgotten_pattern = pattern; }

}  // namespace chaosgate::replica

extern "C" int fsync(int fd) {
  return chaosgate::replica::is_forgotten(fd) ? 0 : static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int fdatasync(int fd) {
  return chaosgate::replica::is_forgotten(fd) ? 0 : static_cast<int>(::syscall(SYS_fdatasync, fd));
}
