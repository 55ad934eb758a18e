#include "workloads/profile.h"

#include <array>
#include <charconv>
#include <cstring>

#include "harness/base/check.h"

namespace chaosgate::workloads {
namespace {

// Members of a group share a two-byte prefix and ascend: "", 00, 0000, 3x.., 4x.., ..., ex.., ff.
constexpr std::uint64_t kGroupMembers = 16;
constexpr std::uint64_t kOneByteKeys = 256;

std::size_t suffix_bytes(std::uint64_t random) {
  if (random % 512 == 0) {
    return 200 + (random >> 16) % 296;  // + the prefix and the first byte: up to kKeyBytesMax - 2
  }
  const std::uint64_t scale = (random >> 9) % 8;
  return (random >> 16) % (scale == 0 ? 60 : scale < 3 ? 24 : 10);
}

}  // namespace

Operation& Draw::add(OperationKind kind, Keyspace keyspace) {
  Operation& operation = out->emplace_back();
  operation.kind = kind;
  operation.keyspace = keyspace;
  return operation;
}

std::uint64_t mix(std::uint64_t salt, std::uint64_t number) {
  std::uint64_t z = salt + (number + 1) * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

void BinaryKeys::key(std::uint64_t salt, std::uint64_t number, std::string* out) const {
  out->clear();
  if (number < kOneByteKeys) {
    out->push_back(static_cast<char>(number));
    return;
  }
  const std::uint64_t group = (number - kOneByteKeys) / kGroupMembers;
  const std::uint64_t member = (number - kOneByteKeys) % kGroupMembers;
  const std::uint64_t groups = (size - kOneByteKeys + kGroupMembers - 1) / kGroupMembers;
  const std::uint64_t prefix = group * (0xffff / groups);
  out->push_back(static_cast<char>(prefix >> 8));
  out->push_back(static_cast<char>(prefix));
  if (member <= 2) {
    out->append(member, '\0');
    return;
  }
  if (member == kGroupMembers - 1) {
    out->push_back('\xff');
    return;
  }
  std::uint64_t random = mix(salt, number);
  out->push_back(static_cast<char>(member << 4 | (random >> 60)));
  std::size_t left = suffix_bytes(random);
  while (left > 0) {
    random = mix(salt, random);
    char bytes[sizeof random];
    std::memcpy(bytes, &random, sizeof random);
    const std::size_t take = left < sizeof bytes ? left : sizeof bytes;
    out->append(bytes, take);
    left -= take;
  }
}

std::uint64_t BinaryKeys::pick(Draw& draw) const {
  const std::uint64_t draw_of_both = draw.rng.below(size * 2);
  if (draw_of_both < size) {
    return draw_of_both;
  }
  // Sixteen hot numbers in each 256, in another place for each seed.
  const std::uint64_t number = draw_of_both - size;
  const std::uint64_t hot = (number & ~std::uint64_t{0xff}) | (draw.salt & 0xf0) | (number & 0x0f);
  return hot < size ? hot : number;
}

void BinaryKeys::range(Draw& draw, std::uint64_t width, Operation* operation) const {
  const std::uint64_t first = draw.rng.between(kOneByteKeys, size - 1);
  key(draw.salt, first, &operation->key);
  if (first + width < size) {
    key(draw.salt, first + width, &operation->end);
  } else {
    operation->end = kBehindBinaryKeys;
  }
}

void numbered_key(std::string_view prefix, std::uint64_t number, std::string* out) {
  std::array<char, 20> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  out->append(prefix);
  out->append(digits.data(), result.ptr);
}

void append_random(Rng& rng, std::size_t size, std::string* out) {
  const std::size_t at = out->size();
  out->resize(at + size);
  char* to = out->data() + at;
  for (; size >= sizeof(std::uint64_t); size -= sizeof(std::uint64_t), to += sizeof(std::uint64_t)) {
    const std::uint64_t word = rng.next();
    std::memcpy(to, &word, sizeof word);
  }
  if (size > 0) {
    const std::uint64_t word = rng.next();
    std::memcpy(to, &word, size);
  }
}

void cas_value(std::uint64_t which, std::string* out) {
  static constexpr std::array<std::string_view, 4> kValues = {"", "held-by-0", "released",
                                                              "waiting-for-a-turn"};
  out->assign(kValues[which % kValues.size()]);
}

void draw_compare_and_set(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t keys) {
  Operation& operation = draw.add(OperationKind::compare_and_set, keyspace);
  numbered_key(prefix, draw.rng.below(keys), &operation.key);
  const std::uint64_t expected = draw.rng.below(4);
  cas_value(expected, &operation.expected);
  cas_value(expected + 1 + draw.rng.below(3), &operation.value);
}

void draw_increment(Draw& draw, std::string_view prefix, std::uint64_t keys) {
  Operation& operation = draw.add(OperationKind::increment, Keyspace::counter);
  numbered_key(prefix, draw.rng.below(keys), &operation.key);
  operation.number = draw.rng.between(1, 1000);
}

void draw_append(Draw& draw, std::string_view prefix, std::uint64_t keys) {
  Operation& operation = draw.add(OperationKind::append, Keyspace::counter);
  numbered_key(prefix, draw.rng.below(keys), &operation.key);
  append_random(draw.rng, draw.rng.between(1, 24), &operation.value);
}

bool preloaded(const Draw& draw, std::uint64_t number, std::uint64_t percent) {
  return mix(draw.salt ^ 0x70726c64, number) % 100 < percent;
}

void put_binary(Draw& draw, const BinaryKeys& keys, Item item) {
  Operation& operation = draw.add(OperationKind::put, Keyspace::object);
  keys.key(draw.salt, item.number, &operation.key);
  append_random(draw.rng, item.value_bytes, &operation.value);
}

void erase_binary(Draw& draw, const BinaryKeys& keys) {
  Operation& operation = draw.add(OperationKind::erase, Keyspace::object);
  keys.key(draw.salt, keys.pick(draw), &operation.key);
}

void erase_binary_range(Draw& draw, const BinaryKeys& keys) {
  Operation& operation = draw.add(OperationKind::erase_range, Keyspace::object);
  keys.range(draw, draw.rng.log_between(1, 16), &operation);
}

void put_numbered(Draw& draw, Keyspace keyspace, std::string_view prefix, Item item) {
  Operation& operation = draw.add(OperationKind::put, keyspace);
  numbered_key(prefix, item.number, &operation.key);
  append_random(draw.rng, item.value_bytes, &operation.value);
}

void erase_numbered(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t number) {
  numbered_key(prefix, number, &draw.add(OperationKind::erase, keyspace).key);
}

void preload_counter(Draw& draw, std::string_view prefix, std::uint64_t number) {
  put_numbered(draw, Keyspace::counter, prefix, {number, sizeof(std::uint64_t)});
}

void preload_cas(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t number) {
  Operation& operation = draw.add(OperationKind::put, keyspace);
  numbered_key(prefix, number, &operation.key);
  cas_value(draw.rng.below(4), &operation.value);
}

void put_item(Draw& draw, Item item) {
  Operation& operation = draw.add(OperationKind::mvcc_put, Keyspace::revision);
  numbered_key("/item/", item.number, &operation.key);
  append_random(draw.rng, item.value_bytes, &operation.value);
}

void compact_revisions(Draw& draw, std::uint64_t keep_low, std::uint64_t keep_high) {
  draw.add(OperationKind::mvcc_compact, Keyspace::revision).number = draw.rng.between(keep_low, keep_high);
}

bool take_slot(std::uint64_t* slot, std::uint64_t count) {
  if (*slot < count) {
    return true;
  }
  *slot -= count;
  return false;
}

}  // namespace chaosgate::workloads
