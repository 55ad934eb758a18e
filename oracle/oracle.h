// Oracle says, for one lane, what the recovered log and state must be, and explains each difference.
//
// It knows which term proposed each index, so it knows every entry's content without reading any file of the
// worker. The driver feeds it what the worker published and observed; it answers with violations, none when
// all is well. Pure: no process, no file, no engine. Not thread-safe; one per lane.
//
// The order of calls. begin_term(t) when a worker process starts, before anything it observes is judged.
// Then, when that worker has recovered: check_log(), cut_suffix() if it discarded a tail (before or after the
// next), check_before_replay(), check_after_replay() and the others; then it loads, and dies. So at
// check_log() the newest term is that of the worker that recovered and has proposed nothing; what the log
// holds beyond the last adopted index was proposed by the terms before it. A worker that is killed in its
// recovery costs a term and proposes nothing: begin_term() again for the next one. What a killed recovery
// observed may be checked or left unchecked. One exception: the very first worker creates the lane, and its
// log may already hold what it has proposed.
//
// The indexes of CrashIndexes are published around the calls of the worker's log: `appended` before
// Log::append() (an intent), `synced` after Log::sync() returned. So no legal log ends behind `appended`.
//
// After a violation the oracle goes on with what is left of the log: check_after_replay() and the others then
// judge against the longest prefix of the recovered log that is legal.
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

// forget(index) keeps so many indexes below `index`, to say of which index a wrong state is.
inline constexpr std::uint64_t kForgetMargin = 4096;

// space.bounded: a compacted store takes at most so many bytes of the disk, and has at most so many files.
// Wide enough for what correct engines keep besides (logs that are filled again, half-empty pages, one file
// of each keyspace and level), and never less than twice what the same store took when it was new, whatever
// an engine makes room for at once: it is what grows with every crash that shall not pass.
inline constexpr std::uint64_t kSpaceMultiple = 4;             // of the live bytes ...
inline constexpr std::uint64_t kSpaceBytes = 16 << 20;         // ... and so many besides
inline constexpr std::uint64_t kSpaceFiles = 64;               // and of files, so many ...
inline constexpr std::uint64_t kSpaceBytesOfFile = 64 * 1024;  // ... and one for each so many live bytes
inline constexpr std::uint64_t kSpaceOfNew = 2;  // and so many times what it took when it was new

// What the flight recorder said when the worker died. When several workers died in a row before the check
// (the later ones in their recoveries), each index is the highest that any of them published, except for
// `flushed`, which is what must have survived all of the crashes.
struct CrashIndexes {
  std::uint64_t appended = 0;
  std::uint64_t synced = 0;
  std::uint64_t applied = 0;  // engine write returned ok
  std::uint64_t flushed = 0;  // durable in the engine as its contract says (after a kill: what must be there)
  bool after_error = false;   // I/O errors happened since the last recovery that came through
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

  // For a replica that is sent its entries: those up to `last` that are not known yet were proposed by
  // `term`, which is nobody's of the above. What check_log() cut off has to be told again. REQUIRES: term is
  // not lower than that of the last known entry.
  void learn(std::uint64_t last, std::uint64_t term);

  // log.acked and log.content. Adopts the recovered log's end as the truth when it is legal, otherwise the
  // end of its legal prefix. An entry that was acknowledged once must be there ever after, whatever
  // crash.synced says later. REQUIRES: begin_term() was called.
  std::vector<Violation> check_log(const workloads::LogObservation& log, const CrashIndexes& crash);
  // engine.opens (not silently empty), index.not_ahead, index.not_lost, log.acked (the log lacks entries that
  // the engine holds or that replay needs), state.prefix. REQUIRES: check_log() was called for this recovery.
  std::vector<Violation> check_before_replay(const workloads::StateObservation& state,
                                             const CrashIndexes& crash);
  // The replica has discarded the unacknowledged entries >= from; what follows is proposed under the current
  // term. Call it when the discarding is known to be complete: a worker killed in the middle of it leaves
  // either end. REQUIRES: 1 <= from; from is above every index that was ever acknowledged.
  void cut_suffix(std::uint64_t from);
  // state.replayed: the state and the witness are those of the last entry.
  std::vector<Violation> check_after_replay(const workloads::StateObservation& state);
  // state.stable, read.consistent and state.writable, against the oracle at the last entry.
  std::vector<Violation> check_reopened(const workloads::StateObservation& state);
  std::vector<Violation> check_backward(const workloads::StateObservation& state);
  std::vector<Violation> check_reads(const std::vector<workloads::ReadObservation>& reads);
  std::vector<Violation> check_probe(const workloads::CheckObservation& probe);
  std::vector<Violation> check_integrity(const workloads::CheckObservation& integrity);
  // state.stable: neither the engine's own check nor the write after it has changed anything else.
  std::vector<Violation> check_probed(const workloads::StateObservation& state);
  std::vector<Violation> check_isolation(const workloads::CheckObservation& isolation);

  // space.bounded, for a store that was compacted, closed and opened again: no crash before has left files
  // that nothing refers to. `when_new`: what it took when no crash had been. See kSpace... for the bound.
  std::vector<Violation> check_space(const workloads::SpaceObservation& space,
                                     const workloads::SpaceObservation& when_new) const;

  // replica.equal: the state and the witness are those of entry `index`, which the replica reached by what it
  // was sent. REQUIRES: `index` was learnt.
  std::vector<Violation> check_reached(const workloads::StateObservation& state, std::uint64_t index);

  // The last entry of the log as last adopted.
  std::uint64_t last_index() const;
  std::uint64_t live_keys() const;  // at the last checked index

  // Everything below `index` is durable and no witness will be below it; kForgetMargin indexes more are kept
  // for explanations. Larger than the last checked index means that one.
  void forget(std::uint64_t index);

  // From here on save() writes the belief as it was at this call, until the next mark(): a recovery that
  // turns out wrong has changed it. forget() does not go beyond the last index of the mark.
  void mark();
  // The oracle's whole belief, for a bundle; load() brings back one that judges the same. load() refuses
  // damaged bytes (corruption), a newer version (not_supported) and the belief about another generator
  // (invalid_argument), and then leaves *oracle alone.
  void save(std::string* out) const;
  static Status load(std::string_view bytes, const workloads::Generator& generator,
                     std::unique_ptr<Oracle>* oracle);
  // For what was read from files: whether a recovery under `term` after `crash`, which cuts off entries from
  // `cut_from` on (0: none), can follow this belief. invalid_argument says why not.
  Status can_recover(std::uint64_t term, const CrashIndexes& crash, std::uint64_t cut_from) const;

 private:
  struct State;
  explicit Oracle(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace chaosgate::oracle
