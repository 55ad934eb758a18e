// The profiles. Each one: what it holds, how the preload fills it, what an entry does. Changing anything here
// changes what a seed means; the hashes in generator_test.cc then have to change too, on purpose.
#include <array>

#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

// True for `percent` of the numbers of a population: those that the preload puts.
bool preloaded(const Draw& draw, std::uint64_t number, std::uint64_t percent) {
  return mix(draw.salt ^ 0x70726c64, number) % 100 < percent;
}

void put_binary(Draw& draw, const BinaryKeys& keys, std::uint64_t number, std::size_t value_bytes) {
  Operation& operation = draw.add(OperationKind::put, Keyspace::object);
  keys.key(draw.salt, number, &operation.key);
  append_random(draw.rng, value_bytes, &operation.value);
}

void erase_binary(Draw& draw, const BinaryKeys& keys) {
  Operation& operation = draw.add(OperationKind::erase, Keyspace::object);
  keys.key(draw.salt, keys.pick(draw), &operation.key);
}

void erase_binary_range(Draw& draw, const BinaryKeys& keys) {
  Operation& operation = draw.add(OperationKind::erase_range, Keyspace::object);
  keys.range(draw, draw.rng.log_between(1, 16), &operation);
}

void put_numbered(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t number,
                  std::size_t value_bytes) {
  Operation& operation = draw.add(OperationKind::put, keyspace);
  numbered_key(prefix, number, &operation.key);
  append_random(draw.rng, value_bytes, &operation.value);
}

void erase_numbered(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t number) {
  numbered_key(prefix, number, &draw.add(OperationKind::erase, keyspace).key);
}

void preload_counter(Draw& draw, std::string_view prefix, std::uint64_t number) {
  put_numbered(draw, Keyspace::counter, prefix, number, sizeof(std::uint64_t));
}

void preload_cas(Draw& draw, Keyspace keyspace, std::string_view prefix, std::uint64_t number) {
  Operation& operation = draw.add(OperationKind::put, keyspace);
  numbered_key(prefix, number, &operation.key);
  cas_value(draw.rng.below(4), &operation.value);
}

void put_item(Draw& draw, std::uint64_t number, std::size_t value_bytes) {
  Operation& operation = draw.add(OperationKind::mvcc_put, Keyspace::revision);
  numbered_key("/item/", number, &operation.key);
  append_random(draw.rng, value_bytes, &operation.value);
}

void compact_revisions(Draw& draw, std::uint64_t keep_low, std::uint64_t keep_high) {
  draw.add(OperationKind::mvcc_compact, Keyspace::revision).number = draw.rng.between(keep_low, keep_high);
}

// Takes `count` off *slot and says whether it was below.
bool take_slot(std::uint64_t* slot, std::uint64_t count) {
  if (*slot < count) {
    return true;
  }
  *slot -= count;
  return false;
}

// ---- mixed: every kind of operation over three keyspaces ----

namespace mixed {

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
      put_binary(draw, kObjects, slot, value_bytes(draw.rng));
    }
  } else if (take_slot(&slot, kLocks)) {
    preload_cas(draw, Keyspace::object, kLockPrefix, slot);
  } else if (take_slot(&slot, kHits)) {
    preload_counter(draw, "hits/", slot);
  } else if (take_slot(&slot, kNotes)) {
    put_numbered(draw, Keyspace::counter, "note/", slot, draw.rng.between(0, 64));
  } else {
    put_item(draw, slot, value_bytes(draw.rng));
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
        put_binary(draw, kObjects, kObjects.pick(draw), value_bytes(draw.rng));
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
        put_item(draw, draw.rng.below(kItems), value_bytes(draw.rng));
        break;
      default:
        erase_numbered(draw, Keyspace::counter, "hits/", draw.rng.below(kHits));
    }
  }
}

}  // namespace mixed

// ---- kubernetes: an API server's registry over MVCC, with leases and events ----

