// chaosgate-worker: the program that links the engines, and whose processes die.
//
// The driver starts it once per lane. It greets with what it was built with, then forks one worker for each
// order it reads from the control socket: the libraries are loaded and relocated once, and the parent stays
// small, has one thread and never opens an engine. It ends when the driver closes the socket; its children
// die with it.
//
//   driver -> parent   a WorkerOrder, and     parent -> driver   {"pid": N} and a pidfd, or {"error": text}
//                      for a migration or a
//                      follower a socket
//   driver -> parent   {"reap": true}         parent -> driver   {"wait_status": N, "rss_max_kib": N,
//   "cpu_us": N}
//
// The plugins that it is started with are described by a child each, and loaded by no process but those that
// run their engines. Not for people; `chaosgate-worker --hello [PLUGIN.so]...` prints the greeting.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/replica/offer.h"
#include "harness/replica/stack.h"
#include "harness/replica/worker.h"
#include "harness/tap/filter.h"
#include "harness/wire/channel.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {
namespace {

void* map_shared(int fd, std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (memory == MAP_FAILED) {
    throw_errno("map shared memory");
  }
  // Gigabytes, sparse: a core file of an engine that dies would have them all.
  ::madvise(memory, size, MADV_DONTDUMP);
  return memory;
}

// Forks a worker; the parent gets its pid.
pid_t fork_worker(const wire::WorkerOrder& order, const Shared& shared) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    throw_errno("fork");
  }
  if (pid > 0) {
    return pid;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(wire::kWorkerFailed);  // the parent died before the call above
  }
  ::close(wire::kControlFd);
  wire::Channel tap{UniqueFd(wire::kTapFd)};
  int status = wire::kWorkerFailed;
  print_stack_on_death();
  try {
    set_check_context("worker seed " + std::to_string(order.seed) + " term " + std::to_string(order.term));
    if (order.tap) {
      tap.send("listener", tap::install_filter().get());
    }
    status = run_worker(order, shared);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chaosgate-worker: %s\n", error.what());
    wire::FlightRecorder& recorder = *shared.recorder;
    recorder.say(error.what());
    recorder.failure = wire::Failure::harness;
    recorder.phase = wire::Phase::failed;
  }
  std::fflush(nullptr);
  ::_exit(status);
}

nlohmann::json reap(pid_t pid) {
  int status = 0;
  rusage usage{};
  while (::wait4(pid, &status, 0, &usage) < 0) {
    if (errno != EINTR) {
      throw_errno("wait4");
    }
  }
  const auto microseconds = [](const timeval& time) { return time.tv_sec * 1'000'000L + time.tv_usec; };
  return {{"wait_status", status},
          {"rss_max_kib", usage.ru_maxrss},
          {"cpu_us", microseconds(usage.ru_utime) + microseconds(usage.ru_stime)}};
}

void serve(const std::vector<std::string>& plugins) {
  Shared shared;
  shared.recorder =
      static_cast<wire::FlightRecorder*>(map_shared(wire::kRecorderFd, sizeof(wire::FlightRecorder)));
  shared.observations = static_cast<char*>(map_shared(wire::kObservationFd, wire::kObservationCapacity));
  shared.notice_fd = wire::kNoticeFd;
  shared.go_fd = wire::kGoFd;
  wire::Channel control{UniqueFd(wire::kControlFd)};
  control.send(nlohmann::json(make_offer(plugins)).dump());
  pid_t child = -1;
  while (auto message = control.receive()) {
    const auto json = nlohmann::json::parse(message->text);
    if (json.contains("reap")) {
      CHECK(child > 0, "asked to reap without a child");
      control.send(reap(child).dump());
      child = -1;
      continue;
    }
    CHECK(child < 0, "ordered a worker while one is there");
    shared.stream_fd = message->fd.get();  // closed here when the message goes, so that its end shows
    try {
      child = fork_worker(json.get<wire::WorkerOrder>(), shared);
      const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
      if (!pidfd) {
        throw_errno("pidfd_open of a worker");
      }
      control.send(nlohmann::json{{"pid", child}}.dump(), pidfd.get());
    } catch (const EnvironmentError& error) {
      if (child > 0) {
        ::kill(child, SIGKILL);
        reap(child);
        child = -1;
      }
      control.send(nlohmann::json{{"error", error.what()}}.dump());
    }
  }
  if (child > 0) {
    ::kill(child, SIGKILL);
    reap(child);
  }
}

int run(int argc, char* argv[]) {
  const std::string_view mode = argc >= 2 ? argv[1] : "";
  const std::vector<std::string> plugins(argv + std::min(argc, 2), argv + argc);
  if (mode == "--hello") {
    std::puts(nlohmann::json(make_offer(plugins)).dump(2).c_str());
    return 0;
  }
  if (mode != "--serve") {
    std::fputs("chaosgate-worker is started by chaosgate; '--hello' prints what it was built with\n", stderr);
    return 2;
  }
  // The driver may be killed; nobody else would end us.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Ctrl-C and the end of a terminal go to the whole process group; the driver decides what they mean.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  serve(plugins);
  return 0;
}

}  // namespace
}  // namespace chaosgate::replica

int main(int argc, char* argv[]) {
  try {
    return chaosgate::replica::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "chaosgate-worker: %s\n", error.what());
    return 70;
  }
}
