#include "harness/wire/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "harness/base/error.h"
#include "harness/wire/awake_bound.h"

namespace chaosgate::wire {
namespace {

// Larger than the greeting, the longest message.
constexpr std::size_t kMessageBytesMax = 128 << 10;

std::pair<UniqueFd, UniqueFd> make_sockets(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) {
    throw_errno("socketpair");
  }
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

std::pair<UniqueFd, UniqueFd> Channel::make_pair() { return make_sockets(SOCK_SEQPACKET); }

std::pair<UniqueFd, UniqueFd> make_stream_pair() { return make_sockets(SOCK_STREAM); }

void Channel::send(std::string_view message, int fd) {
  iovec part{const_cast<char*>(message.data()), message.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* attached = CMSG_FIRSTHDR(&header);
    attached->cmsg_level = SOL_SOCKET;
    attached->cmsg_type = SCM_RIGHTS;
    attached->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(attached), &fd, sizeof fd);
  }
  while (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) {
      throw_errno("send to the other end of the control socket");
    }
  }
}

std::optional<Channel::Message> Channel::receive(int timeout_ms) {
  if (timeout_ms >= 0) {
    pollfd readable{socket_.get(), POLLIN, 0};
    AwakeBound bound(static_cast<std::uint64_t>(timeout_ms));
    while (::poll(&readable, 1, static_cast<int>(bound.next_wait_ns() / 1'000'000)) == 0) {
      if (bound.look(monotonic_ns())) {
        throw EnvironmentError("no answer on the control socket within " + std::to_string(timeout_ms) +
                               " ms");
      }
    }
  }
  Message message;
  message.text.resize(kMessageBytesMax);
  iovec part{message.text.data(), message.text.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t size = 0;
  while ((size = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == ECONNRESET) {
      return std::nullopt;
    }
    if (errno != EINTR) {
      throw_errno("receive on the control socket");
    }
  }
  if (size == 0) {
    return std::nullopt;
  }
  if ((header.msg_flags & MSG_TRUNC) != 0) {
    throw EnvironmentError("a message on the control socket is longer than its bound");
  }
  message.text.resize(static_cast<std::size_t>(size));
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(item), sizeof fd);
      message.fd.reset(fd);
    }
  }
  return message;
}

bool Channel::has_message() const {
  char first = 0;
  ssize_t size = 0;
  do {
    size = ::recv(socket_.get(), &first, sizeof first, MSG_PEEK | MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  return size > 0;  // 0: the other end is gone
}

}  // namespace chaosgate::wire
