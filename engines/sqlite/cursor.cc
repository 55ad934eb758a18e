#include "engines/sqlite/cursor.h"

#include <algorithm>

namespace chaosgate::sqlite {
namespace {

constexpr const char* kTails[] = {" WHERE k >= ?1 ORDER BY k", " WHERE k > ?1 ORDER BY k",
                                  " WHERE k <= ?1 ORDER BY k DESC", " WHERE k < ?1 ORDER BY k DESC",
                                  " ORDER BY k DESC"};

}  // namespace

std::string table_name(std::uint32_t keyspace) { return "keyspace_" + std::to_string(keyspace); }

std::shared_ptr<const Pairs> Copies::of(std::uint32_t keyspace) {
  if (copies_.size() <= keyspace) {
    copies_.resize(keyspace + 1);
  }
  if (!copies_[keyspace]) {
    auto pairs = std::make_shared<Pairs>();
    Statement all(db_.get(), "SELECT k, v FROM " + table_name(keyspace) + " ORDER BY k");
    while (all.step()) {
      pairs->emplace_back(all.blob(0), all.blob(1));
    }
    copies_[keyspace] = std::move(pairs);
  }
  return copies_[keyspace];
}

void Cursor::seek_first() { pairs_ ? take_pair(0) : query(kFrom, ""); }

void Cursor::seek_last() { pairs_ ? take_pair(pairs_->size() - 1) : query(kLast, ""); }

void Cursor::seek(std::string_view target) { pairs_ ? take_pair(lower_bound(target)) : query(kFrom, target); }

void Cursor::seek_for_prev(std::string_view target) {
  if (!pairs_) {
    return query(kUpTo, target);
  }
  const std::size_t at = lower_bound(target);
  const bool exact = at < pairs_->size() && (*pairs_)[at].first == target;
  take_pair(exact ? at : at - 1);
}

void Cursor::next() {
  if (pairs_) {
    take_pair(lower_bound(key_) + 1);
  } else if (running_ != nullptr && running_forward_) {
    take_row();
  } else {
    query(kAfter, key_);
  }
}

void Cursor::prev() {
  if (pairs_) {
    take_pair(lower_bound(key_) - 1);
  } else if (running_ != nullptr && !running_forward_) {
    take_row();
  } else {
    query(kBefore, key_);
  }
}

void Cursor::park() {
  if (running_ != nullptr) {
    running_->reset();
    running_ = nullptr;
  }
}

void Cursor::freeze(Copies& copies) {
  park();
  if (!pairs_) {
    pairs_ = copies.of(keyspace_);
  }
}

void Cursor::query(Query which, std::string_view bound) {
  park();
  Statement& statement = statements_[which];
  if (!statement) {
    statement = Statement(db_.get(), "SELECT k, v FROM " + table_name(keyspace_) + kTails[which]);
  }
  if (which != kLast) {
    bound_ = bound;
    statement.bind(1, bound_);
  }
  running_ = &statement;
  running_forward_ = which == kFrom || which == kAfter;
  take_row();
}

void Cursor::take_row() {
  valid_ = running_->step();
  if (!valid_) {
    return park();
  }
  key_ = running_->blob(0);
  value_ = running_->blob(1);
}

void Cursor::take_pair(std::size_t at) {
  valid_ = at < pairs_->size();  // one before the first wraps around
  if (valid_) {
    key_ = (*pairs_)[at].first;
    value_ = (*pairs_)[at].second;
  }
}

std::size_t Cursor::lower_bound(std::string_view key) const {
  const auto at =
      std::lower_bound(pairs_->begin(), pairs_->end(), key,
                       [](const auto& pair, std::string_view wanted) { return pair.first < wanted; });
  return static_cast<std::size_t>(at - pairs_->begin());
}

}  // namespace chaosgate::sqlite
