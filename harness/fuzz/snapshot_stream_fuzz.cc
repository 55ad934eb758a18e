// A snapshot as it is received: the pieces it comes in change nothing, what is refused leaves no file, and
// what arrived whole unpacks into a store or is refused.
#include <cstring>
#include <filesystem>

#include "engines/marker.h"
#include "harness/base/error.h"
#include "harness/base/hash.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/key_values.h"
#include "harness/fuzz/members.h"
#include "harness/fuzz/scratch_file.h"
#include "harness/snapshot/sha256.h"
#include "harness/snapshot/snapshot_receiver.h"

namespace chaosgate::fuzz {
namespace {

namespace fs = std::filesystem;
using snapshot::BodyKind;
using snapshot::SnapshotHeader;

constexpr const char* kFamily = "made-up";
constexpr const char* kStore = "store";  // the file that a store of the family has
constexpr std::uint64_t kInstalled = 9;

// Takes writes and keeps nothing.
class Sink final : public engines::Engine {
 public:
  Status write(const engines::WriteBatch& batch) override {
    return batch.for_each([](const auto& mutation) { return engines::check_mutation(mutation, kKeyspaces); });
  }
  Status get(engines::KeyspaceId, std::string_view, std::string*) override { return none(); }
  std::unique_ptr<engines::Iterator> iterator(engines::KeyspaceId) override { return nullptr; }
  std::unique_ptr<engines::Snapshot> snapshot() override { return nullptr; }
  Status flush() override { return {}; }
  Status compact() override { return none(); }
  Status checkpoint(const fs::path&) override { return none(); }
  Status size(engines::SizeInfo*) override { return none(); }
  Status check_integrity() override { return none(); }

