// Listener is the driver's end of a worker's seccomp filter: it receives the calls that wait, and answers
// them. RemoteProcess is what the driver may do with a process that waits in one.
//
// Errors: a process that dies while its call waits is no error; what was meant for it is dropped and the
// function says so. Anything else throws EnvironmentError, above all a process that may not be looked into:
// its calls must not go on unseen. Used by one thread.
//
// Source: seccomp_unotify(2), pidfd_getfd(2), process_vm_readv(2).
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "harness/base/unique_fd.h"

namespace chaosgate::tap {

class Listener {
 public:
  explicit Listener(UniqueFd fd);

  int fd() const { return fd_.get(); }
  // Takes a waiting call. False when there is none any more.
  bool receive(seccomp_notif* call) const;
  // Each returns false when the caller has died.
  bool answer(std::uint64_t id, std::int64_t value) const;
  bool fail(std::uint64_t id, int error) const;
  bool let_through(std::uint64_t id) const;  // the kernel carries it out
  // Answers an open with a duplicate of `fd`.
  bool answer_with_fd(std::uint64_t id, int fd, bool close_on_exec) const;

 private:
  bool send(const seccomp_notif_resp& response) const;

  UniqueFd fd_;
};

class RemoteProcess {
 public:
  // `pidfd` of the process `pid`.
  RemoteProcess(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  // The process that the thread `thread` belongs to. With an empty pidfd when it is gone.
  static RemoteProcess of_thread(pid_t thread);
  // Why memory and descriptors of a process cannot be read, by trying; empty when they can. Throws nothing.
  static std::string why_unreadable(pid_t pid);

  pid_t pid() const { return pid_; }
  bool alive() const { return static_cast<bool>(pidfd_); }
  // A duplicate of its descriptor; empty when it has none of this number, or is gone.
  UniqueFd descriptor(int number) const;
  // Its current directory, as a path-only descriptor; empty when it is gone.
  UniqueFd current_directory() const;
  // Copies memory of the process. False when the address is bad or the process is gone.
  bool read(std::uint64_t address, void* to, std::size_t size) const;
  // A NUL-terminated path.
  bool read_path(std::uint64_t address, std::string* path) const;
  void kill() const;  // SIGKILL

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

}  // namespace chaosgate::tap
