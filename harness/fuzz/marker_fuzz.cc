// The engine's marker: what was read is written and read again as the same.
#include "engines/marker.h"

#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/scratch_file.h"
#include "harness/fuzz/sealed.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  std::string old(engines::kMarkerMagic);
  put_u32(&old, 1);
  put_bytes(&old, "lmdb");
  put_u64(&old, hash64(old));
  return {engines::encode_marker({"rocksdb", {"default", "meta", "index"}}),
          engines::encode_marker({"lmdb", {}}), old};
}

void repair(Rng& /*rng*/, std::string* bytes) { seal(engines::kMarkerMagic, bytes); }

Status read(std::string_view bytes, engines::Marker* marker) {
  write_scratch(engines::kMarkerFile, bytes);
  return engines::read_marker(scratch_directory(), marker);
}

Reach run(std::string_view bytes) {
  engines::Marker marker;
  if (!read(bytes, &marker).ok()) {
    CHECK(marker == engines::Marker(), "a marker that was refused left something");
    return is_sealed(bytes, engines::kMarkerMagic) ? Reach::verified : Reach::refused;
  }
  engines::Marker again;
  const Status status = read(engines::encode_marker(marker), &again);
  CHECK(status.ok() && again == marker, "{}", status.message());
  return Reach::accepted;
}

}  // namespace

Target target() { return {"marker", seeds, repair, run}; }

}  // namespace chaosgate::fuzz
