#include "harness/campaign/threads.h"

#include <fmt/format.h>

#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "harness/base/error.h"
#include "harness/campaign/limits.h"

namespace chaosgate::campaign {

void run_threads(std::uint64_t count, const std::function<void(std::uint64_t)>& body,
                 const std::function<void()>& give_up) {
  std::vector<std::thread> threads;
  std::string failed;
  for (std::uint64_t number = 0; number < count && failed.empty(); ++number) {
    try {
      threads.emplace_back([&body, number] { body(number); });
    } catch (const std::system_error& error) {
      failed =
          fmt::format("start a thread: {}{}", error.code().message(), limit_behind(error.code().value()));
      give_up();
    }
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (!failed.empty()) {
    throw EnvironmentError(failed);
  }
}

}  // namespace chaosgate::campaign
