// Channel is one end of the control socket between the driver and a worker parent: whole messages, with at
// most one descriptor beside each.
//
// SOCK_SEQPACKET keeps message borders. Both ends throw EnvironmentError when the socket breaks. Not
// thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "harness/base/unique_fd.h"

namespace chaosgate::wire {

class Channel {
 public:
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}

  // The two ends of a new socket, both close-on-exec. Throws EnvironmentError.
  static std::pair<UniqueFd, UniqueFd> make_pair();

  int fd() const { return socket_.get(); }

  // `fd`, when not -1, is duplicated into the receiver.
  void send(std::string_view message, int fd = -1);

  struct Message {
    std::string text;
    UniqueFd fd;
  };
  // The next message; nullopt when the other end is gone. Waits at most `timeout_ms` (-1: forever) while
  // this process is awake, then throws.
  std::optional<Message> receive(int timeout_ms = -1);
  // Whether a message has come that nobody received yet.
  bool has_message() const;

 private:
  UniqueFd socket_;
};

// The two ends of a new stream socket, both close-on-exec, for the two workers of a migration. Throws
// EnvironmentError.
std::pair<UniqueFd, UniqueFd> make_stream_pair();

}  // namespace chaosgate::wire
