#include "oracle/oracle.h"

#include <algorithm>
#include <utility>

#include "harness/base/check.h"
#include "oracle/oracle_state.h"

namespace chaosgate::oracle {

void Oracle::State::reach(std::uint64_t index) {
  while (model.index() < index) {
    const std::uint64_t next = model.index() + 1;
    model.advance(next, history.transaction_at(next));
  }
}

void Oracle::State::adopt(std::uint64_t last) {
  history.cut(last + 1);
  if (last < model.floor()) {
    // The log lost what had been forgotten: everything anew from the terms, keeping the usual window.
    model = Model();
    for (std::uint64_t index = 1; index <= last; ++index) {
      model.advance(index, history.generator().transaction(history.term_at(index), index));
      model.forget(index - std::min(index, kForgetMargin));
    }
  }
  if (model.index() > last) {
    model.rewind(last);
  }
  acknowledged = std::min(acknowledged, last);
  history.release(std::min(log_first, model.floor() + 1), model.floor() + 1);
}

void Oracle::State::remember_lost(std::uint64_t term, std::uint64_t first, std::uint64_t last,
                                  bool discarded) {
  if (first > last) {
    return;
  }
  lost.push_back({term, first, last, discarded});
  if (lost.size() > kLostTailsKept) {
    lost.pop_front();
  }
}

void Oracle::State::remember_lost(std::uint64_t first, std::uint64_t last, bool discarded) {
  while (first <= last) {
    const std::uint64_t term = history.term_at(first);
    const std::uint64_t end = std::min(last, history.same_term_until(first));
    remember_lost(term, first, end, discarded);
    first = end + 1;
  }
}

Oracle::Oracle(const workloads::Generator& generator) : state_(std::make_unique<State>(generator)) {}
Oracle::Oracle(std::unique_ptr<State> state) : state_(std::move(state)) {}
Oracle::~Oracle() = default;
Oracle::Oracle(Oracle&&) noexcept = default;
Oracle& Oracle::operator=(Oracle&&) noexcept = default;

void Oracle::begin_term(std::uint64_t term) {
  CHECK(term > state_->newest_term, "term {} begins after term {}", term, state_->newest_term);
  if (state_->newest_term > 0) {
    state_->open_terms.push_back(state_->newest_term);
  }
  state_->newest_term = term;
}

void Oracle::learn(std::uint64_t last, std::uint64_t term) {
  if (last > last_index()) {
    state_->history.pin(last, term);
  }
}

void Oracle::cut_suffix(std::uint64_t from) {
  CHECK(from >= 1 && from > state_->acknowledged, "entries from {} on are discarded, {} is acknowledged",
        from, state_->acknowledged);
  if (from <= last_index()) {
    state_->remember_lost(from, last_index(), true);
    state_->adopt(from - 1);
  }
}

std::uint64_t Oracle::last_index() const { return state_->history.last(); }
std::uint64_t Oracle::live_keys() const { return state_->model.live_keys(); }

void Oracle::forget(std::uint64_t index) {
  State& state = *state_;
  state.model.forget(std::min(index - std::min(index, kForgetMargin), state.marked_last));
  state.history.release(std::min(state.log_first, state.model.floor() + 1), state.model.floor() + 1);
}

}  // namespace chaosgate::oracle
