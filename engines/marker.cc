#include "engines/marker.h"

#include <fmt/format.h>

#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

std::string encode_marker(std::string_view family) {
  std::string marker(kMarkerMagic);
  put_u32(&marker, kMarkerVersion);
  put_bytes(&marker, family);
  put_u64(&marker, hash64(marker));
  return marker;
}

Status write_marker(const fs::path& directory, std::string_view family) {
  return replace_file_durably(directory / kMarkerFile, encode_marker(family));
}

Status read_marker(const fs::path& directory, std::string* family) {
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
  if (!reader.bytes(&name) || !reader.empty() || name.empty()) {
    return damaged("it names no engine family");
  }
  family->assign(name);
  return {};
}

}  // namespace chaosgate::engines
