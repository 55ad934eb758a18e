#include "workloads/state_machine.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "harness/base/coding.h"

namespace chaosgate::workloads {
namespace {

constexpr std::string_view kLastRevisionKey = "c";
constexpr std::string_view kFloorKey = "f";

std::string latest_key(std::string_view user_key) {
  std::string key = "i";
  key += user_key;
  return key;
}

std::string revision_key(std::uint64_t revision) { return "r" + big_endian_key(revision); }

// Absent, or not eight bytes, counts as 0.
std::uint64_t get_number(MutableState& state, Keyspace keyspace, std::string_view key) {
  std::string value;
  if (!state.get(keyspace, key, &value) || value.size() != sizeof(std::uint64_t)) {
    return 0;
  }
  return load_fixed<std::uint64_t>(value.data());
}

void put_number(MutableState& state, Keyspace keyspace, std::string_view key, std::uint64_t number) {
  std::string value;
  put_u64(&value, number);
  state.put(keyspace, key, value);
}

void append(const Operation& operation, MutableState& state) {
  std::string value;
  if (!state.get(operation.keyspace, operation.key, &value) ||
      value.size() + operation.value.size() > kAppendBytesMax) {
    value.clear();
  }
  value += operation.value;
  if (value.size() > kAppendBytesMax) {
    value.resize(kAppendBytesMax);
  }
  state.put(operation.keyspace, operation.key, value);
}

void compare_and_set(const Operation& operation, MutableState& state) {
  std::string current;
  if (!state.get(operation.keyspace, operation.key, &current)) {
    current.clear();
  }
  if (current == operation.expected) {
    state.put(operation.keyspace, operation.key, operation.value);
  }
}

void mvcc_put(const Operation& operation, MutableState& state) {
  const std::uint64_t revision = get_number(state, Keyspace::revision, kLastRevisionKey) + 1;
  const std::string latest = latest_key(operation.key);
  const std::uint64_t superseded = get_number(state, Keyspace::revision, latest);
  if (superseded != 0 && superseded <= get_number(state, Keyspace::revision, kFloorKey)) {
    state.erase(Keyspace::revision, revision_key(superseded));
  }
  std::string record;
  record.reserve(sizeof(std::uint32_t) + operation.key.size() + operation.value.size());
  put_bytes(&record, operation.key);
  record += operation.value;
  state.put(Keyspace::revision, revision_key(revision), record);
  put_number(state, Keyspace::revision, latest, revision);
  put_number(state, Keyspace::revision, kLastRevisionKey, revision);
}

void mvcc_compact(const Operation& operation, MutableState& state) {
  const std::uint64_t last = get_number(state, Keyspace::revision, kLastRevisionKey);
  const std::uint64_t floor = get_number(state, Keyspace::revision, kFloorKey);
  if (last <= operation.number || last - operation.number <= floor) {
    return;
  }
  const std::uint64_t new_floor = floor + std::min(last - operation.number - floor, kCompactRevisionsMax);
  if (new_floor == UINT64_MAX) {
    return;  // a damaged counter; the range below would wrap around
  }
  // (key of the revision, user key), collected first: the state must not change during the scan.
  std::vector<std::pair<std::string, std::string>> seen;
  state.scan(Keyspace::revision, revision_key(floor + 1), revision_key(new_floor + 1),
             [&](std::string_view key, std::string_view record) {
               std::string_view user_key;
               if (Reader(record).bytes(&user_key)) {
                 seen.emplace_back(key, user_key);
               }
               return true;
             });
  for (const auto& [key, user_key] : seen) {
    const std::uint64_t latest = get_number(state, Keyspace::revision, latest_key(user_key));
    if (revision_key(latest) != key) {
      state.erase(Keyspace::revision, key);
    }
  }
  put_number(state, Keyspace::revision, kFloorKey, new_floor);
}

void apply_one(const Operation& operation, MutableState& state) {
  switch (operation.kind) {
    case OperationKind::put:
      state.put(operation.keyspace, operation.key, operation.value);
      return;
    case OperationKind::erase:
      state.erase(operation.keyspace, operation.key);
      return;
    case OperationKind::erase_range:
      if (operation.key < operation.end) {
        state.erase_range(operation.keyspace, operation.key, operation.end);
      }
      return;
    case OperationKind::increment:
      put_number(state, operation.keyspace, operation.key,
                 get_number(state, operation.keyspace, operation.key) + operation.number);
      return;
    case OperationKind::append:
      append(operation, state);
      return;
    case OperationKind::compare_and_set:
      compare_and_set(operation, state);
      return;
    case OperationKind::mvcc_put:
      mvcc_put(operation, state);
      return;
    case OperationKind::mvcc_compact:
      mvcc_compact(operation, state);
      return;
  }
}

}  // namespace

void apply(const Transaction& transaction, MutableState& state) {
  for (const Operation& operation : transaction) {
    apply_one(operation, state);
  }
}

bool scans(const Transaction& transaction) {
  return std::any_of(transaction.begin(), transaction.end(), [](const Operation& operation) {
    return operation.kind == OperationKind::mvcc_compact;
  });
}

}  // namespace chaosgate::workloads
