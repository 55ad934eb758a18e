// For tests: a child process whose storage calls go through a Tap.
#pragma once

#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <string_view>
#include <vector>

#include "harness/tap/tap.h"

namespace chaosgate::tap {

struct TappedRun {
  TapEnd end;
  Trace trace;
  int wait_status = 0;
  int ordered_kills = 0;

  bool killed() const { return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL; }
  // What the body returned.
  int status() const { return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1; }

  std::vector<const TraceRecord*> of(StorageCall call) const {
    std::vector<const TraceRecord*> found;
    for (const TraceRecord& record : trace.records) {
      if (record.call == call) {
        found.push_back(&record);
      }
    }
    return found;
  }
};

// Runs `body` in a child whose current directory is the data directory; its result is the exit status.
TappedRun run_tapped(TapOptions options, std::vector<StorageFault> faults, const std::function<int()>& body);

// REQUIRES: `text` is a fault.
StorageFault fault(std::string_view text);

}  // namespace chaosgate::tap
