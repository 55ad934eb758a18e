// Profile "bigvalue": many small values, some of 4 to 64 KiB, a few of up to 1 MiB. Changing what it draws
// changes what a seed means; see generator_test.cc.
#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

constexpr BinaryKeys kObjects{26'000};
constexpr std::uint64_t kHits = 500;
constexpr std::uint64_t kNotes = 100;
constexpr std::uint64_t kMedium = 288;          // at most 18 MiB
constexpr std::uint64_t kBig = 24;              // at most 24 MiB
constexpr std::uint64_t kBigPreloadEvery = 11;  // entries; puts the big ones into entries of their own
constexpr std::string_view kMediumPrefix = "\xff\xff/medium/";
constexpr std::string_view kBigPrefix = "\xff\xff/big/";

std::size_t small_bytes(Rng& rng) { return 16 + rng.below(64); }
std::size_t medium_bytes(Rng& rng) { return rng.log_between(4 << 10, 64 << 10); }
std::size_t big_bytes(Rng& rng) {
  return rng.chance(1, 4) ? rng.between(256 << 10, 1 << 20) : rng.log_between(64 << 10, 1 << 20);
}

void preload(Draw& draw, std::uint64_t slot) {
  if (slot % kPreloadSlotsPerEntry == 0) {
    if (draw.index % kBigPreloadEvery == 0 && draw.index / kBigPreloadEvery <= kBig) {
      put_numbered(draw, Keyspace::object, kBigPrefix,
                   {draw.index / kBigPreloadEvery - 1, big_bytes(draw.rng)});
    } else if (draw.index < kMedium) {
      put_numbered(draw, Keyspace::object, kMediumPrefix, {draw.index, medium_bytes(draw.rng)});
    }
  }
  if (take_slot(&slot, kObjects.size)) {
    if (preloaded(draw, slot, 82)) {
      put_binary(draw, kObjects, {slot, small_bytes(draw.rng)});
    }
  } else if (take_slot(&slot, kHits)) {
    preload_counter(draw, "hits/", slot);
  } else {
    put_numbered(draw, Keyspace::counter, "note/", {slot, draw.rng.between(0, 64)});
  }
}

void entry(Draw& draw) {
  const std::size_t operations = 1 + draw.rng.weighted({50, 35, 15});
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({660, 100, 10, 120, 60, 30, 4, 3, 1})) {
      case 0:
        put_binary(draw, kObjects, {kObjects.pick(draw), small_bytes(draw.rng)});
        break;
      case 1:
        erase_binary(draw, kObjects);
        break;
      case 2:
        erase_binary_range(draw, kObjects);
        break;
      case 3:
        draw_increment(draw, "hits/", kHits);
        break;
      case 4:
        draw_append(draw, "note/", kNotes);
        break;
      case 5:
        put_numbered(draw, Keyspace::object, kMediumPrefix,
                     {draw.rng.below(kMedium), medium_bytes(draw.rng)});
        break;
      case 6:
        erase_numbered(draw, Keyspace::object, kMediumPrefix, draw.rng.below(kMedium));
        break;
      case 7:
        put_numbered(draw, Keyspace::object, kBigPrefix, {draw.rng.below(kBig), big_bytes(draw.rng)});
        break;
      default:
        erase_numbered(draw, Keyspace::object, kBigPrefix, draw.rng.below(kBig));
    }
  }
}

}  // namespace

Profile bigvalue_profile() {
  return {{"bigvalue", "small values, some of 4 to 64 KiB, a few of up to 1 MiB"},
          kObjects.size + kHits + kNotes,
          preload,
          entry};
}

}  // namespace chaosgate::workloads
