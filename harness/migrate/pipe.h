// Pipe is one end of the stream socket between the exporter and the importer of a migration.
//
// First go whole messages, then the key-value stream. A message is a length, its bytes and their checksum.
// That the other side is gone is a Status: it has said, or will say, why. Not thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "harness/base/status.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::migrate {

class Pipe {
 public:
  explicit Pipe(UniqueFd socket) : socket_(std::move(socket)) {}

  Status send(std::string_view bytes);
  Status send_message(std::string_view message);
  // Waits for some bytes of the stream. Empty: the other side has closed its end.
  Status receive(std::string* bytes);
  Status receive_message(std::string* message);

  // A call found that the other side has closed its end.
  bool peer_gone() const { return peer_gone_; }

 private:
  Status gone();
  Status receive_exactly(std::size_t size, std::string* bytes);

  UniqueFd socket_;
  bool peer_gone_ = false;
};

}  // namespace chaosgate::migrate
