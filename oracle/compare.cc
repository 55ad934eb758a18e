#include "oracle/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "workloads/observation.h"

namespace chaosgate::oracle {
namespace {

using workloads::Keyspace;
using workloads::kKeyspaceCount;

struct KeyValue {
  std::string_view key;
  std::string_view value;
};

void note(Comparison* comparison, Keyspace keyspace, std::string_view key,
          std::optional<std::string_view> expected, std::optional<std::string_view> actual) {
  ++comparison->counts[static_cast<std::size_t>(keyspace)];
  if (comparison->differences.size() < kDifferencesKept) {
    comparison->differences.push_back({keyspace, std::string(key), std::optional<std::string>(expected),
                                       std::optional<std::string>(actual)});
  }
}

void compare_keyspace(const std::vector<KeyValue>& actual, Keyspace keyspace, const Model::Map& expected,
                      Comparison* comparison) {
  auto want = expected.begin();
  auto have = actual.begin();
  while (want != expected.end() && have != actual.end()) {
    if (want->first == have->key) {
      if (want->second != have->value) {
        note(comparison, keyspace, want->first, want->second, have->value);
      }
      ++want;
      ++have;
    } else if (want->first < have->key) {
      note(comparison, keyspace, want->first, want->second, std::nullopt);
      ++want;
    } else {
      note(comparison, keyspace, have->key, std::nullopt, have->value);
      ++have;
    }
  }
  for (; want != expected.end(); ++want) {
    note(comparison, keyspace, want->first, want->second, std::nullopt);
  }
  for (; have != actual.end(); ++have) {
    note(comparison, keyspace, have->key, std::nullopt, have->value);
  }
}

void prefer_near(std::optional<std::uint64_t>* best, std::uint64_t index, std::uint64_t wanted) {
  const auto distance = [&](std::uint64_t at) { return at > wanted ? at - wanted : wanted - at; };
  if (!best->has_value() || distance(index) < distance(**best)) {
    *best = index;
  }
}

}  // namespace

std::optional<std::string> read_dump(std::string_view keyspaces, bool descending, Digest* digest) {
  workloads::StateCursor cursor(keyspaces);
  *digest = {};
  for (std::size_t number = 0; number < kKeyspaceCount; ++number) {
    Digest::OfKeyspace& sum = digest->keyspaces[number];
    const std::string_view name = to_string(static_cast<Keyspace>(number));
    std::string_view before;
    KeyValue at;
    for (;;) {
      const auto item = cursor.next(&at.key, &at.value);
      if (item == workloads::StateCursor::Item::end_of_keyspace) {
        break;
      }
      if (item == workloads::StateCursor::Item::damaged) {
        return fmt::format("its dump is damaged in keyspace {} behind {} keys", name, sum.keys);
      }
      if (sum.keys > 0 && (descending ? at.key >= before : at.key <= before)) {
        return fmt::format("iteration {} in keyspace {}: {} comes after {}",
                           at.key == before ? "repeats a key"
                           : descending     ? "does not descend"
                                            : "does not ascend",
                           name, workloads::printable(at.key), workloads::printable(before));
      }
      sum.add(at.key, at.value);
      before = at.key;
    }
  }
  if (!cursor.at_end()) {
    return "its dump goes on behind the last keyspace";
  }
  return std::nullopt;
}

Comparison compare(std::string_view keyspaces, bool descending, const Model& model) {
  Comparison comparison;
  workloads::StateCursor cursor(keyspaces);
  for (std::size_t number = 0; number < kKeyspaceCount; ++number) {
    std::vector<KeyValue> actual;
    KeyValue at;
    while (cursor.next(&at.key, &at.value) == workloads::StateCursor::Item::key_value) {
      actual.push_back(at);
    }
    if (descending) {
      std::reverse(actual.begin(), actual.end());
    }
    const auto keyspace = static_cast<Keyspace>(number);
    compare_keyspace(actual, keyspace, model.keyspace(keyspace), &comparison);
  }
  return comparison;
}

Located locate(const Digest& dump, const Model& model, std::uint64_t low, std::uint64_t wanted) {
  Located located;
  for (std::uint64_t index = low; index <= model.index(); ++index) {
    const Digest& state = model.digest_at(index);
    for (std::size_t number = 0; number < kKeyspaceCount; ++number) {
      if (state.keyspaces[number] == dump.keyspaces[number]) {
        prefer_near(&located.keyspaces[number], index, wanted);
      }
    }
    if (state == dump) {
      prefer_near(&located.whole, index, wanted);
    }
  }
  return located;
}

}  // namespace chaosgate::oracle
