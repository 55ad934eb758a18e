#include "harness/snapshot/key_value_stream.h"

#include <fmt/format.h>

#include <utility>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate::snapshot {
namespace {

constexpr std::size_t kKeyspacesMax = 256;  // what a KeyspaceId can name
constexpr std::size_t kChecksumBytes = 8;
constexpr std::size_t kHeaderBytes = 8 + 4 + 4 + kChecksumBytes;
constexpr std::size_t kPartHeadBytes = 1 + 4;
constexpr std::size_t kTotalsBytes = 16;
constexpr std::size_t kRecordBytesMax = 1 + 4 + engines::kKeyBytesMax + 4 + kValueBytesMax;
constexpr std::size_t kBatchBytes = 1 << 20;
constexpr char kChunk = 'C';
constexpr char kEnd = 'E';

// Whether `key` may follow the record (last_keyspace, last_key); an empty last_key is no record.
bool in_order(engines::KeyspaceId last_keyspace, std::string_view last_key, engines::KeyspaceId keyspace,
              std::string_view key) {
  return last_key.empty() || keyspace > last_keyspace || (keyspace == last_keyspace && key > last_key);
}

}  // namespace

void KeyspaceTotals::add(std::string_view key, std::string_view value) {
  std::string lengths;
  put_u32(&lengths, static_cast<std::uint32_t>(key.size()));
  put_u32(&lengths, static_cast<std::uint32_t>(value.size()));
  hash = hash64(value, hash64(key, hash64(lengths, hash)));
  ++count;
}

KeyValueWriter::KeyValueWriter(std::size_t keyspaces, Sink sink, std::size_t chunk_bytes)
    : sink_(std::move(sink)), chunk_bytes_(chunk_bytes), totals_(keyspaces) {
  CHECK(keyspaces >= 1 && keyspaces <= kKeyspacesMax);
  CHECK(chunk_bytes >= 1 && chunk_bytes <= kKeyValueChunkBytes);
}

Status KeyValueWriter::fail(Status status) {
  failed_ = status;
  return status;
}

// Sends part_ as a chunk or the end, after the header when that is still missing.
Status KeyValueWriter::write_part(char kind) {
  std::string bytes;
  if (!begun_) {
    begun_ = true;
    bytes.append(kKeyValueMagic);
    put_u32(&bytes, kKeyValueVersion);
    put_u32(&bytes, static_cast<std::uint32_t>(totals_.size()));
    chain_ = hash64(bytes);
    put_u64(&bytes, chain_);
  }
  const std::size_t begin = bytes.size();
  bytes.push_back(kind);
  put_bytes(&bytes, part_);
  part_.clear();
  chain_ = hash64(std::string_view(bytes).substr(begin), chain_);
  put_u64(&bytes, chain_);
  const Status sent = sink_(bytes);
  return sent.ok() ? sent : fail(sent);
}

Status KeyValueWriter::add(engines::KeyspaceId keyspace, std::string_view key, std::string_view value) {
  RETURN_IF_ERROR(failed_);
  if (const Status bad = engines::check_key(keyspace, key, totals_.size()); !bad.ok()) {
    return fail(bad);
  }
  if (value.size() > kValueBytesMax) {
    return fail(Status::invalid_argument(
        fmt::format("a value of {} bytes, at most {} fit a stream", value.size(), kValueBytesMax)));
  }
  if (!in_order(last_keyspace_, last_key_, keyspace, key)) {
    return fail(Status::invalid_argument(
        fmt::format("a record of keyspace {} does not come after its predecessor in keyspace {}", keyspace,
                    last_keyspace_)));
  }
  last_keyspace_ = keyspace;
  last_key_.assign(key);
  totals_[keyspace].add(key, value);
  put_u8(&part_, keyspace);
  put_bytes(&part_, key);
  put_bytes(&part_, value);
  return part_.size() < chunk_bytes_ ? Status() : write_part(kChunk);
}

Status KeyValueWriter::finish() {
  RETURN_IF_ERROR(failed_);
  if (!part_.empty()) {
    RETURN_IF_ERROR(write_part(kChunk));
  }
  for (const KeyspaceTotals& totals : totals_) {
    put_u64(&part_, totals.count);
    put_u64(&part_, totals.hash);
  }
  RETURN_IF_ERROR(write_part(kEnd));
  failed_ = Status::invalid_argument("the stream is finished");
  return {};
}

KeyValueReader::KeyValueReader(std::size_t keyspaces, Visit visit)
    : visit_(std::move(visit)), totals_(keyspaces) {
  CHECK(keyspaces >= 1 && keyspaces <= kKeyspacesMax);
}

Status KeyValueReader::damaged(std::string_view why) const {
  return Status::corruption(fmt::format("key-value stream, at byte {}: {}", offset_, why));
}

// How long the part at the start of `rest` is; 0 when too little of it is there to tell.
Status KeyValueReader::part_bytes(std::string_view rest, std::size_t* bytes) const {
  *bytes = 0;
  if (!begun_) {
    *bytes = kHeaderBytes;
    return {};
  }
  if (ended_) {
    return rest.empty() ? Status() : damaged("bytes behind the end");
  }
  if (rest.size() < kPartHeadBytes) {
    return {};
  }
  const auto length = load_fixed<std::uint32_t>(rest.data() + 1);
  const bool chunk = rest[0] == kChunk;
  const std::size_t max = chunk ? kKeyValueChunkBytes + kRecordBytesMax : totals_.size() * kTotalsBytes;
  if (!chunk && rest[0] != kEnd) {
    return damaged("neither a chunk nor the end");
  }
  if (length == 0 || length > max || (!chunk && length != max)) {
    return damaged(fmt::format("an impossible length, {}", length));
  }
  *bytes = kPartHeadBytes + length + kChecksumBytes;
  return {};
}

