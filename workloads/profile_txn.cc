// Profile "txn": batches of 4 to 12 operations that span the keyspaces. Changing what it draws changes what a
// seed means; see generator_test.cc.
#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

constexpr BinaryKeys kObjects{15'500};
constexpr std::uint64_t kLocks = 1'500;
constexpr std::uint64_t kHits = 1'500;
constexpr std::uint64_t kNotes = 500;
constexpr std::uint64_t kItems = 3'200;
constexpr std::string_view kLockPrefix = "\xff\xff/lock/";

std::size_t value_bytes(Rng& rng) { return rng.chance(1, 64) ? 0 : 16 + rng.below(48); }

void preload(Draw& draw, std::uint64_t slot) {
  if (take_slot(&slot, kObjects.size)) {
    if (preloaded(draw, slot, 76)) {
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
  if (draw.rng.chance(1, 100)) {
    compact_revisions(draw, 150, 400);
    return;
  }
  // One operation in each keyspace, then whatever comes.
  put_binary(draw, kObjects, {kObjects.pick(draw), value_bytes(draw.rng)});
  draw_increment(draw, "hits/", kHits);
  put_item(draw, {draw.rng.below(kItems), value_bytes(draw.rng)});
  const std::size_t operations = draw.rng.between(1, 9);
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({240, 85, 8, 200, 110, 240, 117})) {
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
      default:
        put_item(draw, {draw.rng.below(kItems), value_bytes(draw.rng)});
    }
  }
}

}  // namespace

Profile txn_profile() {
  return {{"txn", "batches of 4 to 12 operations over all keyspaces: compare-and-set, increments"},
          kObjects.size + kLocks + kHits + kNotes + kItems,
          preload,
          entry};
}

}  // namespace chaosgate::workloads
