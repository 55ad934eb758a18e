#include "harness/fuzz/fuzz.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"

// Of both sanitizer runtimes; gcc's package has no header that declares them.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_allocation)(const volatile void*,
                                                                               std::size_t),
                                                         void (*on_free)(const volatile void*));
extern "C" std::size_t __sanitizer_get_allocated_size(const volatile void* at);

namespace chaosgate::fuzz {
namespace {

// Bytes allocated by this thread since the input began, less what was freed, and the most that ever was.
// Plain numbers, because the allocator calls the hooks: nothing here may allocate.
struct Memory {
  bool counting = false;
  std::size_t now = 0;
  std::size_t peak = 0;
};
thread_local Memory memory;

void on_allocation(const volatile void* /*at*/, std::size_t size) {
  if (memory.counting) {
    memory.now += size;
    memory.peak = std::max(memory.peak, memory.now);
  }
}

void on_free(const volatile void* at) {
  if (memory.counting && at != nullptr) {
    const std::size_t size = __sanitizer_get_allocated_size(at);
    memory.now -= std::min(memory.now, size);  // what is freed may be older than the input
  }
}

std::size_t place(Rng& rng, const std::string& bytes) {
  return static_cast<std::size_t>(rng.below(bytes.size() + 1));
}

std::size_t piece(Rng& rng, std::size_t size) {
  return size == 0 ? 0 : static_cast<std::size_t>(rng.log_between(1, size));
}

// Values at which lengths, counts and indexes break.
std::uint64_t edge(Rng& rng) {
  const std::uint64_t power = std::uint64_t{1} << rng.below(64);
  switch (rng.below(4)) {
    case 0:
      return rng.below(5);
    case 1:
      return ~rng.below(5);
    case 2:
      return power + rng.below(3) - 1;
    default:
      return rng.next();
  }
}

void overwrite_number(Rng& rng, std::string* bytes) {
  const std::size_t width = std::size_t{1} << rng.below(4);
  if (bytes->size() < width) {
    return;
  }
  const auto at = static_cast<std::size_t>(rng.below(bytes->size() - width + 1));
  const std::uint64_t value = edge(rng);
  for (std::size_t i = 0; i < width; ++i) {
    (*bytes)[at + i] = static_cast<char>(value >> (8 * i));
  }
}

void mutate_once(Rng& rng, std::string_view other, std::string* bytes) {
  const std::size_t at = place(rng, *bytes);
  const std::size_t behind = bytes->size() - at;
  switch (rng.below(8)) {
    case 0:
      if (behind > 0) {
        (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1U << rng.below(8)));
      }
      return;
    case 1:
      if (behind > 0) {
        (*bytes)[at] = static_cast<char>(rng.next());
      }
      return;
    case 2:
      return overwrite_number(rng, bytes);
    case 3:
      bytes->erase(at, piece(rng, behind));
      return;
    case 4: {
      const std::string copy = bytes->substr(at, piece(rng, behind));
      bytes->insert(place(rng, *bytes), copy);
      return;
    }
    case 5: {
      std::string random;
      rng.append_bytes(&random, piece(rng, 16));
      bytes->insert(at, random);
      return;
    }
    case 6: {
      const auto from = static_cast<std::size_t>(rng.below(other.size() + 1));
      bytes->insert(at, other.substr(from, piece(rng, other.size() - from)));
      return;
    }
    default:
      bytes->resize(at);
      return;
  }
}

}  // namespace

Reach try_input(const Target& target, std::string_view bytes) {
  [[maybe_unused]] static const int kInstalled =
      __sanitizer_install_malloc_and_free_hooks(on_allocation, on_free);
  memory = {true, 0, 0};
  const Reach reach = target.run(bytes);
  memory.counting = false;
  CHECK(memory.peak <= target.memory_base + target.memory_per_byte * bytes.size(),
        "{} bytes of memory for an input of {} bytes", memory.peak, bytes.size());
  return reach;
}

std::string mutate(Rng& rng, std::string bytes, std::string_view other) {
  for (std::uint64_t steps = rng.log_between(1, 8); steps > 0; --steps) {
    mutate_once(rng, other, &bytes);
  }
  return bytes;
}

std::string mutant(const Target& target, Rng& rng, std::string_view bytes, std::string_view other,
                   const Change& change) {
  std::string inside;
  std::string other_inside;
  const bool as_it_is = rng.chance(1, 16);
  const auto changed = [&](std::string from, std::string_view more) {
    return target.mutate != nullptr && rng.chance(3, 4) ? target.mutate(rng, std::move(from), more)
                                                        : change(std::move(from), more);
  };
  if (!as_it_is && target.open != nullptr && target.open(bytes, &inside)) {
    target.open(other, &other_inside);
    return target.close(rng, changed(std::move(inside), other_inside));
  }
  std::string made = changed(std::string(bytes), other);
  if (!as_it_is && target.repair != nullptr) {
    target.repair(rng, &made);
  }
  return made;
}

void Count::add(Reach reach) {
  ++tried;
  verified += reach == Reach::refused ? 0 : 1;
  accepted += reach == Reach::accepted ? 1 : 0;
}

std::string to_string(const Target& target, const Count& count) {
  return fmt::format("{}: {} inputs tried, {} past the checksum, {} accepted", target.name, count.tried,
                     count.verified, count.accepted);
}

}  // namespace chaosgate::fuzz
