// Profile "mixed": every kind of operation over three keyspaces; and, over few keys, for power cuts, where a
// state is compared for each of many disk images: "small", the same, and "rollover", with values that fill a
// memory table or log of an engine several times in a short load. Changing what they draw changes what a seed
// means; see generator_test.cc.
#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

// How many keys of each population there are.
struct Sizes {
  BinaryKeys objects;
  std::uint64_t locks;
  std::uint64_t hits;
  std::uint64_t notes;
  std::uint64_t items;
  std::size_t (*value_bytes)(Rng&);

  constexpr std::uint64_t slots() const { return objects.size + locks + hits + notes + items; }
};

constexpr std::string_view kLockPrefix = "\xff\xff/lock/";

std::size_t value_bytes(Rng& rng) {
  const std::uint64_t draw = rng.below(4096);
  if (draw == 0) {
    return rng.log_between(4 << 10, 64 << 10);
  }
  if (draw < 64) {
    return 0;
  }
  return 16 + rng.below(185);
}

std::size_t page_bytes(Rng& rng) { return rng.chance(1, 64) ? 0 : rng.log_between(512, 8 << 10); }

constexpr Sizes kMixed{{19'000}, 512, 1'500, 1'000, 2'000, value_bytes};
constexpr Sizes kSmall{{600}, 32, 60, 40, 60, value_bytes};
constexpr Sizes kRollover{{400}, 32, 60, 40, 60, page_bytes};

template <const Sizes& kSizes>
void preload(Draw& draw, std::uint64_t slot) {
  if (take_slot(&slot, kSizes.objects.size)) {
    if (preloaded(draw, slot, 80)) {
      put_binary(draw, kSizes.objects, {slot, kSizes.value_bytes(draw.rng)});
    }
  } else if (take_slot(&slot, kSizes.locks)) {
    preload_cas(draw, Keyspace::object, kLockPrefix, slot);
  } else if (take_slot(&slot, kSizes.hits)) {
    preload_counter(draw, "hits/", slot);
  } else if (take_slot(&slot, kSizes.notes)) {
    put_numbered(draw, Keyspace::counter, "note/", {slot, draw.rng.between(0, 64)});
  } else {
    put_item(draw, {slot, kSizes.value_bytes(draw.rng)});
  }
}

template <const Sizes& kSizes>
void entry(Draw& draw) {
  if (draw.rng.chance(1, 256)) {
    compact_revisions(draw, 100, 300);
    return;
  }
  const std::size_t operations = 1 + draw.rng.weighted({30, 30, 25, 15});
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({520, 80, 10, 120, 75, 90, 100, 5})) {
      case 0:
        put_binary(draw, kSizes.objects, {kSizes.objects.pick(draw), kSizes.value_bytes(draw.rng)});
        break;
      case 1:
        erase_binary(draw, kSizes.objects);
        break;
      case 2:
        erase_binary_range(draw, kSizes.objects);
        break;
      case 3:
        draw_increment(draw, "hits/", kSizes.hits);
        break;
      case 4:
        draw_append(draw, "note/", kSizes.notes);
        break;
      case 5:
        draw_compare_and_set(draw, Keyspace::object, kLockPrefix, kSizes.locks);
        break;
      case 6:
        put_item(draw, {draw.rng.below(kSizes.items), kSizes.value_bytes(draw.rng)});
        break;
      default:
        erase_numbered(draw, Keyspace::counter, "hits/", draw.rng.below(kSizes.hits));
    }
  }
}

}  // namespace

Profile mixed_profile() {
  return {{"mixed", "every kind of operation, 1 to 4 per transaction, small values (the default)"},
          kMixed.slots(),
          preload<kMixed>,
          entry<kMixed>};
}

Profile small_profile() {
  return {{"small", "mixed over 800 keys, for power cuts: many disk images, each compared in full"},
          kSmall.slots(),
          preload<kSmall>,
          entry<kSmall>};
}

Profile rollover_profile() {
  return {{"rollover",
           "small with values of 1/2 to 8 KiB: memory tables fill and logs roll over in a short load"},
          kRollover.slots(),
          preload<kRollover>,
          entry<kRollover>};
}

}  // namespace chaosgate::workloads
