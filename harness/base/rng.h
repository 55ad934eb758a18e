// Rng is the only source of randomness: a seeded generator with named, independent streams.
//
// Guarantees: the same seed gives the same numbers on every machine and in every build. fork(name) and
// fork(number) derive a stream from the *seed* of this one, not from its position, so a new draw in one
// place moves nothing elsewhere. The distributions are written here because the standard library's
// differ between implementations. Not thread-safe; fork one per thread.
//
// Generator: xoshiro256** by Blackman and Vigna (public domain), seeded through SplitMix64.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace chaosgate {

class Rng {
 public:
  explicit Rng(std::uint64_t seed);

  Rng fork(std::string_view name) const;
  Rng fork(std::uint64_t number) const;

  std::uint64_t next();

  // Uniform in [0, bound). REQUIRES: bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Uniform in [low, high], both included. REQUIRES: low <= high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high);
  // Each power of two between low and high is as likely as any other: many small, few large.
  // REQUIRES: low <= high.
  std::uint64_t log_between(std::uint64_t low, std::uint64_t high);
  // True in `numerator` of `denominator` draws. REQUIRES: denominator > 0.
  bool chance(std::uint64_t numerator, std::uint64_t denominator);
  // An index into `weights`, drawn in proportion. REQUIRES: the weights sum to more than 0.
  std::size_t weighted(std::initializer_list<std::uint32_t> weights);
  // Appends `size` random bytes to `out`.
  void append_bytes(std::string* out, std::size_t size);

 private:
  std::uint64_t seed_;
  std::array<std::uint64_t, 4> state_;
};

}  // namespace chaosgate