Status KeyValueReader::read_header(std::string_view part) {
  Reader reader(part);
  std::string_view magic;
  std::uint32_t version = 0;
  std::uint32_t keyspaces = 0;
  std::uint64_t checksum = 0;
  CHECK(reader.raw(kKeyValueMagic.size(), &magic) && reader.u32(&version) && reader.u32(&keyspaces) &&
        reader.u64(&checksum) && reader.empty());
  if (magic != kKeyValueMagic) {
    return damaged(fmt::format("it does not begin with \"{}\"", kKeyValueMagic));
  }
  chain_ = hash64(part.substr(0, part.size() - kChecksumBytes));
  if (chain_ != checksum) {
    return damaged("the header's checksum does not match");
  }
  if (version != kKeyValueVersion) {
    return Status::not_supported(fmt::format("key-value stream of format version {}, this program knows {}",
                                             version, kKeyValueVersion));
  }
  if (keyspaces != totals_.size()) {
    return Status::invalid_argument(
        fmt::format("key-value stream of {} keyspaces, expected {}", keyspaces, totals_.size()));
  }
  begun_ = true;
  return {};
}

Status KeyValueReader::read_records(std::string_view records) {
  Reader reader(records);
  while (!reader.empty()) {
    engines::KeyspaceId keyspace = 0;
    std::string_view key;
    std::string_view value;
    if (!reader.u8(&keyspace) || !reader.bytes(&key) || !reader.bytes(&value) ||
        !engines::check_key(keyspace, key, totals_.size()).ok()) {
      return damaged("a chunk that does not hold records");
    }
    if (!in_order(last_keyspace_, last_key_, keyspace, key)) {
      return damaged(fmt::format("a record of keyspace {} out of order", keyspace));
    }
    last_keyspace_ = keyspace;
    last_key_.assign(key);
    totals_[keyspace].add(key, value);
    RETURN_IF_ERROR(visit_(keyspace, key, value));
  }
  return {};
}

Status KeyValueReader::read_totals(std::string_view totals) {
  Reader reader(totals);
  for (std::size_t id = 0; id < totals_.size(); ++id) {
    KeyspaceTotals expected;
    CHECK(reader.u64(&expected.count) && reader.u64(&expected.hash));
    if (expected != totals_[id]) {
      return damaged(fmt::format("keyspace {} came with {} records (hash {:016x}), the end says {} ({:016x})",
                                 id, totals_[id].count, totals_[id].hash, expected.count, expected.hash));
    }
  }
  ended_ = true;
  return {};
}

Status KeyValueReader::read_part(std::string_view part) {
  if (!begun_) {
    return read_header(part);
  }
  const std::string_view covered = part.substr(0, part.size() - kChecksumBytes);
  const std::uint64_t checksum = hash64(covered, chain_);
  if (checksum != load_fixed<std::uint64_t>(part.data() + covered.size())) {
    return damaged("the checksum does not match");
  }
  chain_ = checksum;
  const std::string_view content = covered.substr(kPartHeadBytes);
  return part[0] == kChunk ? read_records(content) : read_totals(content);
}

Status KeyValueReader::feed(std::string_view bytes) {
  RETURN_IF_ERROR(failed_);
  pending_.append(bytes);
  std::string_view rest = pending_;
  std::size_t size = 0;
  while ((failed_ = part_bytes(rest, &size)).ok() && size > 0 && rest.size() >= size) {
    if (failed_ = read_part(rest.substr(0, size)); !failed_.ok()) {
      break;
    }
    rest.remove_prefix(size);
    offset_ += size;
  }
  pending_.erase(0, pending_.size() - rest.size());
  return failed_;
}

Status KeyValueReader::finish() {
  RETURN_IF_ERROR(failed_);
  if (!ended_) {
    failed_ = damaged(fmt::format("it ends {} bytes later, before its end", pending_.size()));
  }
  return failed_;
}

Status write_key_values(engines::Snapshot& snapshot, std::size_t keyspaces, KeyValueWriter& writer) {
  for (std::size_t id = 0; id < keyspaces; ++id) {
    const auto keyspace = static_cast<engines::KeyspaceId>(id);
    const std::unique_ptr<engines::Iterator> it = snapshot.iterator(keyspace);
    for (it->seek_to_first(); it->valid(); it->next()) {
      RETURN_IF_ERROR(writer.add(keyspace, it->key(), it->value()));
    }
    RETURN_IF_ERROR(it->status());
  }
  return writer.finish();
}

Status KeyValueLoader::add(engines::KeyspaceId keyspace, std::string_view key, std::string_view value) {
  batch_.put(keyspace, key, value);
  return batch_.bytes() < kBatchBytes ? Status() : finish();
}

Status KeyValueLoader::finish() {
  if (batch_.empty()) {
    return {};
  }
  RETURN_IF_ERROR(engine_.write(batch_));
  batch_.clear();
  return {};
}

}  // namespace chaosgate::snapshot
