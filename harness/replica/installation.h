// Installation puts a received snapshot in the place of a replica's engine, so that a crash at any moment
// leaves the old state or the new one, whole.
//
// It works in the replica's data directory D, which holds engine/, log/ and, under the sidecar protocol,
// durable-index. While it is under way D also holds
//   engine.installing   the new engine, being built; whole when it holds the file SNAPSHOT
//   engine.replaced     the old engine, until the new one is in its place for good
//   engine.placing      a copy on its way into place, in a recovery
// and SNAPSHOT says which entry the engine stands at:
//   SNAPSHOT := magic:"CGINSTAL" index:u64 term:u64 checksum:u64 = hash64(the bytes before)
//
// recover() must run before anything in D is opened. installation.cc has the order of the calls and why it is
// enough.
//
// Stateless but for its options; one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "engines/engine.h"
#include "harness/base/status.h"
#include "harness/base/step.h"
#include "harness/log/log.h"
#include "harness/snapshot/snapshot_faults.h"
#include "harness/snapshot/snapshot_receiver.h"

namespace chaosgate::replica {

inline constexpr std::string_view kInstallationMagic = "CGINSTAL";
inline constexpr std::string_view kInstallationFile = "SNAPSHOT";

// The entry at which an engine stands.
struct StateIndex {
  std::uint64_t index = 0;
  std::uint64_t term = 0;  // of that entry; 0 when the snapshot did not say

  bool operator==(const StateIndex&) const = default;
};

struct InstallationOptions {
  std::filesystem::path directory;  // D
  engines::EngineOptions engine;
  log::LogOptions log;   // of the new log, but for where it starts
  bool sidecar = false;  // D has a durable index outside the engine
  snapshot::SnapshotFaults faults;
};

class Installation {
 public:
  // `config` must outlive this.
  Installation(const engines::EngineConfig& config, InstallationOptions options, StepSink& steps)
      : config_(config), options_(std::move(options)), steps_(steps) {}

  // Reads the applied index of an open engine.
  using ReadIndex = std::function<Status(engines::Engine& engine, std::uint64_t* index)>;

  // Builds the new engine beside the old one, which may be open, durably. *state is where it stands. A
  // failure leaves nothing but the old state: corruption for a snapshot that does not hold what it announces,
  // invalid_argument for one that ends at or before entry `applied`.
  Status prepare(const snapshot::ReceivedSnapshot& received, std::uint64_t applied,
                 const ReadIndex& read_index, StateIndex* state);

  // Puts what prepare() built in the place of the engine, and a new log that starts behind it in the place of
  // the log; durable when it returns ok. After a failure only recover() knows which state is there. REQUIRES:
  // prepare() returned ok with `state`; engine and log are closed.
  Status commit(const StateIndex& state);

  // Brings an interrupted installation to an end; does nothing when there is none. corruption when D holds
  // the remains of one and no whole engine: then nothing is changed, and what is not there is not taken for
  // new.
  Status recover();

 private:
  std::filesystem::path place(std::string_view name) const { return options_.directory / name; }

  Status build(const snapshot::ReceivedSnapshot& received, std::uint64_t applied, const ReadIndex& read_index,
               StateIndex* state);
  Status check_built(const snapshot::ReceivedSnapshot& received, std::uint64_t applied,
                     const ReadIndex& read_index, StateIndex* state);
  Status recover_beside_engine();
  Status recover_without_engine();
  Status copy_into_place(std::string_view from);
  Status roll_forward(const StateIndex& state);
  Status reset_log(const StateIndex& state);
  Status persist_index(const StateIndex& state);
  bool has_leftovers() const;
  Status remove_leftovers();
  Status sync_names();

  const engines::EngineConfig& config_;
  const InstallationOptions options_;
  StepSink& steps_;
};

}  // namespace chaosgate::replica
