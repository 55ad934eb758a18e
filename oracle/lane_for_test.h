// Lane is a hand-driven lane for tests: a log that remembers what was proposed, states of the engine at any
// index, and observations of both as a worker would publish them.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/coding.h"
#include "oracle/model.h"
#include "oracle/oracle.h"
#include "workloads/generator.h"
#include "workloads/observation.h"

namespace chaosgate::oracle {

using Maps = std::array<Model::Map, workloads::kKeyspaceCount>;

inline Maps maps_of(const Model& model) {
  return {model.keyspace(workloads::Keyspace::object), model.keyspace(workloads::Keyspace::counter),
          model.keyspace(workloads::Keyspace::revision)};
}

// The keyspaces of a state section, as a worker writes them.
template <typename AnyMaps>
std::string dump_of(const AnyMaps& maps, bool descending = false) {
  std::string out;
  const auto add = [&](const auto& item) {
    put_u8(&out, 1);
    put_u32(&out, static_cast<std::uint32_t>(item.first.size()));
    put_u32(&out, static_cast<std::uint32_t>(item.second.size()));
    out += item.first;
    out += item.second;
  };
  for (const auto& map : maps) {
    if (descending) {
      for (auto at = map.rbegin(); at != map.rend(); ++at) add(*at);
    } else {
      for (const auto& item : map) add(item);
    }
    put_u8(&out, 0);
  }
  return out;
}

class Lane {
 public:
  explicit Lane(std::string_view profile = "txn", std::uint64_t seed = 1)
      : generator(profile, seed), oracle(generator) {}

  workloads::LogObservation::EntryId proposal(std::uint64_t term, std::uint64_t index) const {
    const std::string payload = generator.payload(term, index);
    return {term, workloads::entry_hash(workloads::entry_type(payload), payload)};
  }

  // The worker of `term` appends entries up to `last`.
  void append(std::uint64_t term, std::uint64_t last) {
    while (this->last() < last) {
      entries.push_back(proposal(term, this->last() + 1));
    }
  }
  std::uint64_t last() const { return entries.size(); }
  void cut(std::uint64_t from) { entries.resize(from - 1); }

  workloads::LogObservation log(std::uint64_t first = 1) const {
    workloads::LogObservation seen;
    seen.first = first;
    seen.last = last();
    seen.entries.assign(entries.begin() + static_cast<std::ptrdiff_t>(first - 1), entries.end());
    return seen;
  }

  // The engine's state after the entries up to `index`, each applied as often as `times` says (1).
  template <typename Times>
  Model state(std::uint64_t index, Times times) const {
    Model model;
    std::uint64_t at = 0;
    for (std::uint64_t i = 1; i <= index; ++i) {
      const workloads::Transaction transaction = generator.transaction(entries[i - 1].term, i);
      for (int n = times(i); n > 0; --n) {
        model.advance(++at, transaction);
      }
    }
    return model;
  }
  Model state(std::uint64_t index) const {
    return state(index, [](std::uint64_t) { return 1; });
  }

  // The views in the result are good as long as the lane.
  workloads::StateObservation dump(const Maps& maps, std::uint64_t witness, bool descending = false) {
    buffers.push_back(dump_of(maps, descending));
    return {witness, witness, buffers.back()};
  }
  workloads::StateObservation dump(const Model& model, std::uint64_t witness, bool descending = false) {
    return dump(maps_of(model), witness, descending);
  }

  workloads::Generator generator;
  Oracle oracle;
  std::vector<workloads::LogObservation::EntryId> entries;  // 1 ..
  std::deque<std::string> buffers;
};

}  // namespace chaosgate::oracle
