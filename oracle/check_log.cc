// log.acked and log.content: is the recovered log the one that the workers wrote?
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/check.h"
#include "oracle/oracle_state.h"

namespace chaosgate::oracle {
namespace {

using workloads::LogObservation;

Violation violation(Invariant invariant, std::string explanation) {
  return {invariant, std::move(explanation), {}, 0};
}

// What an entry that must not be there is, as far as anybody can know: the end of a sentence that begins
// "entry 12 (term 4) ".
class Explainer {
 public:
  Explainer(const History& history, const std::deque<LostTail>& lost, std::uint64_t newest_term)
      : history_(history), lost_(lost), newest_term_(newest_term) {}

  std::string what_is(std::uint64_t index, const LogObservation::EntryId& entry) const {
    if (std::string tail = lost_tail(index, entry); !tail.empty()) {
      return tail;
    }
    if (history_.proposal_hash(entry.term, index) == entry.hash) {
      return entry.term >= newest_term_
                 ? fmt::format("is what term {} would propose there, which has proposed nothing yet",
                               entry.term)
                 : fmt::format("is what term {} would have proposed there, out of its time", entry.term);
    }
    for (const std::uint64_t near : {index - 2, index - 1, index + 1, index + 2}) {
      if (near >= 1 && near <= index + 2 && history_.proposal_hash(entry.term, near) == entry.hash) {
        return fmt::format("has the content of entry {}", near);
      }
    }
    return fmt::format("has content (hash {:016x}) that no worker proposed", entry.hash);
  }

 private:
  // Newest first: the latest loss is the likeliest to come back.
  std::string lost_tail(std::uint64_t index, const LogObservation::EntryId& entry) const {
    for (auto tail = lost_.rbegin(); tail != lost_.rend(); ++tail) {
      if (tail->first <= index && index <= tail->last &&
          history_.proposal_hash(tail->term, index) == entry.hash) {
        return fmt::format("is the entry that term {} proposed and {}: a lost tail reappeared", tail->term,
                           tail->discarded ? "that was discarded in a recovery" : "that was lost in a crash");
      }
    }
    return {};
  }

  const History& history_;
  const std::deque<LostTail>& lost_;
  std::uint64_t newest_term_;
};

// The entries of the log up to the first that is wrong.
struct LogWalk {
  std::uint64_t good_last;  // the log is legal up to here
  std::string wrong;        // why the next entry is not; empty when all are good
};

// Compares with what is pinned, and pins what is new. REQUIRES: log.first <= history.last() + 1
LogWalk walk(const LogObservation& log, std::uint64_t end_max, const std::vector<std::uint64_t>& open_terms,
             const Explainer& explainer, History* history) {
  const std::uint64_t pinned = history->last();
  std::uint64_t term_before = log.first > 1 ? history->term_at(log.first - 1) : 0;
  LogWalk result{log.first - 1, {}};
  for (std::uint64_t index = log.first; index <= log.last; ++index) {
    const LogObservation::EntryId& entry = log.entries[index - log.first];
    const auto wrong = [&](std::string_view why) {
      result.wrong = fmt::format("entry {} (term {}) {}: it {}", index, entry.term, why,
                                 explainer.what_is(index, entry));
      return result;
    };
    if (index <= pinned) {
      if (entry.term != history->term_at(index) || entry.hash != history->hash_at(index)) {
        return wrong(fmt::format("is not the one that term {} proposed", history->term_at(index)));
      }
    } else if (index > end_max) {
      return wrong(fmt::format("is beyond the last entry that was appended, {}", end_max));
    } else if (entry.term < term_before) {
      return wrong(fmt::format("follows one of term {}, and terms never fall", term_before));
    } else if (std::find(open_terms.begin(), open_terms.end(), entry.term) == open_terms.end()) {
      return wrong("is of a term that cannot have proposed it");
    } else {
      history->pin(index, entry.term);
      if (entry.hash != history->hash_at(index)) {
        history->cut(index);
        return wrong("is not the one that its term proposed");
      }
    }
    term_before = entry.term;
    result.good_last = index;
  }
  return result;
}

std::string torn_text(const LogObservation& log) {
  return log.torn_bytes == 0 ? std::string()
                             : fmt::format("; recovery dropped {} bytes behind entry {} as a torn tail",
                                           log.torn_bytes, log.torn_after);
}

}  // namespace

std::vector<Violation> Oracle::check_log(const LogObservation& log, const CrashIndexes& crash) {
  State& state = *state_;
  CHECK(state.newest_term > 0, "check_log() before begin_term()");
  CHECK(log.first >= 1 && log.last - log.first + 1 == log.entries.size(),
        "an observation that parse() refuses");
  std::vector<Violation> violations;
  state.acknowledged = std::max(state.acknowledged, crash.synced);
  const std::uint64_t pinned = state.history.last();
  // What was adopted once was in a log, whatever the flight recorder of a short-lived worker says.
  const std::uint64_t end_max = std::max(crash.appended, pinned);
  std::vector<std::uint64_t> open_terms = std::exchange(state.open_terms, {});
  if (pinned == 0 && open_terms.empty()) {
    open_terms.push_back(state.newest_term);  // the worker that creates the lane shows its own preload
  }

  // Entries that were appended and removed from the prefix again, between two checks.
  std::vector<std::uint64_t> later_terms = open_terms;
  std::erase_if(later_terms, [&](std::uint64_t term) {
    return pinned > 0 && term < state.history.term_at(pinned);  // terms never fall
  });
  if (log.first > pinned + 1 && (later_terms.empty() || log.first > end_max + 1)) {
    violations.push_back(
        violation(Invariant::log_content,
                  fmt::format("the log begins at entry {}, but entries up to {} only were ever appended",
                              log.first, later_terms.empty() ? pinned : end_max)));
    state.log_first = pinned + 1;
    state.acknowledged = std::min(state.acknowledged, pinned);
    return violations;
  }
  if (log.first > pinned + 1) {
    // One term proposed them: that of the first entry that is left, when it is a possible one.
    const bool known = !log.entries.empty() && std::find(later_terms.begin(), later_terms.end(),
                                                         log.entries[0].term) != later_terms.end();
    state.history.pin(log.first - 1, known ? log.entries[0].term : later_terms.front());
  }

  const Explainer explainer(state.history, state.lost, state.newest_term);
  const LogWalk walked = walk(log, end_max, open_terms, explainer, &state.history);
  if (!walked.wrong.empty()) {
    violations.push_back(violation(Invariant::log_content, walked.wrong + torn_text(log)));
  }
  if (log.last < state.acknowledged) {
    violations.push_back(violation(
        Invariant::log_acked,
        fmt::format("entry {} is missing: entries up to {} were acknowledged, the recovered log ends at {}{}",
                    log.last + 1, state.acknowledged, log.last, torn_text(log))));
  }

  for (const std::uint64_t term : open_terms) {
    state.remember_lost(term, std::max(walked.good_last, pinned) + 1, end_max, false);
  }
  state.remember_lost(walked.good_last + 1, std::min(pinned, state.history.last()), false);
  state.adopt(walked.good_last);
  state.log_first = log.first;
  return violations;
}

}  // namespace chaosgate::oracle
