// What a worker tells the driver about log and state, as observation sections (workloads/observation.h).
//
// Facts only; the driver judges. One thread.
#pragma once

#include <cstdint>

#include "harness/replica/replica.h"
#include "workloads/observation.h"

namespace chaosgate::replica {

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