namespace kubernetes {

constexpr std::uint64_t kNamespaces = 40;
constexpr std::uint64_t kLeases = 400;  // the first kHotLeases of them are renewed all the time
constexpr std::uint64_t kHotLeases = 24;
constexpr std::uint64_t kObjects = 8'600;
constexpr std::uint64_t kEvents = 6'400;
constexpr std::uint64_t kEventsPerNamespace = kEvents / kNamespaces;
constexpr std::uint64_t kQuotas = 400;
constexpr std::uint64_t kElections = 48;

void renew_lease(Draw& draw, std::uint64_t number) {
  Operation& operation = draw.add(OperationKind::mvcc_put, Keyspace::revision);
  numbered_key("/registry/leases/kube-node-lease/node-", number, &operation.key);
  append_random(draw.rng, draw.rng.between(90, 160), &operation.value);
}

// An object's kind, namespace and size class depend on its number; an eighth of them is big.
void put_object(Draw& draw, std::uint64_t number) {
  static constexpr std::array<std::string_view, 8> kKinds = {
      "/registry/pods/",    "/registry/pods/",        "/registry/pods/",        "/registry/configmaps/",
      "/registry/secrets/", "/registry/deployments/", "/registry/replicasets/", "/registry/endpointslices/"};
  Operation& operation = draw.add(OperationKind::mvcc_put, Keyspace::revision);
  operation.key.reserve(48);
  operation.key = kKinds[number % kKinds.size()];
  numbered_key("ns-", number / kKinds.size() % kNamespaces, &operation.key);
  numbered_key("/object-", number, &operation.key);
  const bool big = mix(draw.salt, number) % 8 == 0;
  append_random(draw.rng, big ? draw.rng.between(1 << 10, 4 << 10) : draw.rng.between(60, 320),
                &operation.value);
}

void event_key(std::uint64_t number, std::string* key) {
  key->clear();
  numbered_key("/registry/events/ns-", number / kEventsPerNamespace, key);
  key->append("/event-");
  // Three digits, so that keys ascend with their numbers within a namespace.
  const std::uint64_t rank = number % kEventsPerNamespace;
  key->push_back(static_cast<char>('0' + rank / 100));
  key->push_back(static_cast<char>('0' + rank / 10 % 10));
  key->push_back(static_cast<char>('0' + rank % 10));
}

void put_event(Draw& draw, std::uint64_t number) {
  Operation& operation = draw.add(OperationKind::put, Keyspace::object);
  event_key(number, &operation.key);
  append_random(draw.rng, draw.rng.between(40, 240), &operation.value);
}

void expire_events(Draw& draw) {
  Operation& operation = draw.add(OperationKind::erase_range, Keyspace::object);
  const std::uint64_t number = draw.rng.below(kEvents);
  const std::uint64_t width = draw.rng.log_between(1, 24);
  const std::uint64_t last_of_namespace = number - number % kEventsPerNamespace + kEventsPerNamespace - 1;
  event_key(number, &operation.key);
  event_key(number + width < last_of_namespace ? number + width : last_of_namespace, &operation.end);
}

void preload(Draw& draw, std::uint64_t slot) {
  if (take_slot(&slot, kObjects)) {
    put_object(draw, slot);
  } else if (take_slot(&slot, kEvents)) {
    if (preloaded(draw, slot, 62)) {
      put_event(draw, slot);
    }
  } else if (take_slot(&slot, kQuotas)) {
    preload_counter(draw, "/quota/", slot);
  } else if (take_slot(&slot, kElections)) {
    preload_cas(draw, Keyspace::object, "/election/", slot);
  } else {
    renew_lease(draw, slot);
  }
}

void entry(Draw& draw) {
  if (draw.rng.chance(1, 100)) {
    compact_revisions(draw, 200, 500);
    return;
  }
  const std::size_t operations = 1 + draw.rng.weighted({60, 30, 10});
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({260, 60, 270, 210, 60, 14, 90, 36})) {
      case 0:
        renew_lease(draw, draw.rng.below(kHotLeases));
        break;
      case 1:
        renew_lease(draw, draw.rng.below(kLeases));
        break;
      case 2:
        put_object(draw, draw.rng.below(kObjects));
        break;
      case 3:
        put_event(draw, draw.rng.below(kEvents));
        break;
      case 4:
        event_key(draw.rng.below(kEvents), &draw.add(OperationKind::erase, Keyspace::object).key);
        break;
      case 5:
        expire_events(draw);
        break;
      case 6:
        draw_increment(draw, "/quota/", kQuotas);
        break;
      default:
        draw_compare_and_set(draw, Keyspace::object, "/election/", kElections);
    }
  }
}

}  // namespace kubernetes

// ---- churn: a queue that is filled at its head and cleared at its tail, and keys that come and go ----

namespace churn {

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
      put_binary(draw, kObjects, slot, value_bytes(draw.rng));
    }
  } else if (take_slot(&slot, kQueued)) {
    put_queue(draw, (head(kPreload + 1) + kGap + slot) % kQueue);
  } else if (take_slot(&slot, kHits)) {
    preload_counter(draw, "hits/", slot);
  } else {
    put_numbered(draw, Keyspace::counter, "note/", slot, draw.rng.between(0, 64));
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
        put_binary(draw, kObjects, kObjects.pick(draw), value_bytes(draw.rng));
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

}  // namespace churn

