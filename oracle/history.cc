#include "oracle/history.h"

#include <algorithm>

#include "harness/base/check.h"
#include "workloads/observation.h"

namespace chaosgate::oracle {

using workloads::Transaction;

std::vector<History::Run>::const_iterator History::run_of(std::uint64_t index) const {
  CHECK(index >= 1 && index <= last_, "index {} of a history that ends at {}", index, last_);
  const auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                      [](std::uint64_t at, const Run& run) { return at < run.first; });
  return std::prev(after);
}

std::uint64_t History::term_at(std::uint64_t index) const { return run_of(index)->term; }

std::uint64_t History::same_term_until(std::uint64_t index) const {
  const auto next = std::next(run_of(index));
  return next == runs_.end() ? last_ : next->first - 1;
}

History::Content& History::content_at(std::uint64_t index) {
  CHECK(index >= 1 && index <= last_, "index {} of a history that ends at {}", index, last_);
  if (content_.empty()) {
    content_first_ = index;
  }
  while (index < content_first_) {
    content_.emplace_front();
    --content_first_;
  }
  while (index >= content_first_ + content_.size()) {
    content_.emplace_back();
  }
  return content_[index - content_first_];
}

void History::generate(std::uint64_t index, Content* content) {
  auto transaction = std::make_unique<Transaction>(generator_.transaction(term_at(index), index));
  if (!content->hashed) {
    scratch_.clear();
    workloads::encode(*transaction, &scratch_);
    content->hash = workloads::entry_hash(workloads::entry_type(scratch_), scratch_);
    content->hashed = true;
  }
  content->transaction = std::move(transaction);
}

std::uint64_t History::hash_at(std::uint64_t index) {
  Content& content = content_at(index);
  if (!content.hashed) {
    generate(index, &content);
    if (index < transactions_first_) {
      content.transaction.reset();
    }
  }
  return content.hash;
}

const Transaction& History::transaction_at(std::uint64_t index) {
  Content& content = content_at(index);
  if (content.transaction == nullptr) {
    generate(index, &content);
  }
  return *content.transaction;
}

std::uint64_t History::proposal_hash(std::uint64_t term, std::uint64_t index) const {
  const std::string payload = generator_.payload(term, index);
  return workloads::entry_hash(workloads::entry_type(payload), payload);
}

void History::pin(std::uint64_t last, std::uint64_t term) {
  CHECK(last >= last_ && (runs_.empty() || term >= runs_.back().term), "pin {} to term {} behind {}", last,
        term, last_);
  if (last > last_ && (runs_.empty() || term > runs_.back().term)) {
    runs_.push_back({last_ + 1, term});
  }
  last_ = last;
}

void History::cut(std::uint64_t from) {
  CHECK(from >= 1);
  if (from > last_) {
    return;
  }
  last_ = from - 1;
  while (!runs_.empty() && runs_.back().first > last_) {
    runs_.pop_back();
  }
  while (!content_.empty() && content_first_ + content_.size() > from) {
    content_.pop_back();
  }
}

void History::release(std::uint64_t hashes_below, std::uint64_t transactions_below) {
  while (!content_.empty() && content_first_ < std::min(hashes_below, transactions_below)) {
    content_.pop_front();
    ++content_first_;
  }
  const std::uint64_t end = std::min(transactions_below, content_first_ + content_.size());
  for (std::uint64_t index = std::max(content_first_, transactions_first_); index < end; ++index) {
    content_[index - content_first_].transaction.reset();
  }
  transactions_first_ = transactions_below;
}

// history := last:u64 runs:u64 (first:u64 term:u64)[runs]     both strictly ascending, the first first is 1
void History::save(std::string* out) const {
  put_u64(out, last_);
  put_u64(out, runs_.size());
  for (const Run& run : runs_) {
    put_u64(out, run.first);
    put_u64(out, run.term);
  }
}

bool History::load(Reader* reader) {
  std::uint64_t count = 0;
  if (!reader->u64(&last_) || !reader->u64(&count) || last_ > kIndexMax) {
    return false;
  }
  runs_.clear();
  content_.clear();
  for (; count > 0; --count) {
    Run run{};
    if (!reader->u64(&run.first) || !reader->u64(&run.term) || run.first > last_) {
      return false;
    }
    if (runs_.empty() ? run.first != 1 : run.first <= runs_.back().first || run.term <= runs_.back().term) {
      return false;
    }
    runs_.push_back(run);
  }
  return runs_.empty() == (last_ == 0);
}

}  // namespace chaosgate::oracle
