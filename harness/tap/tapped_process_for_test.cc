#include "harness/tap/tapped_process_for_test.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "harness/base/check.h"
#include "harness/tap/filter.h"

namespace chaosgate::tap {
namespace {

// Sends one descriptor over a socket.
void send_fd(int socket, int fd) {
  char byte = 0;
  iovec piece{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  CHECK(::sendmsg(socket, &message, 0) == 1);
}

UniqueFd receive_fd(int socket) {
  char byte = 0;
  iovec piece{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  CHECK(::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1);
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return UniqueFd(fd);
}

}  // namespace

TappedRun run_tapped(TapOptions options, std::vector<StorageFault> faults, const std::function<int()>& body) {
  const std::filesystem::path directory = options.directory;
  int sockets[2];
  CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
  const UniqueFd ours(sockets[0]);
  UniqueFd theirs(sockets[1]);
  const pid_t pid = ::fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(::chdir(directory.c_str()) == 0);
    {
      const UniqueFd listener = install_filter();
      send_fd(theirs.get(), listener.get());
    }
    ::_exit(body());
  }
  theirs.reset();
  TappedRun run;
  Tap tap(std::move(options));
  Tap::Worker worker;
  worker.listener = receive_fd(ours.get());
  worker.pid = pid;
  worker.pidfd = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  worker.faults = std::move(faults);
  worker.look = [] { return Moment{{1, 2, 3, 4, 5}, "testing"}; };
  worker.before_kill = [&run] { ++run.ordered_kills; };
  tap.attach(std::move(worker));
  CHECK(::waitpid(pid, &run.wait_status, 0) == pid);
  run.end = tap.detach();
  run.trace = tap.take_trace();
  return run;
}

StorageFault fault(std::string_view text) {
  StorageFault parsed;
  const Status status = parse_fault(text, &parsed);
  CHECK(status.ok(), "{}", status.to_string());
  return parsed;
}

}  // namespace chaosgate::tap
