// Subject is one replica under test: a data directory, the workers that live on it one after the other, what
// is believed of it, and the judgement of each of their recoveries.
//
// Lane (cycles on one replica) and GroupMember (a replica among others) are made of it; they decide how its
// workers live and die.
//
// Threading: one thread for its whole life (see WorkerParent). Throws EnvironmentError when the machine
// fails.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/campaign/bundle.h"
#include "harness/campaign/config.h"
#include "harness/campaign/drive.h"
#include "harness/campaign/image_mirror.h"
#include "harness/campaign/recovery.h"
#include "harness/campaign/stop.h"
#include "harness/campaign/worker_parent.h"
#include "harness/crash/coverage.h"
#include "harness/crash/plan.h"
#include "harness/report/event.h"
#include "oracle/oracle.h"
#include "workloads/generator.h"
#include "workloads/observation.h"

namespace chaosgate::campaign {

struct SubjectOptions : LaneTarget {
  std::filesystem::path directory;  // made by the subject, must not exist; removed with it
  bool keep_images = true;
  bool watch = false;         // tap every worker, to say at which storage call timers and steps struck
  bool keep_records = false;  // of the tap. REQUIRES: watch
  // With the bytes of each write, for disk images; nothing is synced then. REQUIRES: keep_records
  bool keep_payloads = false;
  bool hand_over_only = false;  // tap::TapOptions
};

// Where a subject can be put back to: a data directory on which nothing runs, and what is believed of it.
struct KeptState {
  std::filesystem::path image;
  std::string belief;
  oracle::CrashIndexes indexes;
};

// The event of a cycle, as far as what runs it decides it.
report::CycleEvent make_event(const LaneTarget& target, std::uint64_t cycle);

class Subject {
 public:
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  const wire::Hello& hello() const { return parent_.hello(); }
  const wire::EngineDescription& engine() const { return *engine_; }

  // What a bundle of the last failure is made of; set when the last cycle had a violation or an abnormal end.
  struct Evidence {
    RecoveryCase recovery;         // everything needed to recover and judge again
    crash::CyclePlan plan;         // of the cycle, as it was carried out
    std::filesystem::path image;   // the data directory as it was before that recovery
    std::filesystem::path output;  // what the workers printed
  };
  const std::optional<Evidence>& evidence() const { return evidence_; }

 protected:
  // `stop` may be null. Throws UsageError when the worker program does not have this engine.
  Subject(const SubjectOptions& options, StopSignal* stop);
  ~Subject();

  // An empty data directory, of which nothing is believed.
  void begin_directory();
  void abandon_directory();
  // Copies the data directory to `image`, which must not exist. REQUIRES: no worker runs.
  KeptState copy_state(const std::filesystem::path& image) const;
  // Begins a data directory that is a copy of that one, and forgets what the tap saw.
  void put_back(const KeptState& state);
  // The belief of a state that was kept, which save() made.
  std::unique_ptr<oracle::Oracle> belief_of(const KeptState& state) const;
  // What the tap saw since the last call, and what was there at the begin of the data directory, or of what
  // was watched of it. REQUIRES: options.keep_records
  tap::Trace take_trace();
  // Runs one worker up to ready, its ordered death, or its clean end. False when something was found.
  bool attempt(const wire::WorkerOrder& order, const crash::Recrash* recrash, report::CycleEvent* event);
  // Takes the end of a load into the event; true when it ended as it may. `faults` were ordered for it.
  bool note_load(const Driven& driven, std::string kind, std::string planned, bool tapped,
                 const std::vector<tap::StorageFault>& faults, report::CycleEvent* event);
  void note_indexes();
  // Takes what the tap saw of the worker that just died into the books.
  void note_calls(const std::vector<tap::StorageFault>& faults, report::Death* death);
  void keep_evidence(const wire::WorkerOrder& order, const std::vector<oracle::Violation>& violations);
  // An end from outside, once, may be anybody's doing. One after the other is the engine's: it kills itself,
  // or takes all memory.
  report::Outcome blamed(report::Outcome outcome);
  // A cycle came through: what was ended from outside before it was chance.
  void note_fine_cycle() { outside_in_a_row_ = 0; }

  SubjectOptions subject_;
  workloads::Generator generator_;
  std::filesystem::path data_;
  std::unique_ptr<tap::Tap> tap_;  // outlives the worker that is attached to it
  WorkerParent parent_;
  const wire::EngineDescription* engine_ = nullptr;
  std::unique_ptr<oracle::Oracle> oracle_;
  std::unique_ptr<ImageMirror> mirror_;
  oracle::CrashIndexes indexes_;                          // what must hold after the last crash
  std::optional<workloads::SpaceObservation> new_store_;  // what it took at the first look
  std::uint64_t on_disk_ = 0;  // last index that is in the engine's files even after a power cut
  // The same before the last recovery, as the image and the marked belief are: a recovery flushes, too.
  oracle::CrashIndexes marked_indexes_;
  std::uint64_t generation_ = 0;  // of the data directory
  crash::CyclePlan last_plan_;    // of the cycle that is judged
  crash::Coverage coverage_;
  std::vector<tap::TraceRecord> records_;
  std::optional<Evidence> evidence_;
  std::uint32_t outside_in_a_row_ = 0;
};

}  // namespace chaosgate::campaign
