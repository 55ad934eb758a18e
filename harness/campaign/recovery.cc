#include "harness/campaign/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chaosgate::campaign {

using oracle::Invariant;
using oracle::Violation;

namespace {

// Engines name files with their whole path; where the work directory was says nothing.
std::string without_directory(std::string message, const std::string& directory) {
  const std::string prefix = directory + "/";
  for (std::size_t at = message.find(prefix); at != std::string::npos; at = message.find(prefix, at)) {
    message.erase(at, prefix.size());
  }
  return message;
}

}  // namespace

void RecoveryJudge::add(std::initializer_list<Invariant> checked, std::vector<Violation> found) {
  for (const Invariant invariant : checked) {
    const std::string name(oracle::to_string(invariant));
    if (std::find(checked_.begin(), checked_.end(), name) == checked_.end()) {
      checked_.push_back(name);
    }
  }
  for (Violation& violation : found) {
    // What is missing was acknowledged although, or because, an I/O error had happened.
    if (crash_.after_error &&
        (violation.invariant == Invariant::log_acked || violation.invariant == Invariant::index_not_lost)) {
      violation.explanation = fmt::format("after an I/O error, {}: {}",
                                          oracle::to_string(violation.invariant), violation.explanation);
      violation.invariant = Invariant::error_honest;
    }
    violations_.push_back(std::move(violation));
  }
}

void RecoveryJudge::judge(std::string_view bytes) {
  workloads::Observations seen;
  if (const Status status = workloads::parse(bytes, &seen); !status.ok()) {
    if (abnormal_.empty()) {
      abnormal_ = "the worker's observations are damaged: " + status.message();
    }
    return;
  }
  // Runs `check` for a section that has come and was not judged yet.
  const auto once = [](bool* done, bool present, auto&& check) {
    if (present && !*done) {
      *done = true;
      check();
    }
  };
  once(&log_, seen.log.has_value(), [&] {
    torn_bytes_ = seen.log->torn_bytes;
    add({Invariant::log_acked, Invariant::log_content}, oracle_.check_log(*seen.log, crash_));
    if (crash_.after_error) {
      add({Invariant::error_honest}, {});
    }
  });
  once(&before_, seen.before.has_value(), [&] {
    read_ = {seen.before->durable_index, seen.before->witness};
    // The state is shown only after the unacknowledged suffix was discarded.
    if (order_.cut_suffix_from != 0 && order_.cut_suffix_from <= oracle_.last_index()) {
      cut_entries_ = oracle_.last_index() - order_.cut_suffix_from + 1;
      oracle_.cut_suffix(order_.cut_suffix_from);
    }
    add({Invariant::engine_opens, Invariant::index_not_ahead, Invariant::index_not_lost,
         Invariant::state_prefix},
        oracle_.check_before_replay(*seen.before, crash_));
  });
  once(&after_, seen.after.has_value(), [&] {
    add({Invariant::state_replayed}, oracle_.check_after_replay(*seen.after));
    live_keys_ = oracle_.live_keys();
  });
  once(&reopened_, seen.reopened.has_value(),
       [&] { add({Invariant::state_stable}, oracle_.check_reopened(*seen.reopened)); });
  if (seen.space && !space_) {
    space_ = *seen.space;
    if (order_.new_store_files != 0) {
      add({Invariant::space_bounded},
          oracle_.check_space(*space_, {order_.new_store_files, order_.new_store_bytes, 0}));
    }
  }
  once(&reads_, seen.has_reads, [&] { add({Invariant::read_consistent}, oracle_.check_reads(seen.reads)); });
  once(&backward_, seen.backward.has_value(),
       [&] { add({Invariant::read_consistent}, oracle_.check_backward(*seen.backward)); });
  if (errors_expected_) {
    // The rest writes, and tells of what failed.
    integrity_ = integrity_ || seen.integrity.has_value();
    probe_ = probe_ || seen.probe.has_value();
    isolation_ = isolation_ || seen.isolation.has_value();
    probed_ = probed_ || seen.probed.has_value();
    return;
  }
  once(&integrity_, seen.integrity.has_value(), [&] {
    const std::size_t before = violations_.size();
    add({Invariant::state_stable}, oracle_.check_integrity(*seen.integrity));
    reported_ += violations_.size() - before;
  });
  once(&probe_, seen.probe.has_value(),
       [&] { add({Invariant::state_writable}, oracle_.check_probe(*seen.probe)); });
  once(&isolation_, seen.isolation.has_value(),
       [&] { add({Invariant::read_consistent}, oracle_.check_isolation(*seen.isolation)); });
  once(&probed_, seen.probed.has_value(),
       [&] { add({Invariant::state_stable}, oracle_.check_probed(*seen.probed)); });
}

std::vector<report::ViolationEvent> RecoveryJudge::violation_events() const {
  const std::string indexes = fmt::format(
      "  indexes at the crash: appended {}, synced {}, applied {}, durable in the engine {}\n"
      "  recovery read: {}\n",
      crash_.appended, crash_.synced, crash_.applied, crash_.flushed,
      read_ ? fmt::format("durable index {}, witness {}", read_->first, read_->second) : "nothing yet");
  std::vector<report::ViolationEvent> events;
  for (const Violation& violation : violations_) {
    std::string detail = oracle::describe(violation);
    if (!detail.ends_with('\n')) {
      detail += '\n';
    }
    events.push_back({std::string(oracle::to_string(violation.invariant)), violation.explanation,
                      detail + indexes, "", ""});
  }
  return events;
}

bool RecoveryJudge::complete() const {
  const bool asked = (!order_.check_reopen || reopened_) && (!order_.check_backward || backward_) &&
                     (!order_.check_integrity || (integrity_ && probed_)) && (!order_.check_space || space_);
  return !abnormal_.empty() || (log_ && before_ && after_ && reads_ && probe_ && isolation_ && asked);
}

void RecoveryJudge::judge_failure(const wire::FlightRecorder& recorder) {
  const std::string message = without_directory(recorder.said(), order_.directory);
  const auto broken = [&](Invariant invariant) {
    add({invariant}, {Violation{invariant, "recovery ended with an error: " + message, {}, 0}});
    ++reported_;
  };
  switch (recorder.failure.load()) {
    case wire::Failure::open_log:
      broken(Invariant::log_acked);
      break;
    case wire::Failure::open_engine:
      broken(Invariant::engine_opens);
      break;
    case wire::Failure::replay:
      broken(Invariant::state_replayed);
      break;
    case wire::Failure::observe:
      broken(Invariant::read_consistent);
      break;
    case wire::Failure::none:
    case wire::Failure::create:
    case wire::Failure::load:
    case wire::Failure::harness:
      abnormal_ =
          fmt::format("the worker failed ({}): {}", wire::to_string(recorder.failure.load()), message);
      break;
  }
}

}  // namespace chaosgate::campaign
