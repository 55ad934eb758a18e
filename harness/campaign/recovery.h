// RecoveryJudge turns what a recovering worker published into violations, each section once, in whatever
// order and however far the worker got before it died.
//
// Shared by the lane, which judges as it happens, and by the replay of a bundle. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/report/event.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/order.h"
#include "oracle/oracle.h"
#include "workloads/observation.h"

namespace chaosgate::campaign {

// One recovery that can be done and judged again: from this image, with this order, against this belief.
struct RecoveryCase {
  wire::WorkerOrder order;                    // directory is set anew for each replay
  oracle::CrashIndexes crash;                 // what must hold
  std::string belief;                         // Oracle::save() before the recovery
  std::vector<oracle::Violation> violations;  // what was found
};

class RecoveryJudge {
 public:
  // `oracle` and `order` must outlive this.
  RecoveryJudge(oracle::Oracle& oracle, const wire::WorkerOrder& order, const oracle::CrashIndexes& crash)
      : oracle_(oracle), order_(order), crash_(crash) {}

  // I/O errors are ordered for this recovery: what the worker says of its own failures is then no violation.
  void expect_errors() { errors_expected_ = true; }
  // Judges the sections published so far that were not judged yet.
  void judge(std::string_view observations);
  // An error ended the worker: says which invariant that breaks, or keeps it as an abnormal end.
  void judge_failure(const wire::FlightRecorder& recorder);

  // Everything the order asks for was published and judged (or could not be parsed, which is abnormal()).
  bool complete() const;

  const wire::WorkerOrder& order() const { return order_; }
  const std::vector<oracle::Violation>& violations() const { return violations_; }
  // How many of them the engine reported itself, by an error or its integrity check; nothing was given out
  // that is wrong.
  std::size_t reported() const { return reported_; }
  // The same for reports: with the indexes that had to hold and those that the recovery read.
  std::vector<report::ViolationEvent> violation_events() const;
  // A failure that breaks no invariant of the engine's: the load or the environment. Empty when there is
  // none.
  const std::string& abnormal() const { return abnormal_; }
  // The invariants that were checked.
  const std::vector<std::string>& checked() const { return checked_; }
  std::uint64_t torn_bytes() const { return torn_bytes_; }
  std::uint64_t cut_entries() const { return cut_entries_; }
  std::uint64_t live_keys() const { return live_keys_; }  // compared in full
  // What the store takes, once it was asked for and shown.
  const std::optional<workloads::SpaceObservation>& space() const { return space_; }

 private:
  void add(std::initializer_list<oracle::Invariant> checked, std::vector<oracle::Violation> found);

  oracle::Oracle& oracle_;
  const wire::WorkerOrder& order_;
  oracle::CrashIndexes crash_;
  std::vector<oracle::Violation> violations_;
  std::size_t reported_ = 0;
  std::string abnormal_;
  std::vector<std::string> checked_;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> read_;  // durable index and witness, once shown
  bool errors_expected_ = false;
  std::uint64_t torn_bytes_ = 0;
  std::uint64_t cut_entries_ = 0;
  std::uint64_t live_keys_ = 0;
  bool log_ = false, before_ = false, after_ = false, reopened_ = false, backward_ = false, reads_ = false,
       probe_ = false, isolation_ = false, integrity_ = false, probed_ = false;
  std::optional<workloads::SpaceObservation> space_;
};

}  // namespace chaosgate::campaign
