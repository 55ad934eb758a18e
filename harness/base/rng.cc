#include "harness/base/rng.h"

#include <bit>

#include "harness/base/check.h"
#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate {
namespace {

__extension__ using Wide = unsigned __int128;

std::uint64_t split_mix(std::uint64_t* state) {
  std::uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(std::uint64_t seed) : seed_(seed) {
  std::uint64_t mix = seed;
  for (std::uint64_t& word : state_) {
    word = split_mix(&mix);
  }
}

Rng Rng::fork(std::string_view name) const { return Rng(hash64(name, seed_)); }

Rng Rng::fork(std::uint64_t number) const {
  // Two rounds keep fork(1).fork(2) and fork(2).fork(1) apart.
  std::uint64_t mix = seed_ ^ 0x5851f42d4c957f2dULL;
  mix = split_mix(&mix) ^ number;
  return Rng(split_mix(&mix));
}

std::uint64_t Rng::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::uint64_t Rng::below(std::uint64_t bound) {
  CHECK(bound > 0);
  // Lemire's multiply-shift; the bias of at most bound / 2^64 is irrelevant here.
  return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
}

std::uint64_t Rng::between(std::uint64_t low, std::uint64_t high) {
  CHECK(low <= high);
  const std::uint64_t span = high - low;
  return span == UINT64_MAX ? next() : low + below(span + 1);
}

std::uint64_t Rng::log_between(std::uint64_t low, std::uint64_t high) {
  CHECK(low <= high);
  const std::uint64_t span = high - low + 1;
  const std::uint64_t bits = static_cast<std::uint64_t>(std::bit_width(span));
  const std::uint64_t limit = std::uint64_t{1} << between(0, bits - 1);
  return low + below(limit < span ? limit : span);
}

bool Rng::chance(std::uint64_t numerator, std::uint64_t denominator) {
  return below(denominator) < numerator;
}

std::size_t Rng::weighted(std::initializer_list<std::uint32_t> weights) {
  std::uint64_t total = 0;
  for (const std::uint32_t weight : weights) {
    total += weight;
  }
  std::uint64_t point = below(total);
  std::size_t index = 0;
  for (const std::uint32_t weight : weights) {
    if (point < weight) {
      return index;
    }
    point -= weight;
    ++index;
  }
  CHECK(false, "a weighted draw fell outside its weights");
}

void Rng::append_bytes(std::string* out, std::size_t size) {
  while (size >= sizeof(std::uint64_t)) {
    put_u64(out, next());
    size -= sizeof(std::uint64_t);
  }
  if (size > 0) {
    const std::uint64_t word = next();
    out->append(reinterpret_cast<const char*>(&word), size);
  }
}

}  // namespace chaosgate
