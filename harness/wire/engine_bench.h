// What a worker measures when engines are compared; it goes to the driver as JSON in the flight recorder's
// message.
//
// Times are microseconds of CLOCK_MONOTONIC. Bytes written are those handed to write calls
// (harness/base/usage.h).
#pragma once

#include <cstdint>

#include "harness/base/json_fields.h"

namespace chaosgate::wire {

// Entries of the load behind its last flush. They are not measured: they are there so that the kill at the
// end leaves to each engine what it would leave to it between two flushes.
inline constexpr std::uint32_t kBenchTailEntries = 500;

// Of a load, from the first entry behind the preload to the return of its last flush.
struct LoadMeasured {
  std::uint64_t entries = 0;
  std::uint64_t operations = 0;
  std::uint64_t batch_bytes = 0;  // keys and values handed to the engine
  std::uint64_t total_us = 0;
  std::uint64_t engine_us =
      0;                     // in calls that write to the engine; the rest is the replica's, mostly its log
  std::uint64_t cpu_us = 0;  // of all threads
  std::uint64_t engine_written_bytes = 0;  // by the engine, its own threads too
  std::uint64_t log_written_bytes = 0;     // by the replica: log, and durable-index file
  std::uint64_t resident_kib = 0;          // of the process, at the end
};
JSON_FIELDS(LoadMeasured, entries, operations, batch_bytes, total_us, engine_us, cpu_us, engine_written_bytes,
            log_written_bytes, resident_kib)

// After the recovery from the kill, and a flush.
struct RecoveryMeasured {
  std::uint64_t open_us = 0;          // of the engine alone, after a clean close
  std::uint64_t disk_bytes = 0;       // in files ...
  std::uint64_t used_bytes = 0;       // ... and of those holding live data, as the engine estimates
  std::uint64_t compact_us = 0;       // nothing else can happen meanwhile
  std::uint64_t compacted_bytes = 0;  // in files afterwards
};
JSON_FIELDS(RecoveryMeasured, open_us, disk_bytes, used_bytes, compact_us, compacted_bytes)

}  // namespace chaosgate::wire
