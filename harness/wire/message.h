// Message is what a leader and its replicas send each other in a replica group.
//
// The driver is the leader, and the network as well: it may send a message twice, late or in another order,
// and damage the bytes of a snapshot on the way. Each message gets one answer. Binary, on a SOCK_SEQPACKET
// socket, so borders are kept:
//
//   message := kind:u8 index:u64 term:u64 commit:u64 count:u32 entry[count] bytes:bytes
//   entry   := term:u64 payload:bytes            bytes := length:u32 octet[length]
//
//   append          entries behind entry (index, term); `commit` may be applied
//   make_snapshot   `bytes` = the engine family of the receiver; answered when it is made: `index`, `term`
//   read_snapshot   the next piece of it: `bytes`; empty at the end
//   begin_snapshot  a snapshot comes
//   feed_snapshot   the next piece: `bytes`
//   end_snapshot    it is to be verified and installed
//   observe         the state is shown in the observation buffer
//   answer          index = last entry of its log, commit = last entry that it applied, term = 1 when it
//                   refuses, and then `bytes` say why
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"

namespace chaosgate::wire {

enum class MessageKind : std::uint8_t {
  append = 1,
  make_snapshot,
  read_snapshot,
  begin_snapshot,
  feed_snapshot,
  end_snapshot,
  observe,
  answer,
};
inline constexpr std::uint8_t kMessageKindLast = static_cast<std::uint8_t>(MessageKind::answer);

std::string_view to_string(MessageKind kind);

inline constexpr std::size_t kPieceBytes = 32 << 10;  // of a snapshot, in one message
// Entries are put into one message up to so many bytes; one entry may be larger. Below the bound of Channel.
inline constexpr std::size_t kAppendBytesMax = 48 << 10;

struct Message {
  struct Entry {
    std::uint64_t term = 0;
    std::string payload;

    bool operator==(const Entry&) const = default;
  };

  MessageKind kind = MessageKind::answer;
  std::uint64_t index = 0;
  std::uint64_t term = 0;
  std::uint64_t commit = 0;
  std::vector<Entry> entries;
  std::string bytes;

  bool refused() const { return kind == MessageKind::answer && term == 1; }
  bool operator==(const Message&) const = default;
};

// A message that carries no entries.
Message message_of(MessageKind kind, std::string bytes = {});

std::string encode(const Message& message);
// corruption when the bytes are no message; *message is then undefined.
Status decode(std::string_view bytes, Message* message);

}  // namespace chaosgate::wire
