// run_threads() runs the same body in several threads and waits for all of them.
#pragma once

#include <cstdint>
#include <functional>

namespace chaosgate::campaign {

// body(0) to body(count - 1), each in a thread of its own. When one throws, or cannot be started, give_up()
// tells those that run to end (once for each, in any thread), all are waited for, and the first exception is
// thrown again; it is an EnvironmentError where a thread could not be started.
void run_threads(std::uint64_t count, const std::function<void(std::uint64_t)>& body,
                 const std::function<void()>& give_up);

// One thread, for what has to stay on one. Throws what the body throws.
void run_thread(const std::function<void()>& body);

}  // namespace chaosgate::campaign
