#include "harness/wire/message.h"

#include <array>
#include <utility>

#include "harness/base/coding.h"

namespace chaosgate::wire {

std::string_view to_string(MessageKind kind) {
  constexpr std::array<std::string_view, kMessageKindLast + 1> kNames = {
      "none",          "append",       "make-snapshot", "read-snapshot", "begin-snapshot",
      "feed-snapshot", "end-snapshot", "observe",       "answer"};
  const auto number = static_cast<std::size_t>(kind);
  return number < kNames.size() ? kNames.at(number) : "unknown";
}

Message message_of(MessageKind kind, std::string bytes) {
  Message message;
  message.kind = kind;
  message.bytes = std::move(bytes);
  return message;
}

std::string encode(const Message& message) {
  std::string out;
  put_u8(&out, static_cast<std::uint8_t>(message.kind));
  put_u64(&out, message.index);
  put_u64(&out, message.term);
  put_u64(&out, message.commit);
  put_u32(&out, static_cast<std::uint32_t>(message.entries.size()));
  for (const Message::Entry& entry : message.entries) {
    put_u64(&out, entry.term);
    put_bytes(&out, entry.payload);
  }
  put_bytes(&out, message.bytes);
  return out;
}

Status decode(std::string_view bytes, Message* message) {
  Reader reader(bytes);
  std::uint8_t kind = 0;
  std::uint32_t count = 0;
  bool good = reader.u8(&kind) && kind >= 1 && kind <= kMessageKindLast && reader.u64(&message->index) &&
              reader.u64(&message->term) && reader.u64(&message->commit) && reader.u32(&count);
  message->kind = static_cast<MessageKind>(kind);
  message->entries.clear();
  std::string_view part;
  for (std::uint32_t i = 0; good && i < count; ++i) {
    Message::Entry entry;
    good = reader.u64(&entry.term) && reader.bytes(&part);
    entry.payload.assign(part);
    message->entries.push_back(std::move(entry));
  }
  good = good && reader.bytes(&part) && reader.empty();
  message->bytes.assign(part);
  return good ? Status() : Status::corruption("a message between leader and replica is damaged");
}

}  // namespace chaosgate::wire
