// Profile "kubernetes": an API server's registry over MVCC, with leases and events. Changing what it draws
// changes what a seed means; see generator_test.cc.
#include <array>

#include "workloads/profile.h"

namespace chaosgate::workloads {
namespace {

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

}  // namespace

Profile kubernetes_profile() {
  return {{"kubernetes", "an API server's registry: MVCC objects of up to 4 KiB, hot leases, events"},
          kObjects + kEvents + kQuotas + kElections + kLeases,
          preload,
          entry};
}

}  // namespace chaosgate::workloads
