// The header of a snapshot: what was decoded encodes to what decodes to the same.
#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/sealed.h"
#include "harness/snapshot/snapshot_format.h"

namespace chaosgate::fuzz {
namespace {

using snapshot::SnapshotHeader;

std::vector<std::string> seeds() {
  return {snapshot::encode_header({4096, snapshot::BodyKind::archive, "rocksdb", 100, 3}),
          snapshot::encode_header({1 << 20, snapshot::BodyKind::key_values, "lmdb", 1, 1})};
}

void repair(Rng& rng, std::string* bytes) {
  std::string begin(snapshot::kSnapshotMagic);
  put_u32(&begin, rng.chance(1, 16) ? snapshot::kSnapshotVersion + 1 : snapshot::kSnapshotVersion);
  put_u32(&begin, static_cast<std::uint32_t>(bytes->size()));
  seal(begin, bytes);
}

Reach run(std::string_view bytes) {
  std::size_t size = 0;
  if (bytes.size() < snapshot::kHeaderPrefixBytes || !bytes.starts_with(snapshot::kSnapshotMagic) ||
      !snapshot::header_bytes(bytes, &size).ok() || bytes.size() < size) {
    return Reach::refused;
  }
  bytes = bytes.substr(0, size);
  SnapshotHeader header;
  if (!snapshot::decode_header(bytes, &header).ok()) {
    return is_sealed(bytes, snapshot::kSnapshotMagic) ? Reach::verified : Reach::refused;
  }
  SnapshotHeader again;
  const Status status = snapshot::decode_header(snapshot::encode_header(header), &again);
  CHECK(status.ok() && again == header, "{}", status.message());
  return Reach::accepted;
}

}  // namespace

Target target() { return {"snapshot_header", seeds, repair, run}; }

}  // namespace chaosgate::fuzz
