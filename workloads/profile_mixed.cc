// Profile "mixed": every kind of operation over three keyspaces. Changing what it draws changes what a seed
// means; see generator_test.cc.
#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

constexpr BinaryKeys kObjects{19'000};
constexpr std::uint64_t kLocks = 512;
constexpr std::uint64_t kHits = 1'500;
constexpr std::uint64_t kNotes = 1'000;
constexpr std::uint64_t kItems = 2'000;
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

void preload(Draw& draw, std::uint64_t slot) {
  if (take_slot(&slot, kObjects.size)) {
    if (preloaded(draw, slot, 80)) {
      put_binary(draw, kObjects, {slot, value_bytes(draw.rng)});
    }
  } else if (take_slot(&slot, kLocks)) {
    preload_cas(draw, Keyspace::object, kLockPrefix, slot);
  } else if (take_slot(&slot, kHits)) {
    preload_counter(draw, "hits/", slot);
  } else if (take_slot(&slot, kNotes)) {
    put_numbered(draw, Keyspace::counter, "note/", {slot, draw.rng.between(0, 64)});
  } else {
    put_item(draw, {slot, value_bytes(draw.rng)});
  }
}

void entry(Draw& draw) {
  if (draw.rng.chance(1, 256)) {
    compact_revisions(draw, 100, 300);
    return;
  }
  const std::size_t operations = 1 + draw.rng.weighted({30, 30, 25, 15});
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({520, 80, 10, 120, 75, 90, 100, 5})) {
      case 0:
        put_binary(draw, kObjects, {kObjects.pick(draw), value_bytes(draw.rng)});
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
        draw_compare_and_set(draw, Keyspace::object, kLockPrefix, kLocks);
        break;
      case 6:
        put_item(draw, {draw.rng.below(kItems), value_bytes(draw.rng)});
        break;
      default:
        erase_numbered(draw, Keyspace::counter, "hits/", draw.rng.below(kHits));
    }
  }
}

}  // namespace

Profile mixed_profile() {
  return {{"mixed", "every kind of operation, 1 to 4 per transaction, small values (the default)"},
          kObjects.size + kLocks + kHits + kNotes + kItems,
          preload,
          entry};
}

}  // namespace chaosgate::workloads
