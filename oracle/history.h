// History knows which term proposed each index of a lane's log, and so what every entry must be.
//
// Terms are kept for every index for ever (one record per term); content is generated when it is first asked
// for and kept as long as it may be asked for again: hashes from one index on, transactions from another.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/coding.h"
#include "workloads/generator.h"

namespace chaosgate::oracle {

class History {
 public:
  explicit History(const workloads::Generator& generator) : generator_(generator) {}

  const workloads::Generator& generator() const { return generator_; }

  // The last index whose term is known; 0 at the start.
  std::uint64_t last() const { return last_; }
  // REQUIRES: 1 <= index <= last(), and so for the three below.
  std::uint64_t term_at(std::uint64_t index) const;
  // The last index that the same term proposed without a break.
  std::uint64_t same_term_until(std::uint64_t index) const;
  // workloads::entry_hash() of the entry.
  std::uint64_t hash_at(std::uint64_t index);
  // The reference is good until the next call that is not const.
  const workloads::Transaction& transaction_at(std::uint64_t index);

  // The hash of what `term` would propose at `index`; nothing is kept.
  std::uint64_t proposal_hash(std::uint64_t term, std::uint64_t index) const;

  // The indexes last() + 1 to `last` were proposed by `term`. REQUIRES: last >= last(), term >= the last
  // term.
  void pin(std::uint64_t last, std::uint64_t term);
  // Forgets the indexes >= from.
  void cut(std::uint64_t from);

  // Frees the memory of content below these indexes; it comes back, generated anew, when asked for.
  void release(std::uint64_t hashes_below, std::uint64_t transactions_below);

  void save(std::string* out) const;
  // The highest index that any history has: what is added to an index, or made for each, stays small.
  static constexpr std::uint64_t kIndexMax = 100'000'000;

  // False, and an undefined history, when the bytes are not a saved one.
  bool load(Reader* reader);

 private:
  struct Run {
    std::uint64_t first;  // up to the next run's first, or last_
    std::uint64_t term;
  };
  struct Content {
    bool hashed = false;
    std::uint64_t hash = 0;
    std::unique_ptr<workloads::Transaction> transaction;
  };

  std::vector<Run>::const_iterator run_of(std::uint64_t index) const;
  Content& content_at(std::uint64_t index);
  void generate(std::uint64_t index, Content* content);

  workloads::Generator generator_;
  std::uint64_t last_ = 0;
  std::vector<Run> runs_;
  std::uint64_t content_first_ = 1;
  std::deque<Content> content_;  // of content_first_ ..; shorter than the history where not asked for
  std::uint64_t transactions_first_ = 1;  // transactions below are not kept
  std::string scratch_;
};

}  // namespace chaosgate::oracle
