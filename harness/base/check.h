// CHECK(condition) and CHECK(condition, format, ...) guard chaosgate's own invariants.
//
// Always on, in every build. A failed check prints file, line, the condition, the message and the run's
// context (set_check_context, usually the seed and the cycle) on stderr, then aborts.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace chaosgate {

// Text that every failed CHECK prints, for example "seed 0x2a engine lmdb". Thread-safe.
void set_check_context(std::string context);

[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& message);

inline std::string check_message() { return {}; }
template <typename... Args>
std::string check_message(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}

}  // namespace chaosgate

#define CHECK(condition, ...)                                                                             \
  do {                                                                                                    \
    if (!(condition)) [[unlikely]] {                                                                      \
      ::chaosgate::check_failed(__FILE__, __LINE__, #condition, ::chaosgate::check_message(__VA_ARGS__)); \
    }                                                                                                     \
  } while (false)