// ---- bigvalue: many small values, some of 4 to 64 KiB, a few of up to 1 MiB ----

namespace bigvalue {

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
      put_numbered(draw, Keyspace::object, kBigPrefix, draw.index / kBigPreloadEvery - 1,
                   big_bytes(draw.rng));
    } else if (draw.index < kMedium) {
      put_numbered(draw, Keyspace::object, kMediumPrefix, draw.index, medium_bytes(draw.rng));
    }
  }
  if (take_slot(&slot, kObjects.size)) {
    if (preloaded(draw, slot, 82)) {
      put_binary(draw, kObjects, slot, small_bytes(draw.rng));
    }
  } else if (take_slot(&slot, kHits)) {
    preload_counter(draw, "hits/", slot);
  } else {
    put_numbered(draw, Keyspace::counter, "note/", slot, draw.rng.between(0, 64));
  }
}

void entry(Draw& draw) {
  const std::size_t operations = 1 + draw.rng.weighted({50, 35, 15});
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({660, 100, 10, 120, 60, 30, 4, 3, 1})) {
      case 0:
        put_binary(draw, kObjects, kObjects.pick(draw), small_bytes(draw.rng));
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
        put_numbered(draw, Keyspace::object, kMediumPrefix, draw.rng.below(kMedium), medium_bytes(draw.rng));
        break;
      case 6:
        erase_numbered(draw, Keyspace::object, kMediumPrefix, draw.rng.below(kMedium));
        break;
      case 7:
        put_numbered(draw, Keyspace::object, kBigPrefix, draw.rng.below(kBig), big_bytes(draw.rng));
        break;
      default:
        erase_numbered(draw, Keyspace::object, kBigPrefix, draw.rng.below(kBig));
    }
  }
}

}  // namespace bigvalue

// ---- txn: batches of 4 to 12 operations that span the keyspaces ----

namespace txn {

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
      put_binary(draw, kObjects, slot, value_bytes(draw.rng));
    }
  } else if (take_slot(&slot, kLocks)) {
    preload_cas(draw, Keyspace::object, kLockPrefix, slot);
  } else if (take_slot(&slot, kHits)) {
    preload_counter(draw, "hits/", slot);
  } else if (take_slot(&slot, kNotes)) {
    put_numbered(draw, Keyspace::counter, "note/", slot, draw.rng.between(0, 64));
  } else {
    put_item(draw, slot, value_bytes(draw.rng));
  }
}

void entry(Draw& draw) {
  if (draw.rng.chance(1, 100)) {
    compact_revisions(draw, 150, 400);
    return;
  }
  // One operation in each keyspace, then whatever comes.
  put_binary(draw, kObjects, kObjects.pick(draw), value_bytes(draw.rng));
  draw_increment(draw, "hits/", kHits);
  put_item(draw, draw.rng.below(kItems), value_bytes(draw.rng));
  const std::size_t operations = draw.rng.between(1, 9);
  for (std::size_t i = 0; i < operations; ++i) {
    switch (draw.rng.weighted({240, 85, 8, 200, 110, 240, 117})) {
      case 0:
        put_binary(draw, kObjects, kObjects.pick(draw), value_bytes(draw.rng));
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
        put_item(draw, draw.rng.below(kItems), value_bytes(draw.rng));
    }
  }
}

}  // namespace txn

}  // namespace

const std::vector<Profile>& profile_table() {
  static const std::vector<Profile> table = {
      {{"mixed", "every kind of operation, 1 to 4 per transaction, small values (the default)"},
       mixed::kObjects.size + mixed::kLocks + mixed::kHits + mixed::kNotes + mixed::kItems,
       mixed::preload,
       mixed::entry},
      {{"kubernetes", "an API server's registry: MVCC objects of up to 4 KiB, hot leases, events"},
       kubernetes::kObjects + kubernetes::kEvents + kubernetes::kQuotas + kubernetes::kElections +
           kubernetes::kLeases,
       kubernetes::preload,
       kubernetes::entry},
      {{"churn", "a queue cleared by range and keys that come and go: many tombstones"},
       churn::kSlots,
       churn::preload,
       churn::entry},
      {{"bigvalue", "small values, some of 4 to 64 KiB, a few of up to 1 MiB"},
       bigvalue::kObjects.size + bigvalue::kHits + bigvalue::kNotes,
       bigvalue::preload,
       bigvalue::entry},
      {{"txn", "batches of 4 to 12 operations over all keyspaces: compare-and-set, increments"},
       txn::kObjects.size + txn::kLocks + txn::kHits + txn::kNotes + txn::kItems,
       txn::preload,
       txn::entry},
  };
  return table;
}

}  // namespace chaosgate::workloads
