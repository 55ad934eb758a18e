// What leader and replicas send each other: what was decoded encodes to the bytes that it was.
#include "harness/wire/message.h"

#include "harness/base/check.h"
#include "harness/fuzz/fuzz.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  wire::Message append;
  append.kind = wire::MessageKind::append;
  append.index = 9;
  append.term = 3;
  append.commit = 8;
  append.entries = {{3, "first"}, {4, ""}, {4, std::string(100, 'x')}};
  return {wire::encode(append), wire::encode(wire::message_of(wire::MessageKind::make_snapshot, "lmdb")),
          wire::encode(wire::message_of(wire::MessageKind::answer))};
}

Reach run(std::string_view bytes) {
  wire::Message message;
  if (!wire::decode(bytes, &message).ok()) {
    return bytes.empty() || static_cast<std::uint8_t>(bytes[0]) > wire::kMessageKindLast ? Reach::refused
                                                                                         : Reach::verified;
  }
  CHECK(wire::encode(message) == bytes);
  CHECK(wire::to_string(message.kind) != "unknown");
  return Reach::accepted;
}

}  // namespace

Target target() { return {"message", seeds, nullptr, run}; }

}  // namespace chaosgate::fuzz
