// StopSignal turns SIGINT, SIGTERM and SIGHUP into something that threads can wait for.
//
// The first signal asks everything to stop: requested() becomes true and fd() readable for good. SIGHUP,
// which a terminal sends when it is closed, counts as SIGTERM, unless it was ignored when the program started
// (nohup). What comes within a second after the first belongs to it: timeout(1) signals the group and the
// child. A later one removes the registered directories, kills the registered processes and ends the process
// at once. One object per process, made before any thread starts; it blocks the signals in all of them.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "harness/base/unique_fd.h"

namespace chaosgate::campaign {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const { return signal_.load() != 0; }
  int signal() const { return signal_.load(); }  // 0, SIGINT or SIGTERM
  int fd() const { return event_.get(); }

  // What a later signal has to clean up. Thread-safe.
  void add_directory(const std::filesystem::path& path);
  void remove_directory(const std::filesystem::path& path);
  void add_process(pid_t pid);
  void remove_process(pid_t pid);

 private:
  void watch();
  [[noreturn]] void exit_at_once(int signal);

  std::atomic<int> signal_{0};
  std::uint64_t first_ns_ = 0;  // when it came; CLOCK_MONOTONIC
  UniqueFd event_;
  UniqueFd signals_;  // signalfd
  UniqueFd end_;      // eventfd: the destructor's word to the thread
  std::mutex mutex_;
  std::set<std::filesystem::path> directories_;
  std::set<pid_t> processes_;
  std::thread thread_;
};

}  // namespace chaosgate::campaign
