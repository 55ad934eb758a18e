// The differential test: the same random operations on an engine and on an ordered map, compared all along.
//
// Operations are values: drawn from a seed alone, so that a list of them can be run again on a new store, cut
// down to the few that matter, and printed. Internal to engines/conformance.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engines/conformance/conformance.h"

namespace chaosgate::engines {

// One mutation of a batch.
struct Edit {
  WriteBatch::Kind kind = WriteBatch::Kind::put;
  KeyspaceId keyspace = 0;
  std::string key;
  std::string value;  // as in WriteBatch::Mutation
};

// One move of an iterator. next and prev do nothing when it stands nowhere.
struct Move {
  enum class Kind : std::uint8_t { first, last, seek, seek_for_prev, next, prev };
  Kind kind = Kind::first;
  std::string target;
};

struct Operation {
  enum class Kind : std::uint8_t {
    write,     // edits
    get,       // key
    walk,      // moves of a new iterator
    snapshot,  // taken, then edits written, then compared with the state before
    flush,
    compact,
    reopen,      // after a flush, if the contract needs one to keep everything
    checkpoint,  // opened and compared
    integrity,
  };
  Kind kind = Kind::write;
  KeyspaceId keyspace = 0;
  std::string key;
  std::vector<Edit> edits;
  std::vector<Move> moves;
};

// `write put 0 "a" 3 bytes, delete 1 "b"`. Of a long batch or walk the first few parts, and how many more.
std::string to_string(const Operation& operation);

std::vector<Operation> draw_operations(std::uint64_t seed, std::size_t count);

// Runs them on a new store. The first difference, or "" when there is none; *failed is the number of the
// operation that showed it, or their count when only the final comparison did.
std::string run_operations(const ConformanceSubject& subject, const EngineOptions& options,
                           const std::vector<Operation>& operations, std::size_t* failed);

using Fails = std::function<bool(const std::vector<Operation>&)>;

// The smallest list found, by leaving out operations, for which `fails` still holds. Calls `fails` at most
// `tries_max` times. REQUIRES: fails(operations).
std::vector<Operation> shrink_list(std::vector<Operation> operations, const Fails& fails,
                                   std::size_t tries_max);
// The same by leaving out edits and moves inside the operations, from the last one on.
std::vector<Operation> shrink_inside(std::vector<Operation> operations, const Fails& fails,
                                     std::size_t tries_max);

// One line for each operation: of a long list the last ones, behind a line that says how many there are more.
std::string show(const std::vector<Operation>& operations);

}  // namespace chaosgate::engines
