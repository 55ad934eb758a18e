// The sidecar index: only 24 bytes with magic and checksum are an index, and a refused one leaves none.
#include "harness/replica/sidecar.h"

#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/scratch_file.h"
#include "harness/fuzz/sealed.h"

namespace chaosgate::fuzz {
namespace {

std::string magic() {
  std::string bytes;
  put_u64(&bytes, replica::kSidecarMagic);
  return bytes;
}

std::string sidecar(std::uint64_t index) {
  std::string bytes = magic();
  put_u64(&bytes, index);
  put_u64(&bytes, hash64(bytes));
  return bytes;
}

std::vector<std::string> seeds() { return {sidecar(0), sidecar(12345), sidecar(UINT64_MAX)}; }

void repair(Rng& rng, std::string* bytes) {
  if (rng.chance(3, 4)) {
    bytes->resize(sidecar(0).size());
  }
  seal(magic(), bytes);
}

Reach run(std::string_view bytes) {
  write_scratch(replica::kSidecarFile, bytes);
  std::uint64_t index = 7;
  if (!replica::Sidecar(scratch_directory() / replica::kSidecarFile).read(&index).ok()) {
    CHECK(index == 7, "an index that was refused left {}", index);
    return is_sealed(bytes, magic()) ? Reach::verified : Reach::refused;
  }
  CHECK(bytes == sidecar(index), "index {}", index);
  return Reach::accepted;
}

}  // namespace

Target target() { return {"sidecar", seeds, repair, run}; }

}  // namespace chaosgate::fuzz
