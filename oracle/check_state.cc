// The state invariants: is what the engine holds the state at some index, and at the right one?
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "harness/base/check.h"
#include "oracle/oracle_state.h"

namespace chaosgate::oracle {
namespace {

using workloads::Keyspace;
using workloads::kKeyspaceCount;
using workloads::ReadKind;
using workloads::ReadObservation;
using workloads::StateObservation;

// How far to look, in each direction, for the index that a wrong state is of.
constexpr std::uint64_t kLocateDistance = kForgetMargin;

void add(std::vector<Violation>* violations, Invariant invariant, std::string explanation) {
  violations->push_back({invariant, std::move(explanation), {}, 0});
}

std::string distance_text(std::uint64_t index, std::uint64_t wanted) {
  return index == wanted  ? fmt::format("{}", index)
         : index > wanted ? fmt::format("{} ({} ahead)", index, index - wanted)
                          : fmt::format("{} ({} behind)", index, wanted - index);
}

// What the dump is the state of instead: a clause, or nothing when there is nothing to say.
std::string located_text(const Located& located, std::uint64_t wanted) {
  if (located.whole.has_value()) {
    return fmt::format("; the state is that of index {}", distance_text(*located.whole, wanted));
  }
  std::string text;
  int known = 0;
  for (std::size_t number = 0; number < kKeyspaceCount; ++number) {
    const auto& index = located.keyspaces[number];
    known += index.has_value() ? 1 : 0;
    fmt::format_to(
        std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ",
        to_string(static_cast<Keyspace>(number)),
        index.has_value() ? "is at index " + distance_text(*index, wanted) : "is at no index nearby");
  }
  return known == 0 ? "; the state is that of no index nearby" : "; keyspace " + text;
}

// The last entry up to the model's index that wrote every key of `differences`, or 0.
std::uint64_t common_writer(const Model& model, const std::vector<KeyDifference>& differences) {
  const std::uint64_t low = std::max(model.floor(), model.index() - std::min(model.index(), kLocateDistance));
  for (std::uint64_t index = model.index(); index > low; --index) {
    std::uint64_t found = 0;
    for (const KeyDifference& difference : differences) {
      bool wrote = false;
      model.visit_written(index, [&](Keyspace keyspace, std::string_view key) {
        wrote = wrote || (keyspace == difference.keyspace && key == difference.key);
      });
      found += wrote ? 1 : 0;
    }
    if (found == differences.size()) {
      return index;
    }
  }
  return 0;
}

}  // namespace

void Oracle::State::judge(Invariant invariant, const StateObservation& observed, bool descending,
                          std::uint64_t index, std::string complaint, std::vector<Violation>* violations) {
  const auto complain = [&](const std::string& text) { complaint += complaint.empty() ? text : "; " + text; };
  Comparison comparison;
  Digest digest;
  reach(index);
  if (const auto problem = read_dump(observed.keyspaces, descending, &digest)) {
    complain(*problem);
  } else if (index < model.floor()) {
    complain(
        fmt::format("the state cannot be compared: the oracle knows the states from index {} on, not that "
                    "of {}",
                    model.floor(), index));
  } else if (digest != model.digest_at(index)) {
    reach(std::min(index + kLocateDistance, history.last()));
    const std::uint64_t low = std::max(index - std::min(index, kLocateDistance), model.floor());
    const Located located = locate(digest, model, low, index);
    model.rewind(index);
    comparison = compare(observed.keyspaces, descending, model);
    CHECK(comparison.count() > 0, "equal states with different digests at index {}", index);
    complain(fmt::format("at index {} the state differs in {} of {} keys", index, comparison.count(),
                         std::max(digest.keys(), model.live_keys())));
    if (!located.whole && comparison.count() == comparison.differences.size()) {
      if (const std::uint64_t writer = common_writer(model, comparison.differences); writer != 0) {
        complaint +=
            fmt::format(", all of them written by entry {} (term {})", writer, history.term_at(writer));
      }
    }
    complaint += located_text(located, index);
  }
  if (!complaint.empty()) {
    violations->push_back(
        {invariant, std::move(complaint), std::move(comparison.differences), comparison.count()});
  }
}

std::vector<Violation> Oracle::check_before_replay(const StateObservation& observed,
                                                   const CrashIndexes& crash) {
  State& state = *state_;
  std::vector<Violation> violations;
  const std::uint64_t last = state.history.last();
  const std::uint64_t witness = observed.witness;
  Digest digest;
  if (witness == 0 && crash.flushed > 0 && !read_dump(observed.keyspaces, false, &digest) &&
      digest.keys() == 0) {
    add(&violations, Invariant::engine_opens,
        fmt::format("the engine came up empty, without an error, after index {} was durable in it",
                    crash.flushed));
  }
  if (observed.durable_index > witness) {
    add(&violations, Invariant::index_not_ahead,
        fmt::format("durable index {} is ahead of witness {}: replay would skip entries {}..{}",
                    observed.durable_index, witness, witness + 1, observed.durable_index));
  }
  if (witness < crash.flushed) {
    add(&violations, Invariant::index_not_lost,
        fmt::format("witness {} is below index {}, which was durable in the engine", witness, crash.flushed));
  }
  if (witness > last) {
    add(&violations, Invariant::log_acked,
        fmt::format(
            "the engine holds entry {}, but the log ends at {}: {} applied entries are not in the log; "
            "the state before replay cannot be compared",
            witness, last, witness - last));
    return violations;
  }
  if (witness + 1 < state.log_first) {
    add(&violations, Invariant::log_acked,
        fmt::format("the engine needs replay from entry {} on, but the log begins at {}: {} entries are gone",
                    witness + 1, state.log_first, state.log_first - witness - 1));
  }
  // A witness too old for the model has been complained about already, unless forget() went too far.
  if (witness >= state.model.floor() || violations.empty()) {
    state.judge(Invariant::state_prefix, observed, false, witness, {}, &violations);
  } else {
    violations.back().explanation += fmt::format(
        "; the state is not compared: the oracle knows the states from index {} on", state.model.floor());
  }
  return violations;
}

std::vector<Violation> Oracle::State::judge_at(Invariant invariant, const StateObservation& observed,
                                               std::uint64_t index, std::string wrong_witness) {
  std::vector<Violation> violations;
  judge(invariant, observed, false, index, observed.witness == index ? "" : std::move(wrong_witness),
        &violations);
  return violations;
}

std::vector<Violation> Oracle::check_after_replay(const StateObservation& observed) {
  const std::uint64_t last = last_index();
  return state_->judge_at(
      Invariant::state_replayed, observed, last,
      fmt::format("after replay the witness is {}, but the log ends at {}", observed.witness, last));
}

std::vector<Violation> Oracle::check_reopened(const StateObservation& observed) {
  const std::uint64_t last = last_index();
  return state_->judge_at(Invariant::state_stable, observed, last,
                          fmt::format("after a clean close and reopening the witness is {} instead of {}",
                                      observed.witness, last));
}

std::vector<Violation> Oracle::check_probed(const StateObservation& observed) {
  const std::uint64_t last = last_index();
  return state_->judge_at(
      Invariant::state_stable, observed, last,
      fmt::format("after the engine's own check and a new write the witness is {} instead of {}",
                  observed.witness, last));
}

std::vector<Violation> Oracle::check_reached(const StateObservation& observed, std::uint64_t index) {
  return state_->judge_at(
      Invariant::replica_equal, observed, index,
      fmt::format("the witness is {}, but entry {} was applied", observed.witness, index));
}

std::vector<Violation> Oracle::check_backward(const StateObservation& observed) {
  std::vector<Violation> violations;
  state_->judge(Invariant::read_consistent, observed, true, last_index(), {}, &violations);
  for (Violation& violation : violations) {
    violation.explanation.insert(0, "the backward scan is wrong: ");
  }
  return violations;
}

namespace {

// What the oracle answers to a read: the position of the key, or end().
Model::Map::const_iterator answer(const Model::Map& map, const ReadObservation& read) {
  switch (read.kind) {
    case ReadKind::get:
    case ReadKind::snapshot_get:
      return map.find(read.target);
    case ReadKind::seek:
      return map.lower_bound(read.target);
    case ReadKind::seek_for_prev: {
      const auto after = map.upper_bound(read.target);
      return after == map.begin() ? map.end() : std::prev(after);
    }
  }
  return map.end();
}

std::string answer_text(bool found, std::string_view key, std::size_t value_bytes) {
  return found ? fmt::format("{} ({} B)", workloads::printable(key), value_bytes) : "nothing";
}

}  // namespace

std::vector<Violation> Oracle::check_reads(const std::vector<ReadObservation>& reads) {
  State& state = *state_;
  state.reach(last_index());  // and not beyond: the history ends there
  Violation violation{Invariant::read_consistent, {}, {}, 0};
  for (const ReadObservation& read : reads) {
    const Model::Map& map = state.model.keyspace(read.keyspace);
    const auto expected = answer(map, read);
    const bool exists = expected != map.end();
    const bool point = read.kind == ReadKind::get || read.kind == ReadKind::snapshot_get;
    // A point read may leave its key out.
    const std::string_view key = point ? read.target : read.key;
    if (exists == read.found && (!exists || (key == expected->first && read.value == expected->second))) {
      continue;
    }
    if (violation.difference_count++ == 0) {
      violation.explanation =
          fmt::format("{}({}, {}) returned {}, the oracle at index {} has {}", to_string(read.kind),
                      to_string(read.keyspace), workloads::printable(read.target),
                      answer_text(read.found, key, read.value.size()), last_index(),
                      exists ? answer_text(true, expected->first, expected->second.size()) : "nothing");
    }
    if (violation.differences.size() < kDifferencesKept) {
      const bool same_key = exists && key == expected->first;
      KeyDifference difference{read.keyspace, std::string(exists ? expected->first : key), {}, {}};
      if (exists) {
        difference.expected = expected->second;
      }
      if (read.found && (same_key || !exists)) {
        difference.actual = read.value;
      }
      violation.differences.push_back(std::move(difference));
    }
  }
  if (violation.difference_count == 0) {
    return {};
  }
  violation.explanation +=
      fmt::format("; {} of {} reads are wrong", violation.difference_count, reads.size());
  return {std::move(violation)};
}

std::vector<Violation> Oracle::check_probe(const workloads::CheckObservation& probe) {
  if (probe.ok) {
    return {};
  }
  return {{Invariant::state_writable,
           fmt::format("a write after recovery at index {} failed: {}", last_index(), probe.message),
           {},
           0}};
}

std::vector<Violation> Oracle::check_integrity(const workloads::CheckObservation& integrity) {
  if (integrity.ok) {
    return {};
  }
  return {{Invariant::state_stable,
           fmt::format("the engine's own check at index {} says: {}", last_index(), integrity.message),
           {},
           0}};
}

std::vector<Violation> Oracle::check_space(const workloads::SpaceObservation& space,
                                           const workloads::SpaceObservation& when_new) const {
  const std::uint64_t bytes_max =
      kSpaceMultiple * space.live_bytes + kSpaceBytes + kSpaceOfNew * when_new.bytes;
  const std::uint64_t files_max =
      kSpaceFiles + space.live_bytes / kSpaceBytesOfFile + kSpaceOfNew * when_new.files;
  if (space.bytes <= bytes_max && space.files <= files_max) {
    return {};
  }
  return {{Invariant::space_bounded,
           fmt::format(
               "compacted, closed and opened again, the store at index {} has {} files of {} bytes for {} "
               "live bytes (new, it had {} files of {} bytes); at most {} files and {} bytes are expected",
               last_index(), space.files, space.bytes, space.live_bytes, when_new.files, when_new.bytes,
               files_max, bytes_max),
           {},
           0}};
}

std::vector<Violation> Oracle::check_isolation(const workloads::CheckObservation& isolation) {
  if (isolation.ok) {
    return {};
  }
  return {
      {Invariant::read_consistent, fmt::format("at index {}: {}", last_index(), isolation.message), {}, 0}};
}

}  // namespace chaosgate::oracle
