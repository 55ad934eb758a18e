// What libFuzzer calls. Its main() is its own; at the end the counts go to stderr. The target says how long
// inputs get (-max_len), and they are that long from the first one on: a seed that is cut is no seed.
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

// Arguments that stand on the command line, too, are those of the command line: libFuzzer takes the last.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  static std::string max_len = fmt::format("-max_len={}", session().target.bytes_max);
  static std::string len_control = "-len_control=0";
  static std::vector<char*> arguments;
  arguments.assign(*argv, *argv + *argc);
  arguments.insert(arguments.begin() + 1, {max_len.data(), len_control.data()});
  *argc = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  *argv = arguments.data();
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
  const auto change = [&rng = rng, size_max](std::string bytes, std::string_view more) {
    if (rng.chance(1, 64)) {
      return std::string(more);
    }
    if (rng.chance(1, 2)) {
      return chaosgate::fuzz::mutate(rng, std::move(bytes), more);
    }
    const std::size_t used = std::min(bytes.size(), size_max);
    bytes.resize(size_max);
    bytes.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(bytes.data()), used, size_max));
    return bytes;
  };
  std::string bytes =
      chaosgate::fuzz::mutant(target, rng, {reinterpret_cast<const char*>(data), size}, other, change);
  bytes.resize(std::min(bytes.size(), size_max));
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}
