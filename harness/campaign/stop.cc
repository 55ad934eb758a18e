#include "harness/campaign/stop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/wire/flight_recorder.h"

namespace chaosgate::campaign {
namespace {

constexpr std::uint64_t kOneSignalNs = 1'000'000'000;

void raise_event(int fd) {
  const std::uint64_t one = 1;
  CHECK(::write(fd, &one, sizeof one) == sizeof one);
}

}  // namespace

StopSignal::StopSignal()
    : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), end_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  struct sigaction hangup {};
  if (::sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
    sigaddset(&set, SIGHUP);  // blocked, it would come although it is ignored
  }
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC));
  if (!event_ || !end_ || !signals_) {
    throw_errno("set up signal handling");
  }
  thread_ = std::thread([this] { watch(); });
}

StopSignal::~StopSignal() {
  raise_event(end_.get());
  thread_.join();
}

void StopSignal::watch() {
  for (;;) {
    pollfd waits[] = {{signals_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0) {
      continue;
    }
    if (waits[1].revents != 0) {
      return;
    }
    // All that have come: together they are one.
    std::array<signalfd_siginfo, 3> infos{};
    if (::read(signals_.get(), infos.data(), sizeof infos) < static_cast<ssize_t>(sizeof infos[0])) {
      continue;
    }
    const int signal = infos[0].ssi_signo == SIGINT ? SIGINT : SIGTERM;
    const std::uint64_t now = wire::monotonic_ns();
    if (!requested()) {
      first_ns_ = now;
      signal_ = signal;
      raise_event(event_.get());
    } else if (now - first_ns_ >= kOneSignalNs) {
      exit_at_once(signal);
    }
  }
}

void StopSignal::exit_at_once(int signal) {
  const std::lock_guard lock(mutex_);
  for (const pid_t pid : processes_) {
    ::kill(pid, SIGKILL);  // worker parents; their workers die with them
  }
  // What is dying, and our own threads, may still make files: a directory is gone when it was seen to be.
  constexpr int kAttemptsMax = 1000;
  for (const auto& path : directories_) {
    std::error_code ignored;
    for (int i = 0; i < kAttemptsMax && std::filesystem::exists(path, ignored); ++i) {
      std::filesystem::remove_all(path, ignored);
    }
  }
  ::_exit(128 + signal);
}

void StopSignal::add_directory(const std::filesystem::path& path) {
  const std::lock_guard lock(mutex_);
  directories_.insert(path);
}

void StopSignal::remove_directory(const std::filesystem::path& path) {
  const std::lock_guard lock(mutex_);
  directories_.erase(path);
}

void StopSignal::add_process(pid_t pid) {
  const std::lock_guard lock(mutex_);
  processes_.insert(pid);
}

void StopSignal::remove_process(pid_t pid) {
  const std::lock_guard lock(mutex_);
  processes_.erase(pid);
}

}  // namespace chaosgate::campaign
