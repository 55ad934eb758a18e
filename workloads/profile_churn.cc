// Profile "churn": a queue that is filled at its head and cleared at its tail, and keys that come and go.
// Changing what it draws changes what a seed means; see generator_test.cc.
#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

constexpr BinaryKeys kObjects{19'000};
constexpr std::uint64_t kQueue = 20'480;        // positions of the ring
constexpr std::uint64_t kGap = kQueue * 3 / 8;  // free positions between head and tail
constexpr std::uint64_t kPerEntry = 2;
constexpr std::uint64_t kHits = 600;
constexpr std::uint64_t kNotes = 200;
constexpr std::uint64_t kQueued = kQueue - kGap;
constexpr std::uint64_t kSlots = kObjects.size + kQueued + kHits + kNotes;
constexpr std::uint64_t kPreload = (kSlots + kPreloadSlotsPerEntry - 1) / kPreloadSlotsPerEntry;

std::uint64_t head(std::uint64_t index) { return index * kPerEntry % kQueue; }

void queue_key(std::uint64_t position, std::string* key) {
  key->assign(kBehindBinaryKeys);
  key->push_back('q');
  key->push_back(static_cast<char>(position >> 8));
  key->push_back(static_cast<char>(position));
}

void put_queue(Draw& draw, std::uint64_t position) {
  Operation& operation = draw.add(OperationKind::put, Keyspace::object);
  queue_key(position, &operation.key);
  append_random(draw.rng, draw.rng.between(8, 40), &operation.value);
}

std::size_t value_bytes(Rng& rng) { return rng.chance(1, 50) ? 0 : 8 + rng.below(1 + rng.below(120)); }

void preload(Draw& draw, std::uint64_t slot) {
  if (take_slot(&slot, kObjects.size)) {
    if (preloaded(draw, slot, 50)) {
      put_binary(draw, kObjects, {slot, value_bytes(draw.rng)});
    }
  } else if (take_slot(&slot, kQueued)) {
    put_queue(draw, (head(kPreload + 1) + kGap + slot) % kQueue);
  } else if (take_slot(&slot, kHits)) {
    preload_counter(draw, "hits/", slot);
  } else {
    put_numbered(draw, Keyspace::counter, "note/", {slot, draw.rng.between(0, 64)});
  }
}

void entry(Draw& draw) {
  const std::uint64_t from = head(draw.index);
  for (std::uint64_t i = 0; i < kPerEntry; ++i) {
    put_queue(draw, (from + i) % kQueue);
  }
  const std::uint64_t tail = (from + kGap) % kQueue;
  Operation& clear = draw.add(OperationKind::erase_range, Keyspace::object);
  queue_key(tail, &clear.key);
  queue_key(tail + kPerEntry + draw.rng.below(3), &clear.end);
  const std::size_t operations = 1 + draw.rng.below(3);
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({430, 300, 40, 150, 80})) {
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
      default:
        draw_append(draw, "note/", kNotes);
    }
  }
}

}  // namespace

Profile churn_profile() {
  return {{"churn", "a queue cleared by range and keys that come and go: many tombstones"},
          kSlots,
          preload,
          entry};
}

}  // namespace chaosgate::workloads