 private:
  static Status none() { return Status::not_supported("nothing is kept"); }
};

const engines::EngineConfig& config() {
  static const engines::EngineConfig kConfig = [] {
    engines::EngineConfig made;
    made.name = made.family = kFamily;
    made.open = [](const engines::EngineConfig&, const fs::path& directory, const engines::EngineOptions&,
                   bool create, std::unique_ptr<engines::Engine>* engine) {
      *engine = std::make_unique<Sink>();
      return create ? replace_file_durably(directory / kStore, "s") : Status();
    };
    made.has_store = [](const fs::path& directory) { return fs::exists(directory / kStore); };
    return made;
  }();
  return kConfig;
}

// A whole snapshot with this body: header and trailer fit.
std::string framed(SnapshotHeader header, std::string_view body) {
  header.total_bytes = snapshot::encode_header(header).size() + body.size() + snapshot::kTrailerBytes;
  std::string bytes = snapshot::encode_header(header) + std::string(body);
  snapshot::Sha256 digest;
  digest.add(bytes);
  return bytes + digest.finish();
}

std::vector<std::string> seeds() {
  const std::string marker = engines::encode_marker({kFamily, {"a", "b", "c"}});
  const std::string archive =
      tar_of({{std::string(engines::kMarkerFile), marker}, {"sub/", ""}, {"sub/data", "xyz"}, {kStore, "s"}});
  return {framed({0, BodyKind::archive, kFamily, 77, 3}, archive),
          framed({0, BodyKind::key_values, "lmdb", 77, 3}, write_key_values({}, 1)),
          framed({0, BodyKind::key_values, "rocksdb", 10, 1}, write_key_values(some_key_values(), 64))};
}

// The header and the body of what framed() makes, or nearly.
bool take_apart(std::string_view bytes, SnapshotHeader* header, std::string_view* body) {
  std::size_t size = 0;
  if (bytes.size() < snapshot::kHeaderPrefixBytes || !bytes.starts_with(snapshot::kSnapshotMagic) ||
      !snapshot::header_bytes(bytes, &size).ok() || bytes.size() < size + snapshot::kTrailerBytes ||
      !snapshot::decode_header(bytes.substr(0, size), header).ok()) {
    return false;
  }
  *body = bytes.substr(size, bytes.size() - size - snapshot::kTrailerBytes);
  return true;
}

// Inside: kind, index, term, family, then the members of an archive or the stream.
bool open(std::string_view bytes, std::string* inside) {
  SnapshotHeader header;
  std::string_view body;
  TarMembers members;
  if (!take_apart(bytes, &header, &body) || (header.body == BodyKind::archive && !read_tar(body, &members))) {
    return false;
  }
  put_u8(inside, static_cast<std::uint8_t>(header.body));
  put_u64(inside, header.index);
  put_u64(inside, header.term);
  put_bytes(inside, header.family);
  *inside += members.empty() ? std::string(body) : text_of(members);
  return true;
}

std::string close(Rng& rng, std::string_view inside) {
  SnapshotHeader header;
  std::uint8_t kind = 0;
  std::string_view family;
  Reader reader(inside);
  reader.u8(&kind) && reader.u64(&header.index) && reader.u64(&header.term) && reader.bytes(&family);
  header.body =
      kind == static_cast<std::uint8_t>(BodyKind::archive) ? BodyKind::archive : BodyKind::key_values;
  header.family = family.substr(0, 64);
  std::string body(reader.rest());
  if (header.body == BodyKind::archive) {
    body = tar_of(members_of(body));
  } else {
    repair_key_values(rng, &body);
  }
  return framed(header, body);
}

struct Received {
  Status status;
  snapshot::ReceivedSnapshot snapshot;
};

// In pieces of `piece` bytes.
Received receive(std::string_view bytes, std::size_t piece) {
  const fs::path file = scratch_directory() / "received";
  Received received;
  snapshot::SnapshotReceiver receiver(config(), file, kInstalled);
  for (std::size_t at = 0; at < bytes.size() && received.status.ok(); at += piece) {
    received.status = receiver.feed(bytes.substr(at, piece));
  }
  CHECK(!fs::exists(file), "a received snapshot has a name");
  if (received.status.ok()) {
    received.status = receiver.finish(&received.snapshot);
  }
  return received;
}

// Nothing appears beside the directory that is unpacked into.
bool unpack(const snapshot::ReceivedSnapshot& received) {
  const fs::path place = scratch_directory() / "unpacked";
  fs::create_directory(place);
  engines::EngineOptions options;
  options.keyspaces = {"a", "b", "c"};
  const bool ok = received.unpack(config(), options, place / "engine").ok();
  for (const fs::directory_entry& entry : fs::directory_iterator(place)) {
    const std::string name = entry.path().filename().string();
    CHECK(name == "engine" || (!ok && name == "engine.creating"), "{}", name);
  }
  CHECK(!ok || config().has_store(place / "engine"));
  fs::remove_all(place);
  return ok;
}

Reach run(std::string_view bytes) {
  const Received whole = receive(bytes, bytes.size() + 1);
  const Received pieces = receive(bytes, 1 + hash64(bytes) % 997);
  CHECK(whole.status.code() == pieces.status.code() && whole.status.message() == pieces.status.message(),
        "whole: {}; in pieces: {}", whole.status.message(), pieces.status.message());
  if (!whole.status.ok()) {
    return Reach::refused;
  }
  CHECK(whole.snapshot.header() == pieces.snapshot.header());
  CHECK(whole.snapshot.header().index > kInstalled && whole.snapshot.header().total_bytes == bytes.size());
  const bool ok = unpack(whole.snapshot);
  CHECK(hash64(bytes) % 8 != 0 || ok == unpack(pieces.snapshot));  // it takes long
  return ok ? Reach::accepted : Reach::verified;
}

}  // namespace

Target target() {
  Target target{"snapshot_stream", seeds, nullptr, run, 4 << 20};  // blocks of 256 KiB, whatever comes
  target.open = open;
  target.close = close;
  target.bytes_max = 8192;
  return target;
}

}  // namespace chaosgate::fuzz
