// Tries one target on its seeds, on kept inputs and on mutants of both: the same ones each time, and quickly.
//
// Usage: <name>_fuzz [--mutants N] [FILE or DIRECTORY]...
//        <name>_fuzz --write-seeds DIRECTORY
//
// Passes when every seed is accepted, nothing aborts, and mutants get past the checksum. Exit status 0, or 1;
// a finding aborts, after the last line that names the input.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/fuzz/fuzz.h"

namespace chaosgate::fuzz {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::uint64_t mutants = 2000;
  fs::path write_seeds;
  std::vector<fs::path> inputs;
};

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--mutants" && i + 1 < argc) {
      arguments.mutants = std::stoull(argv[++i]);
    } else if (word == "--write-seeds" && i + 1 < argc) {
      arguments.write_seeds = argv[++i];
    } else if (!word.starts_with("-")) {
      arguments.inputs.emplace_back(word);
    } else {
      throw UsageError("unknown argument " + word);
    }
  }
  return arguments;
}

// The files that are meant, in the order of their names.
std::vector<fs::path> files_of(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    if (fs::is_regular_file(input)) {
      files.push_back(input);
    } else if (fs::is_directory(input)) {
      for (const fs::directory_entry& entry : fs::recursive_directory_iterator(input)) {
        if (entry.is_regular_file()) {
          files.push_back(entry.path());
        }
      }
    } else {
      throw UsageError("there is no " + input.string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

int write_seeds(const Target& target, const fs::path& directory) {
  fs::create_directories(directory);
  int number = 0;
  for (const std::string& seed : target.seeds()) {
    replace_file(directory / fmt::format("seed-{}", number++), seed);
  }
  return 0;
}

int run(const Arguments& arguments) {
  const Target target = fuzz::target();
  if (!arguments.write_seeds.empty()) {
    return write_seeds(target, arguments.write_seeds);
  }
  std::vector<std::string> inputs = target.seeds();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (try_input(target, inputs[i]) != Reach::accepted) {
      fmt::print("{}: seed {} is not accepted\n", target.name, i);
      return 1;
    }
  }
  for (const fs::path& file : files_of(arguments.inputs)) {
    fmt::print("{}\n", file.string());  // stays the last line when it aborts
    std::fflush(stdout);
    if (const Status status = read_file(file, &inputs.emplace_back()); !status.ok()) {
      throw EnvironmentError(status.message());
    }
    try_input(target, inputs.back());
  }
  Count mutants;
  Rng rng = Rng(1).fork(target.name);
  for (std::uint64_t i = 0; i < arguments.mutants; ++i) {
    const std::string& input = inputs[rng.below(inputs.size())];
    const std::string& other = inputs[rng.below(inputs.size())];
    mutants.add(
        try_input(target, mutant(target, rng, input, other, [&](std::string bytes, std::string_view more) {
                    return mutate(rng, std::move(bytes), more);
                  })));
  }
  fmt::print("{}\n", to_string(target, mutants));
  // Mutants that are all refused at the door, or all accepted, try nothing.
  if (arguments.mutants > 0 && (mutants.verified * 20 < mutants.tried || mutants.accepted == mutants.tried)) {
    fmt::print("{}: the mutants prove nothing\n", target.name);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace chaosgate::fuzz

int main(int argc, char** argv) {
  try {
    return chaosgate::fuzz::run(chaosgate::fuzz::parse_arguments(argc, argv));
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
