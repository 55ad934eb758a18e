// run_threads() runs the same body in several threads and waits for all of them.
#pragma once

#include <cstdint>
#include <functional>

namespace chaosgate::campaign {

// body(0) to body(count - 1), each in a thread of its own; it must not throw. When one cannot be started,
// give_up() tells those that run to end, they are waited for, and EnvironmentError is thrown.
void run_threads(std::uint64_t count, const std::function<void(std::uint64_t)>& body,
                 const std::function<void()>& give_up);

}  // namespace chaosgate::campaign
