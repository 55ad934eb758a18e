// What libFuzzer calls. Its main() is its own; at the end the counts go to stderr.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "harness/fuzz/fuzz.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace chaosgate::fuzz {
namespace {

// libFuzzer keeps no object of ours, so there is one.
struct Session {
  Target target = fuzz::target();
  std::vector<std::string> seeds = target.seeds();
  Count count;
};

Session& session() {
  static Session one;
  return one;
}

void print_counts() { fmt::print(stderr, "{}\n", to_string(session().target, session().count)); }

}  // namespace
}  // namespace chaosgate::fuzz

using chaosgate::fuzz::session;

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  session();
  std::atexit(chaosgate::fuzz::print_counts);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  session().count.add(
      chaosgate::fuzz::try_input(session().target, {reinterpret_cast<const char*>(data), size}));
  return 0;
}

// libFuzzer's own mutations, which know what the code compares, and ours, which know numbers; then repair.
// Now and then it starts again from a seed, so that no corpus has to be given.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned int seed) {
  auto& [target, seeds, count] = session();
  chaosgate::Rng rng(seed);
  const std::string& other = seeds[rng.below(seeds.size())];
  std::string bytes;
  if (rng.chance(1, 64)) {
    bytes = other;
  } else if (rng.chance(1, 2)) {
    bytes.assign(reinterpret_cast<const char*>(data), LLVMFuzzerMutate(data, size, size_max));
  } else {
    bytes = chaosgate::fuzz::mutate(rng, {reinterpret_cast<const char*>(data), size}, other);
  }
  bytes.resize(std::min(bytes.size(), size_max));
  chaosgate::fuzz::repair_most(target, rng, &bytes);
  bytes.resize(std::min(bytes.size(), size_max));
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}
