#include "engines/write_batch.h"

#include "harness/base/check.h"
#include "harness/base/coding.h"

namespace chaosgate::engines {

// In the buffer, one after the other: kind:u8 keyspace:u8 key:bytes value:bytes, where bytes is a 32-bit
// length and the bytes. The buffer never leaves the process, so it has no version and no checksum.

void WriteBatch::put(KeyspaceId keyspace, std::string_view key, std::string_view value) {
  add(Kind::put, keyspace, key, value);
}

void WriteBatch::erase(KeyspaceId keyspace, std::string_view key) { add(Kind::erase, keyspace, key, {}); }

void WriteBatch::erase_range(KeyspaceId keyspace, std::string_view begin, std::string_view end) {
  CHECK(begin <= end, "an erase_range of {} and {} bytes runs backward", begin.size(), end.size());
  add(Kind::erase_range, keyspace, begin, end);
}

std::size_t WriteBatch::payload_bytes() const {
  constexpr std::size_t kFrameBytes = 2 * sizeof(std::uint8_t) + 2 * sizeof(std::uint32_t);
  return buffer_.size() - count_ * kFrameBytes;
}

void WriteBatch::clear() {
  buffer_.clear();
  count_ = 0;
}

void WriteBatch::add(Kind kind, KeyspaceId keyspace, std::string_view key, std::string_view value) {
  put_u8(&buffer_, static_cast<std::uint8_t>(kind));
  put_u8(&buffer_, keyspace);
  put_bytes(&buffer_, key);
  put_bytes(&buffer_, value);
  ++count_;
}

WriteBatch::Mutation WriteBatch::decode(std::size_t* at) const {
  Reader reader(std::string_view(buffer_).substr(*at));
  std::uint8_t kind = 0;
  Mutation mutation{};
  const bool whole = reader.u8(&kind) && reader.u8(&mutation.keyspace) && reader.bytes(&mutation.key) &&
                     reader.bytes(&mutation.value);
  CHECK(whole, "the batch ends inside a mutation at byte {}", *at);
  mutation.kind = static_cast<Kind>(kind);
  *at = buffer_.size() - reader.rest().size();
  return mutation;
}

}  // namespace chaosgate::engines
