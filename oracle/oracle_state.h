// The belief behind Oracle, shared by its source files. Internal to oracle/.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "oracle/compare.h"
#include "oracle/history.h"
#include "oracle/model.h"
#include "oracle/oracle.h"

namespace chaosgate::oracle {

// Entries that a term proposed and that are gone: kept to recognise them when they come back.
struct LostTail {
  std::uint64_t term;
  std::uint64_t first;
  std::uint64_t last;
  bool discarded;  // by the replica; otherwise lost in a crash
};
inline constexpr std::size_t kLostTailsKept = 1024;

struct Oracle::State {
  explicit State(const workloads::Generator& generator) : history(generator) {}

  History history;
  Model model;
  std::uint64_t newest_term = 0;  // 0 before the first
  // Before newest_term, and may have proposed since the last check_log().
  std::vector<std::uint64_t> open_terms;
  std::uint64_t acknowledged = 0;          // the highest index known to be synced
  std::uint64_t log_first = 1;             // of the log as last checked
  std::deque<LostTail> lost;               // oldest first
  std::string marked;                      // save_belief() at the last mark(); empty before the first
  std::uint64_t marked_last = UINT64_MAX;  // history.last() at that mark

  // All of the belief but the model, encoded.
  void save_belief(std::string* out) const;

  // Moves the model to `index` or, when it is beyond already, leaves it there.
  // REQUIRES: index <= history.last()
  void reach(std::uint64_t index);
  // Makes `last` the end of the history, with a model that is not behind it.
  void adopt(std::uint64_t last);
  void remember_lost(std::uint64_t term, std::uint64_t first, std::uint64_t last, bool discarded);
  // The same for entries of the history, whatever their terms.
  void remember_lost(std::uint64_t first, std::uint64_t last, bool discarded);
  // Compares a dump with the model at `index` and explains what differs; adds at most one violation.
  // `complaint` is what is already known to be wrong, or empty.
  void judge(Invariant invariant, const workloads::StateObservation& observed, bool descending,
             std::uint64_t index, std::string complaint, std::vector<Violation>* violations);
  // The same in ascending order, where the witness has to be `index`: `wrong_witness` is the complaint when
  // it is not.
  std::vector<Violation> judge_at(Invariant invariant, const workloads::StateObservation& observed,
                                  std::uint64_t index, std::string wrong_witness);
};

}  // namespace chaosgate::oracle
