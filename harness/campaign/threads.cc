#include "harness/campaign/threads.h"

#include <fmt/format.h>

#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "harness/base/error.h"
#include "harness/campaign/limits.h"

namespace chaosgate::campaign {

void run_threads(std::uint64_t count, const std::function<void(std::uint64_t)>& body,
                 const std::function<void()>& give_up) {
  std::mutex mutex;
  std::exception_ptr first;
  const auto keep = [&](const std::exception_ptr& error) {
    {
      const std::lock_guard lock(mutex);
      first = first ? first : error;
    }
    give_up();
  };
  const auto guarded = [&](std::uint64_t number) {
    try {
      body(number);
    } catch (...) {
      keep(std::current_exception());
    }
  };
  std::vector<std::thread> threads;
  try {
    for (std::uint64_t number = 0; number < count; ++number) {
      threads.emplace_back(guarded, number);
    }
  } catch (const std::system_error& error) {
    keep(std::make_exception_ptr(EnvironmentError(
        fmt::format("start a thread: {}{}", error.code().message(), limit_behind(error.code().value())))));
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (first) {
    std::rethrow_exception(first);
  }
}

void run_thread(const std::function<void()>& body) {
  run_threads(
      1, [&body](std::uint64_t) { body(); }, [] {});
}

}  // namespace chaosgate::campaign
