#include "harness/base/check.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace chaosgate {
namespace {

std::mutex context_mutex;

std::string& context() {
  static std::string text;
  return text;
}

}  // namespace

void set_check_context(std::string text) {
  const std::lock_guard lock(context_mutex);
  context() = std::move(text);
}

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  {
    const std::lock_guard lock(context_mutex);
    std::fprintf(stderr, "%s:%d: CHECK(%s) failed%s%s%s%s%s\n", file, line, condition,
                 message.empty() ? "" : ": ", message.c_str(), context().empty() ? "" : " [",
                 context().c_str(), context().empty() ? "" : "]");
  }
  std::abort();
}

}  // namespace chaosgate
