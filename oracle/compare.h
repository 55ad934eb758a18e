// Comparing the dump of an engine's state with the model, and saying what the dump is instead.
//
// A dump stays where the worker wrote it. The usual answer, that all is well, takes one pass over the dump
// and none over the model: read_dump() checks the order and makes a digest. Internal to oracle/.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oracle/invariant.h"
#include "oracle/model.h"
#include "workloads/transaction.h"

namespace chaosgate::oracle {

// Reads the keyspaces of a state section, ascending or descending, and works out their digest. Returns what
// is wrong with the bytes or their order, or nothing.
std::optional<std::string> read_dump(std::string_view keyspaces, bool descending, Digest* digest);

struct Comparison {
  std::vector<KeyDifference> differences;  // the first kDifferencesKept, by keyspace and key
  std::array<std::uint64_t, workloads::kKeyspaceCount> counts{};

  std::uint64_t count() const { return counts[0] + counts[1] + counts[2]; }
};

// Compares with the model's current state. REQUIRES: read_dump() found nothing wrong.
Comparison compare(std::string_view keyspaces, bool descending, const Model& model);

// Which indexes a dump is the state of: the nearest to the one that it should be.
struct Located {
  std::optional<std::uint64_t> whole;
  std::array<std::optional<std::uint64_t>, workloads::kKeyspaceCount> keyspaces;
};

// Looks from `low` to the model's current index. REQUIRES: model.floor() <= low <= model.index()
Located locate(const Digest& dump, const Model& model, std::uint64_t low, std::uint64_t wanted);

}  // namespace chaosgate::oracle
