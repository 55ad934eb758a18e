// A fuzz target is one reader of bytes that come from outside, and what must hold for any bytes at all.
//
// Each <name>_fuzz.cc defines target(). Two programs are made of it:
//
//   build/fuzz/<name>_fuzz   libFuzzer looks for inputs; made by `scripts/build fuzz`, run by `scripts/fuzz`
//   build/asan/<name>_fuzz   tries the seeds, every file of harness/fuzz/corpus/<name>/ (inputs that once
//                            failed) and some mutants, the same ones each time; a test of `scripts/test`
//
// What must hold is checked with CHECK, which aborts: both programs call that a failure, as they do what
// AddressSanitizer and UndefinedBehaviorSanitizer find, and memory that the input's size does not explain.
// A reader is not reached by bytes whose checksum is wrong, so a target repairs most mutants. Both programs
// count how many inputs got past the checksum, and print it.
//
// Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/rng.h"

namespace chaosgate::fuzz {

// How far an input came.
enum class Reach : std::uint8_t {
  refused,   // as no such thing: magic, length, checksum
  verified,  // past the checksum, where there is one; then refused for what it says
  accepted,  // read, and what must hold then was checked
};

struct Target {
  std::string_view name;
  // What the writers really write. Each must be accepted.
  std::vector<std::string> (*seeds)() = nullptr;
  // Makes magic, lengths and checksums fit, as far as the bytes resemble the format; draws from `rng` what to
  // leave alone. Null: the format has nothing of the kind.
  void (*repair)(Rng& rng, std::string* bytes) = nullptr;
  // Reads the input. A CHECK that fails is a finding.
  Reach (*run)(std::string_view bytes) = nullptr;
  // So much may be allocated at once: base + per_byte for each byte of the input. The factors are generous:
  // what they forbid is memory that a length inside the input asks for.
  std::size_t memory_base = 1 << 20;
  std::size_t memory_per_byte = 64;
  // For a format with a frame that hides what is in it, like an archive: mutations are of what is inside, and
  // the frame is made anew around it, with what repair() would do. Null: mutations are of the bytes.
  bool (*open)(std::string_view bytes, std::string* inside) = nullptr;  // false: it has no such frame
  std::string (*close)(Rng& rng, std::string_view inside) = nullptr;
  // Most of the mutants are made by this, if it is there, so that they follow the format. `other` is what may
  // be spliced in; both are opened, if they can be.
  std::string (*mutate)(Rng& rng, std::string bytes, std::string_view other) = nullptr;
  std::size_t bytes_max = 4096;  // of an input that is looked for
};

Target target();

// Runs the input and checks what it allocated. Aborts for a finding.
Reach try_input(const Target& target, std::string_view bytes);

// A mutant of `bytes`, without repair. `other` is what may be spliced in.
std::string mutate(Rng& rng, std::string bytes, std::string_view other);

// A mutant of `bytes`, made by `change` and repaired mostly. `other` is what may be spliced in; both come to
// change() opened, if they can be.
using Change = std::function<std::string(std::string bytes, std::string_view other)>;
std::string mutant(const Target& target, Rng& rng, std::string_view bytes, std::string_view other,
                   const Change& change);

struct Count {
  std::uint64_t tried = 0;
  std::uint64_t verified = 0;  // those that were accepted, too
  std::uint64_t accepted = 0;

  void add(Reach reach);
};

// "log_segment: 1000 inputs tried, 700 past the checksum, 300 accepted".
std::string to_string(const Target& target, const Count& count);

}  // namespace chaosgate::fuzz
