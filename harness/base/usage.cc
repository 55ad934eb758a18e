#include "harness/base/usage.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <string_view>

#include "harness/base/error.h"

namespace chaosgate {
std::uint64_t resident_kib() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  if (!(statm >> total >> resident)) {
    throw EnvironmentError("/proc/self/statm cannot be read");
  }
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

std::uint64_t cpu_us() {
  struct rusage usage {};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) {
    throw_errno("getrusage");
  }
  const auto us = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

WrittenMeter::WrittenMeter(Of of)
    : file_(::open(of == Of::process ? "/proc/self/io" : "/proc/thread-self/io", O_RDONLY | O_CLOEXEC)) {
  if (!file_) {
    throw_errno("open /proc/self/io, which counts written bytes");
  }
}

std::uint64_t WrittenMeter::read() const {
  constexpr std::string_view kName = "wchar: ";
  std::array<char, 512> buffer{};
  const ssize_t size = ::pread(file_.get(), buffer.data(), buffer.size(), 0);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const std::size_t at = text.find(kName);
  std::uint64_t number = 0;
  if (at == std::string_view::npos ||
      std::from_chars(text.data() + at + kName.size(), text.data() + text.size(), number).ec != std::errc()) {
    throw EnvironmentError("/proc/self/io does not say how many bytes were written");
  }
  return number;
}

}  // namespace chaosgate
