// Oracle says, for one lane, what the recovered log and state must be, and explains each difference.
//
// It knows which term proposed each index, so it knows every entry's content without reading any file of the
// worker. The driver feeds it what the worker published and observed; it answers with violations. Pure: no
// process, no file, no engine. Not thread-safe; one per lane.
//
// Per crash: begin_term(t) when a worker starts; after the crash and the next worker's recovery,
// check_log(), then check_before_replay(), optionally cut_suffix(), then check_after_replay() and the others.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"
#include "oracle/invariant.h"
#include "workloads/generator.h"
#include "workloads/observation.h"

namespace chaosgate::oracle {

// What the flight recorder said when the worker died.
struct CrashIndexes {
  std::uint64_t appended = 0;
  std::uint64_t synced = 0;
  std::uint64_t applied = 0;  // engine write returned ok
  std::uint64_t flushed = 0;  // durable in the engine as its contract says (after a kill: what must be there)
};

class Oracle {
 public:
  explicit Oracle(const workloads::Generator& generator);
  ~Oracle();
  Oracle(Oracle&&) noexcept;
  Oracle& operator=(Oracle&&) noexcept;

  // A worker starts and will propose every index after the last recovered one under `term`.
  // REQUIRES: term is higher than any before.
  void begin_term(std::uint64_t term);

  // log.acked and log.content. Adopts the recovered log's end as the truth when it is legal.
  std::vector<Violation> check_log(const workloads::LogObservation& log, const CrashIndexes& crash);
  // index.not_ahead, index.not_lost, state.prefix. REQUIRES: check_log() was called for this recovery.
  std::vector<Violation> check_before_replay(const workloads::StateObservation& state,
                                             const CrashIndexes& crash);
  // The replica discards the unacknowledged entries >= from; what follows is proposed under the current term.
  void cut_suffix(std::uint64_t from);
  // state.replayed: the state equals the oracle at the last entry.
  std::vector<Violation> check_after_replay(const workloads::StateObservation& state);
  // state.stable, read.consistent and state.writable, against the oracle at the last entry.
  std::vector<Violation> check_reopened(const workloads::StateObservation& state);
  std::vector<Violation> check_backward(const workloads::StateObservation& state);
  std::vector<Violation> check_reads(const std::vector<workloads::ReadObservation>& reads);
  std::vector<Violation> check_probe(const workloads::CheckObservation& probe);
  std::vector<Violation> check_integrity(const workloads::CheckObservation& integrity);

  // The last entry of the log as last adopted.
  std::uint64_t last_index() const;
  std::uint64_t live_keys() const;  // at the last checked index

  // Everything below `index` is durable and will not be asked for again; a margin is kept for explanations.
  void forget(std::uint64_t index);

  // The oracle's whole belief, for a bundle; load() brings back one that judges the same.
  void save(std::string* out) const;
  static Status load(std::string_view bytes, const workloads::Generator& generator,
                     std::unique_ptr<Oracle>* oracle);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace chaosgate::oracle
