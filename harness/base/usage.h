// What a process has used so far, as the kernel counts it: memory, processor time, bytes written.
//
// For measurements. All of it throws EnvironmentError where /proc does not say.
#pragma once

#include <cstdint>

#include "harness/base/unique_fd.h"

namespace chaosgate {

// Resident memory of this process now, in KiB: its own and what it has mapped of files.
std::uint64_t resident_kib();

// Microseconds of processor time of this process, all threads, user and system.
std::uint64_t cpu_us();

// Bytes that were handed to write calls, whatever became of them: "wchar" of proc_pid_io(5). Stores to mapped
// files do not count. Its "write_bytes" would not do: a memory-backed file system counts nothing there, and
// where a file lies in large folios, one byte counts as all of its folio.
class WrittenMeter {
 public:
  // Of all threads, those that ended too; or of the thread that makes the meter.
  enum class Of { process, this_thread };
  explicit WrittenMeter(Of of);

  // One system call.
  std::uint64_t read() const;

 private:
  UniqueFd file_;
};

}  // namespace chaosgate
