#include "harness/fuzz/key_values.h"

namespace chaosgate::fuzz {
namespace {

constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kHeadBytes = 5;  // of a part: kind and length
constexpr std::size_t kSumBytes = 8;
constexpr std::size_t kTotalsBytes = 16 * kKeyspaces;

template <typename T>
void store(std::string* bytes, std::size_t at, T value) {
  std::memcpy(bytes->data() + at, &value, sizeof value);
}

void add_totals(std::string_view records, std::vector<snapshot::KeyspaceTotals>* totals) {
  Reader reader(records);
  std::uint8_t keyspace = 0;
  std::string_view key;
  std::string_view value;
  while (reader.u8(&keyspace) && reader.bytes(&key) && reader.bytes(&value) && keyspace < kKeyspaces) {
    (*totals)[keyspace].add(key, value);
  }
}

}  // namespace

void repair_key_values(Rng& rng, std::string* bytes) {
  if (bytes->size() < kHeaderBytes) {
    return;
  }
  std::string header(snapshot::kKeyValueMagic);
  put_u32(&header, snapshot::kKeyValueVersion);
  put_u32(&header, kKeyspaces);
  std::uint64_t chain = hash64(header);
  put_u64(&header, chain);
  bytes->replace(0, kHeaderBytes, header);
  std::vector<snapshot::KeyspaceTotals> totals(kKeyspaces);
  for (std::size_t at = kHeaderBytes; bytes->size() - at >= kHeadBytes + kSumBytes;) {
    const std::size_t room = bytes->size() - at - kHeadBytes - kSumBytes;
    auto length = load_fixed<std::uint32_t>(bytes->data() + at + 1);
    if (length > room || (length == 0 && room > 0)) {
      length = static_cast<std::uint32_t>(room);
      store(bytes, at + 1, length);
    }
    const std::string_view content = std::string_view(*bytes).substr(at + kHeadBytes, length);
    if ((*bytes)[at] == 'C') {
      add_totals(content, &totals);
    } else if (length == kTotalsBytes && !rng.chance(1, 16)) {
      (*bytes)[at] = 'E';
      for (std::size_t i = 0; i < kKeyspaces; ++i) {
        store(bytes, at + kHeadBytes + 16 * i, totals[i].count);
        store(bytes, at + kHeadBytes + 16 * i + 8, totals[i].hash);
      }
    }
    const std::size_t covered = kHeadBytes + length;
    chain = hash64(std::string_view(*bytes).substr(at, covered), chain);
    store(bytes, at + covered, chain);
    at += covered + kSumBytes;
  }
}

}  // namespace chaosgate::fuzz
