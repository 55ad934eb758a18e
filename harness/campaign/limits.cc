#include "harness/campaign/limits.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <latch>
#include <system_error>
#include <thread>
#include <vector>

#include "harness/base/error.h"
#include "harness/wire/flight_recorder.h"

namespace chaosgate::campaign {
namespace {

struct Limit {
  int resource;
  const char* name;    // of the shell's ulimit
  std::uint64_t unit;  // bytes of what ulimit counts
};
constexpr Limit kOpenFiles{RLIMIT_NOFILE, "-n", 1};
constexpr Limit kAddressSpace{RLIMIT_AS, "-v", 1024};
constexpr Limit kFileSize{RLIMIT_FSIZE, "-f", 1024};
constexpr Limit kProcesses{RLIMIT_NPROC, "-u", 1};

// Files of an engine, and those of the driver: bundles, reports, a few descriptors for each lane.
constexpr std::uint64_t kOpenFilesNeeded = 256;
constexpr std::uint64_t kOpenFilesWanted = 4096;
// Each lane of the driver, and each worker, maps an observation buffer, sparse, beside what an engine maps.
constexpr std::uint64_t kAddressSpaceNeeded = 4 * wire::kObservationCapacity;
constexpr std::uint64_t kFileSizeNeeded = std::uint64_t{256} << 20;
// Those of a few engines at once: RocksDB alone has ten.
constexpr std::size_t kThreadsNeeded = 96;

rlimit get(const Limit& limit) {
  rlimit value{};
  if (::getrlimit(limit.resource, &value) != 0) {
    throw_errno(fmt::format("read the limit of ulimit {}", limit.name));
  }
  return value;
}

// The soft limit goes up to `wanted`, as far as the hard one lets it.
void need(const Limit& limit, std::uint64_t needed, std::uint64_t wanted, const char* why) {
  rlimit value = get(limit);
  if (value.rlim_cur < wanted && value.rlim_cur < value.rlim_max) {
    value.rlim_cur = std::min<rlim_t>(wanted, value.rlim_max);
    ::setrlimit(limit.resource, &value);  // what it is then decides
    value = get(limit);
  }
  if (value.rlim_cur < needed) {
    throw EnvironmentError(fmt::format("ulimit {} is {}, at least {} are needed: {}", limit.name,
                                       value.rlim_cur / limit.unit, needed / limit.unit, why));
  }
}

// How many processes and threads the user has already cannot be known: so it is tried. Not for root, whom the
// limit does not bind.
void need_threads() {
  if (get(kProcesses).rlim_cur == RLIM_INFINITY || ::geteuid() == 0) {
    return;
  }
  std::latch done(1);
  std::vector<std::thread> threads;
  bool refused = false;
  while (threads.size() < kThreadsNeeded && !refused) {
    try {
      threads.emplace_back([&] { done.wait(); });
    } catch (const std::system_error&) {
      refused = true;
    }
  }
  done.count_down();
  const std::size_t started = threads.size();
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (refused) {
    throw EnvironmentError(
        fmt::format("ulimit -u is {}, and only {} more threads can be started, at least {} are "
                    "needed: an engine that cannot start its own would be blamed for it",
                    get(kProcesses).rlim_cur, started, kThreadsNeeded));
  }
}

}  // namespace

void check_limits() {
  // A write past the limit of files fails with EFBIG then, which says what it is; the signal would only end
  // us.
  ::signal(SIGXFSZ, SIG_IGN);
  need(kOpenFiles, kOpenFilesNeeded, kOpenFilesWanted,
       "an engine that runs out of files would be blamed for it");
  need(kAddressSpace, kAddressSpaceNeeded, RLIM_INFINITY,
       "what a recovery shows goes into a sparse buffer of 4 GiB");
  need(kFileSize, kFileSizeNeeded, RLIM_INFINITY,
       "an engine whose files may not grow would be blamed for it");
  need_threads();
}

std::string limit_behind(int error) {
  const Limit* limit = error == EAGAIN   ? &kProcesses
                       : error == EMFILE ? &kOpenFiles
                       : error == ENOMEM ? &kAddressSpace
                       : error == EFBIG  ? &kFileSize
                                         : nullptr;
  if (limit == nullptr) {
    return "";
  }
  const rlim_t value = get(*limit).rlim_cur;
  return value == RLIM_INFINITY ? "" : fmt::format(" (ulimit {} is {})", limit->name, value / limit->unit);
}

}  // namespace chaosgate::campaign
