#include "engines/marker.h"

#include <fmt/format.h>

#include <utility>

#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

std::string encode_marker(const Marker& marker) {
  std::string bytes(kMarkerMagic);
  put_u32(&bytes, kMarkerVersion);
  put_bytes(&bytes, marker.family);
  put_u32(&bytes, static_cast<std::uint32_t>(marker.keyspaces.size()));
  for (const std::string& name : marker.keyspaces) {
    put_bytes(&bytes, name);
  }
  put_u64(&bytes, hash64(bytes));
  return bytes;
}

Status write_marker(const fs::path& directory, const Marker& marker) {
  return replace_file_durably(directory / kMarkerFile, encode_marker(marker));
}

namespace {

// False when the bytes are not a list of names.
bool read_keyspaces(Reader* reader, std::vector<std::string>* keyspaces) {
  std::uint32_t count = 0;
  if (!reader->u32(&count)) {
    return false;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view name;
    if (!reader->bytes(&name) || name.empty()) {
      return false;
    }
    keyspaces->emplace_back(name);
  }
  return true;
}

}  // namespace

Status read_marker(const fs::path& directory, Marker* marker) {
  const fs::path path = directory / kMarkerFile;
  std::string bytes;
  RETURN_IF_ERROR(read_file(path, &bytes));
  const auto damaged = [&](std::string_view why) {
    return Status::corruption(fmt::format("engine marker {} is damaged: {}", path.string(), why));
  };

  if (!bytes.starts_with(kMarkerMagic)) {
    return damaged(fmt::format("it does not begin with \"{}\"", kMarkerMagic));
  }
  if (bytes.size() < kMarkerMagic.size() + sizeof(std::uint32_t) + kMarkerChecksumBytes) {
    return damaged(fmt::format("it has {} bytes, which is too short", bytes.size()));
  }
  const std::string_view content = std::string_view(bytes).substr(0, bytes.size() - kMarkerChecksumBytes);
  const std::uint64_t expected = load_fixed<std::uint64_t>(bytes.data() + content.size());
  if (hash64(content) != expected) {
    return damaged(fmt::format("checksum {:016x}, expected {:016x}", hash64(content), expected));
  }

  Reader reader(content.substr(kMarkerMagic.size()));
  std::uint32_t version = 0;
  std::string_view name;
  if (!reader.u32(&version) || version == 0) {
    return damaged("it has no version");
  }
  if (version > kMarkerVersion) {
    return Status::invalid_argument(
        fmt::format("engine marker {} has format version {}, this program knows versions up to {}",
                    path.string(), version, kMarkerVersion));
  }
  Marker found;
  if (!reader.bytes(&name) || name.empty()) {
    return damaged("it names no engine family");
  }
  found.family = name;
  if ((version > 1 && !read_keyspaces(&reader, &found.keyspaces)) || !reader.empty()) {
    return damaged(fmt::format("what follows the family does not belong to version {}", version));
  }
  *marker = std::move(found);
  return {};
}

}  // namespace chaosgate::engines
