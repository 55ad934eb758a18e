// WorkerParent is a running chaosgate-worker: a small process that forks workers on order, one at a time.
//
// It owns the process, the control socket, the flight recorder and the observation buffer. The destructor
// kills and reaps everything. Throws EnvironmentError when the parent itself fails; what happens to a worker
// is data.
//
// Threading: one thread, and the same one for the object's whole life: the kernel kills the parent process
// when the thread that started it ends.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/campaign/stop.h"
#include "harness/tap/tap.h"
#include "harness/wire/awake_bound.h"
#include "harness/wire/channel.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

// How a worker ended, as the kernel reported it.
struct Exit {
  int wait_status = 0;
  std::uint64_t rss_max_kib = 0;
  std::uint64_t cpu_us = 0;

  bool by_sigkill() const;
  bool clean() const;  // exit status 0
  // "exited with status 3", "killed by signal 6 (Aborted)". Of an end that nobody ordered: a SIGKILL comes
  // from outside, and the text says from where it may.
  std::string describe() const;
};

class WorkerParent {
 public:
  // `program` is chaosgate-worker; it describes `plugins`, paths, in its greeting. What it and its workers
  // print goes to `output_file`. `stop` may be null.
  WorkerParent(const std::filesystem::path& program, const std::vector<std::string>& plugins,
               const std::filesystem::path& output_file, StopSignal* stop);
  ~WorkerParent();
  WorkerParent(const WorkerParent&) = delete;
  WorkerParent& operator=(const WorkerParent&) = delete;

  const wire::Hello& hello() const { return hello_; }
  const wire::FlightRecorder& recorder() const { return *recorder_; }
  // What the current or last worker has published so far. Good until start().
  std::string_view observations() const;

  // Resets the flight recorder and forks a worker; one that follows gets a socket to network(). When the
  // order says so its storage calls go through `tap`, which must outlive it; `faults` happen from its start
  // on. `stream`, when not -1, is duplicated into the worker: one end of a migration's socket. REQUIRES: none
  // is running; tap when order.tap.
  void start(const wire::WorkerOrder& order, tap::Tap* tap = nullptr,
             std::vector<tap::StorageFault> faults = {}, int stream = -1);
  bool running() const { return static_cast<bool>(pidfd_); }

  enum class Event { notice, death, stop, due, overdue };
  // Waits for a notice from the worker, its death, a stop signal, `until_ns` (CLOCK_MONOTONIC), or until
  // `bound` is used up; the first that applies in the order death, notice, stop, due, overdue. REQUIRES:
  // running()
  Event wait(wire::AwakeBound* bound, std::uint64_t until_ns = UINT64_MAX);
  // Somebody has stopped the worker (SIGSTOP, a debugger): it neither runs nor waits. REQUIRES: running()
  bool is_stopped() const;
  // Lets the worker load. When it is tapped, `faults` replace those of its recovery, and occurrences are
  // counted anew.
  void go(std::vector<tap::StorageFault> faults = {});
  // Sends SIGKILL. False when the worker was dead already.
  bool kill();
  // Waits for the end and collects it; when it returns, nothing more changes the data directory. REQUIRES:
  // running(), and the worker is dead or dying.
  Exit reap();
  // The socket to a worker that follows. REQUIRES: the last order said so.
  wire::Channel& network() { return network_.value(); }
  // What the tap did to the last worker; nothing when that was not tapped. Good until start().
  const tap::TapEnd& tap_end() const { return tap_end_; }

 private:
  void* map(int fd, std::size_t size);
  // The parent's answer. Throws EnvironmentError when there is none: it is gone, or somebody has stopped it.
  wire::Channel::Message answer();
  void attach(pid_t pid, std::vector<tap::StorageFault> faults);

  class Process;

  StopSignal* stop_;
  UniqueFd recorder_fd_;
  UniqueFd observation_fd_;
  UniqueFd notice_fd_;
  UniqueFd go_fd_;
  wire::FlightRecorder* recorder_ = nullptr;
  char* observations_ = nullptr;
  std::unique_ptr<Process> process_;
  std::optional<wire::Channel> control_;
  wire::Hello hello_;
  UniqueFd pidfd_;                          // of the running worker
  pid_t worker_ = -1;                       // the same
  bool silent_ = false;                     // the parent did not answer
  std::optional<wire::Channel> listeners_;  // from workers that put their filter on
  std::optional<wire::Channel> network_;    // to the running worker
  tap::Tap* tap_ = nullptr;                 // of the running worker
  tap::TapEnd tap_end_;
};

}  // namespace chaosgate::campaign
