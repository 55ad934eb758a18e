// What a worker tells the driver about log and state, as observation sections (workloads/observation.h).
//
// Facts only; the driver judges. One thread.
#pragma once

#include <cstdint>

#include "harness/replica/replica.h"
#include "harness/wire/flight_recorder.h"
#include "workloads/observation.h"

namespace chaosgate::replica {

// What one state section, or the reads, may have: five fit into the driver's buffer. No workload's state is
// nearly as large; that of a damaged store may have no end.
inline constexpr std::uint64_t kSectionBytesMax = wire::kObservationCapacity / 5;

// Writes what `iterator` gives from its first key to its last, or backward, as a keyspace of a state section.
// Ends behind the first key that is out of order, which the driver judges. corruption when more than
// `*room_bytes` bytes come; else they are less by what was written. Adds the bytes of the keys and values to
// `*live_bytes`.
Status observe_keyspace(engines::Iterator& iterator, bool backward, workloads::ObservationWriter& writer,
                        std::uint64_t* room_bytes, std::uint64_t* live_bytes);

class Observer {
 public:
  // Publishes into `recorder`.observation_bytes after each section. All must outlive this.
  Observer(workloads::ObservationWriter& writer, wire::FlightRecorder& recorder)
      : writer_(writer), recorder_(recorder) {}

  Status log(Replica& replica);
  // Every key of every workload keyspace; kind is one of the state kinds.
  Status state(Replica& replica, workloads::SectionKind kind);
  // `count` gets, seeks in both directions and snapshot reads, at keys sampled from the state and between
  // them.
  Status reads(Replica& replica, std::uint32_t count, std::uint64_t seed);
  // Writes a value that was never there and reads it back; a snapshot from before must not see it.
  Status probe(Replica& replica, std::uint64_t value);
  Status integrity(Replica& replica);
  // What the files of the engine take. REQUIRES: a whole state was shown.
  Status space(const Replica& replica);

 private:
  void finish_section();
  void check_section(workloads::SectionKind kind, const Status& status);

  workloads::ObservationWriter& writer_;
  wire::FlightRecorder& recorder_;
  std::uint64_t live_bytes_ = 0;  // of the last state that was shown
};

}  // namespace chaosgate::replica
