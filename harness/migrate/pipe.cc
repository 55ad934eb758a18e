#include "harness/migrate/pipe.h"

#include <sys/socket.h>

#include <cerrno>

#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate::migrate {
namespace {

constexpr std::size_t kReceiveBytes = 256 << 10;
constexpr std::size_t kMessageBytesMax = 1 << 20;  // a survey of 256 keyspaces is shorter

}  // namespace

Status Pipe::gone() {
  peer_gone_ = true;
  return Status::io_error("the other side of the migration is gone");
}

Status Pipe::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno == EPIPE || errno == ECONNRESET ? gone() : Status::io_error("send", errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Status Pipe::send_message(std::string_view message) {
  std::string bytes;
  put_bytes(&bytes, message);
  put_u64(&bytes, hash64(message));
  return send(bytes);
}

Status Pipe::receive(std::string* bytes) {
  bytes->resize(kReceiveBytes);
  for (;;) {
    const ssize_t size = ::recv(socket_.get(), bytes->data(), bytes->size(), 0);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    bytes->resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    peer_gone_ = bytes->empty();
    return size >= 0 || errno == ECONNRESET ? Status() : Status::io_error("receive", errno);
  }
}

Status Pipe::receive_exactly(std::size_t size, std::string* bytes) {
  bytes->resize(size);
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::recv(socket_.get(), bytes->data() + done, size - done, 0);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return count == 0 || errno == ECONNRESET ? gone() : Status::io_error("receive", errno);
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Status Pipe::receive_message(std::string* message) {
  std::string length;
  RETURN_IF_ERROR(receive_exactly(sizeof(std::uint32_t), &length));
  const auto size = load_fixed<std::uint32_t>(length.data());
  if (size > kMessageBytesMax) {
    return Status::corruption("a message of the migration is longer than its bound");
  }
  RETURN_IF_ERROR(receive_exactly(size, message));
  std::string checksum;
  RETURN_IF_ERROR(receive_exactly(sizeof(std::uint64_t), &checksum));
  return hash64(*message) == load_fixed<std::uint64_t>(checksum.data())
             ? Status()
             : Status::corruption("a message of the migration is damaged");
}

}  // namespace chaosgate::migrate
