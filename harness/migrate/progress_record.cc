#include "harness/migrate/progress_record.h"

#include <fmt/format.h>

#include <array>

#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"

namespace chaosgate::migrate {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kChecksumBytes = 8;

// What follows the version. False when the bytes are something else.
bool decode_body(Reader* reader, ProgressRecord* record) {
  std::uint8_t state = 0;
  std::string_view source_engine;
  std::string_view target_engine;
  if (!reader->u8(&state) || state < static_cast<std::uint8_t>(ProgressState::begun) ||
      state > static_cast<std::uint8_t>(ProgressState::failed) || !reader->bytes(&source_engine) ||
      !reader->bytes(&target_engine) || !decode(reader, &record->source)) {
    return false;
  }
  record->state = static_cast<ProgressState>(state);
  record->source_engine = source_engine;
  record->target_engine = target_engine;
  for (const KeyspaceSurvey& keyspace : record->source.keyspaces) {
    Durable durable;
    std::string_view last;
    if (!reader->u64(&durable.keys) || !reader->bytes(&last) || durable.keys > keyspace.totals.count) {
      return false;
    }
    durable.last = last;
    record->durable.push_back(std::move(durable));
  }
  return reader->empty();
}

}  // namespace

std::string_view to_string(ProgressState state) {
  constexpr std::array<std::string_view, 5> kNames = {"", "begun", "moving", "verified", "failed"};
  return kNames.at(static_cast<std::size_t>(state));
}

std::uint64_t ProgressRecord::durable_keys() const {
  std::uint64_t sum = 0;
  for (const Durable& keyspace : durable) {
    sum += keyspace.keys;
  }
  return sum;
}

std::string encode_record(const ProgressRecord& record) {
  std::string bytes(kProgressMagic);
  put_u32(&bytes, kProgressVersion);
  put_u8(&bytes, static_cast<std::uint8_t>(record.state));
  put_bytes(&bytes, record.source_engine);
  put_bytes(&bytes, record.target_engine);
  encode(record.source, &bytes);
  for (const Durable& durable : record.durable) {
    put_u64(&bytes, durable.keys);
    put_bytes(&bytes, durable.last);
  }
  put_u64(&bytes, hash64(bytes));
  return bytes;
}

Status write_record(const fs::path& directory, const ProgressRecord& record) {
  return replace_file_durably(directory / kProgressFile, encode_record(record));
}

Status read_record(const fs::path& directory, ProgressRecord* record) {
  const fs::path path = directory / kProgressFile;
  std::string bytes;
  RETURN_IF_ERROR(read_file(path, &bytes));
  const auto damaged = [&](std::string_view why) {
    return Status::corruption(fmt::format("the progress record {} is damaged: {}", path.string(), why));
  };
  if (!bytes.starts_with(kProgressMagic)) {
    return damaged(fmt::format("it does not begin with \"{}\"", kProgressMagic));
  }
  if (bytes.size() < kProgressMagic.size() + sizeof(std::uint32_t) + kChecksumBytes) {
    return damaged(fmt::format("it has {} bytes, which is too short", bytes.size()));
  }
  const std::string_view content = std::string_view(bytes).substr(0, bytes.size() - kChecksumBytes);
  if (const auto stored = load_fixed<std::uint64_t>(bytes.data() + content.size());
      hash64(content) != stored) {
    return damaged(fmt::format("checksum {:016x}, expected {:016x}", hash64(content), stored));
  }
  Reader reader(content.substr(kProgressMagic.size()));
  std::uint32_t version = 0;
  if (!reader.u32(&version) || version == 0) {
    return damaged("it has no version");
  }
  if (version > kProgressVersion) {
    return Status::invalid_argument(
        fmt::format("the progress record {} has format version {}, this program knows versions up to {}",
                    path.string(), version, kProgressVersion));
  }
  ProgressRecord found;
  if (!decode_body(&reader, &found)) {
    return damaged("its content does not belong to its version");
  }
  *record = std::move(found);
  return {};
}

}  // namespace chaosgate::migrate
