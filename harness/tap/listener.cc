#include "harness/tap/listener.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <utility>

#include "harness/base/error.h"

// Linux 6.6; Debian 12's headers are older than the kernels that run it.
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

namespace chaosgate::tap {

Listener::Listener(UniqueFd fd) : fd_(std::move(fd)) {
  // Driver and worker take turns on one processor, several times faster. An older kernel does without.
  ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

bool Listener::receive(seccomp_notif* call) const {
  for (;;) {
    std::memset(call, 0, sizeof *call);
    if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, call) == 0) {
      return true;
    }
    if (errno == ENOENT) {
      return false;  // the caller was killed meanwhile
    }
    if (errno != EINTR) {
      throw_errno("receive a storage call");
    }
  }
}

bool Listener::send(const seccomp_notif_resp& response) const {
  seccomp_notif_resp copy = response;
  while (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SEND, &copy) != 0) {
    if (errno == ENOENT) {
      return false;
    }
    if (errno != EINTR) {
      throw_errno("answer a storage call");
    }
  }
  return true;
}

bool Listener::answer(std::uint64_t id, std::int64_t value) const {
  return send({.id = id, .val = value, .error = 0, .flags = 0});
}

bool Listener::fail(std::uint64_t id, int error) const {
  return send({.id = id, .val = 0, .error = -error, .flags = 0});
}

bool Listener::let_through(std::uint64_t id) const {
  return send({.id = id, .val = 0, .error = 0, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}

bool Listener::answer_with_fd(std::uint64_t id, int fd, bool close_on_exec) const {
  // Not with SECCOMP_ADDFD_FLAG_SEND: a signal to this thread in the middle of it (SIGSTOP, say) leaves an
  // answer without a file, and the worker takes 0 for its descriptor.
  seccomp_notif_addfd request{};
  request.id = id;
  request.srcfd = static_cast<std::uint32_t>(fd);
  request.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
  int number = -1;
  while ((number = ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request)) < 0) {
    if (errno == ENOENT) {
      return false;
    }
    if (errno == EMFILE) {  // the worker's limit, not ours
      return fail(id, EMFILE);
    }
    if (errno != EINTR) {
      throw_errno("hand a file to a worker");
    }
  }
  return answer(id, number);
}

namespace {

// How reading a process fails when there is nothing wrong with the machine: it is gone, or has no such
// address, descriptor or file.
bool is_of_the_caller(int error) {
  return error == ESRCH || error == EFAULT || error == EBADF || error == ENOENT || error == EINTR;
}

UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

UniqueFd duplicate(const UniqueFd& pidfd, int number) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), number, 0)));
}

ssize_t read_memory(pid_t pid, std::uint64_t address, void* to, std::size_t size) {
  const iovec local{to, size};
  const iovec remote{reinterpret_cast<void*>(address), size};  // NOLINT(performance-no-int-to-ptr)
  return ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

}  // namespace

std::string RemoteProcess::why_unreadable(pid_t pid) {
  const UniqueFd pidfd = open_pidfd(pid);
  if (!pidfd && !is_of_the_caller(errno)) {
    return std::string("pidfd_open of a worker: ") + std::strerror(errno);
  }
  // Whether the process may be read is checked before whether the address is good.
  char byte = 0;
  if (read_memory(pid, 0, &byte, 1) < 0 && !is_of_the_caller(errno)) {
    return std::string("process_vm_readv of a worker: ") + std::strerror(errno);
  }
  if (!duplicate(pidfd, STDERR_FILENO) && !is_of_the_caller(errno)) {
    return std::string("pidfd_getfd of a worker: ") + std::strerror(errno);
  }
  return "";
}

RemoteProcess RemoteProcess::of_thread(pid_t thread) {
  // "Tgid:\t123" in /proc/<thread>/status.
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  std::string word;
  pid_t group = -1;
  while (status >> word) {
    if (word == "Tgid:") {
      status >> group;
      break;
    }
  }
  if (group <= 0 && (::kill(thread, 0) == 0 || errno == EPERM)) {
    throw EnvironmentError("/proc/" + std::to_string(thread) + "/status of a worker cannot be read");
  }
  UniqueFd pidfd = group > 0 ? open_pidfd(group) : UniqueFd();
  if (group > 0 && !pidfd && !is_of_the_caller(errno)) {
    throw_errno("pidfd_open of a worker");
  }
  return {group, std::move(pidfd)};
}

UniqueFd RemoteProcess::descriptor(int number) const {
  UniqueFd fd = duplicate(pidfd_, number);
  if (!fd && !is_of_the_caller(errno)) {
    throw_errno("pidfd_getfd of a worker");
  }
  return fd;
}

UniqueFd RemoteProcess::current_directory() const {
  const std::string link = "/proc/" + std::to_string(pid_) + "/cwd";
  UniqueFd fd(::open(link.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd && !is_of_the_caller(errno)) {
    throw_errno("open " + link + " of a worker");
  }
  return fd;
}

bool RemoteProcess::read(std::uint64_t address, void* to, std::size_t size) const {
  char* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t count = read_memory(pid_, address, at, size);
    if (count < 0 && !is_of_the_caller(errno)) {
      throw_errno("process_vm_readv of a worker");
    }
    if (count <= 0) {
      return false;
    }
    at += count;
    address += static_cast<std::uint64_t>(count);
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

bool RemoteProcess::read_path(std::uint64_t address, std::string* path) const {
  path->clear();
  constexpr std::size_t kPage = 4096;
  while (path->size() < PATH_MAX) {
    // Never across a page that may not be mapped.
    std::array<char, kPage> bytes;
    const std::size_t size = kPage - address % kPage;
    if (!read(address, bytes.data(), size)) {
      return false;
    }
    const std::size_t length = ::strnlen(bytes.data(), size);
    path->append(bytes.data(), length);
    if (length < size) {
      return true;
    }
    address += size;
  }
  return false;
}

void RemoteProcess::kill() const {
  if (pidfd_) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  }
}

}  // namespace chaosgate::tap
