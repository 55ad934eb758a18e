#include "harness/snapshot/snapshot_format.h"

#include <fmt/format.h>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate::snapshot {
namespace {

constexpr std::size_t kHeaderChecksumBytes = 8;
constexpr std::size_t kHeaderFixedBytes = kHeaderPrefixBytes + 8 + 1 + 4 + 8 + 8 + kHeaderChecksumBytes;

Status damaged(std::string_view why) {
  return Status::corruption(fmt::format("the header of the snapshot is damaged: {}", why));
}

}  // namespace

std::string_view to_string(BodyKind body) {
  return body == BodyKind::archive ? "archive" : "key-value stream";
}

std::string encode_header(const SnapshotHeader& header) {
  std::string bytes(kSnapshotMagic);
  put_u32(&bytes, kSnapshotVersion);
  put_u32(&bytes, static_cast<std::uint32_t>(kHeaderFixedBytes + header.family.size()));
  put_u64(&bytes, header.total_bytes);
  put_u8(&bytes, static_cast<std::uint8_t>(header.body));
  put_bytes(&bytes, header.family);
  put_u64(&bytes, header.index);
  put_u64(&bytes, header.term);
  put_u64(&bytes, hash64(bytes));
  CHECK(bytes.size() <= kHeaderBytesMax, "an engine family of {} bytes", header.family.size());
  return bytes;
}

Status header_bytes(std::string_view prefix, std::size_t* bytes) {
  *bytes = load_fixed<std::uint32_t>(prefix.data() + kSnapshotMagic.size() + 4);
  if (*bytes < kHeaderPrefixBytes + kHeaderChecksumBytes || *bytes > kHeaderBytesMax) {
    return damaged(fmt::format("an impossible length, {}", *bytes));
  }
  return {};
}

Status decode_header(std::string_view bytes, SnapshotHeader* header) {
  const std::string_view content = bytes.substr(0, bytes.size() - kHeaderChecksumBytes);
  if (hash64(content) != load_fixed<std::uint64_t>(bytes.data() + content.size())) {
    return damaged("its checksum does not match");
  }
  Reader reader(content.substr(kSnapshotMagic.size()));
  std::uint32_t version = 0;
  std::uint32_t size = 0;
  CHECK(reader.u32(&version) && reader.u32(&size));
  if (version > kSnapshotVersion) {
    return Status::not_supported(fmt::format(
        "a snapshot of format version {}, this program knows versions up to {}", version, kSnapshotVersion));
  }
  std::uint8_t body = 0;
  std::string_view family;
  if (version == 0 || !reader.u64(&header->total_bytes) || !reader.u8(&body) || !reader.bytes(&family) ||
      !reader.u64(&header->index) || !reader.u64(&header->term) || !reader.empty()) {
    return damaged("it does not hold what it should");
  }
  header->body = static_cast<BodyKind>(body);
  header->family.assign(family);
  if (header->body != BodyKind::archive && header->body != BodyKind::key_values) {
    return damaged(fmt::format("body kind {} is unknown", body));
  }
  if (header->total_bytes < bytes.size() + kTrailerBytes) {
    return Status::corruption(fmt::format(
        "the snapshot announces {} bytes, its header and trailer alone have {}: something was not counted",
        header->total_bytes, bytes.size() + kTrailerBytes));
  }
  return {};
}

}  // namespace chaosgate::snapshot
