// Planted faults of the log: each re-creates a mechanism that once shipped, so that the gate can prove that
// it would find it. Never linked by anything that keeps data one wants.
//
// Most are decorators around a correct Log; "tail-resurrected" and "fsync-gate" are configurations of it (the
// fault_* fields of LogOptions). The decorators are deterministic: the same calls go wrong each time.
// Threading: as Log.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "harness/log/log.h"

namespace chaosgate::log {

struct LogFaultInfo {
  std::string_view name;
  std::string_view mechanism;
  std::string_view published_as;
  bool needs_io_error = false;  // only an I/O error shows it; kills do not
  // Only a power cut shows it, under this weakest profile of the persistence model; else empty.
  std::string_view power_profile;
};

// Every planted fault of the log, decorators and configurations.
const std::vector<LogFaultInfo>& log_faults();

// Adjusts the options before create_log() or open_log(). Changes nothing for a fault that is a decorator, or
// that is not the log's.
void configure_log_fault(std::string_view fault, LogOptions* options);

// Puts the decorator around `log`, right after it was created or opened. Returns `log` itself for a fault
// that is a configuration, or that is not the log's.
std::unique_ptr<Log> wrap_log(std::string_view fault, std::unique_ptr<Log> log);

}  // namespace chaosgate::log
