#include "harness/cli/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "harness/base/file.h"
#include "harness/base/printable.h"

namespace chaosgate::cli {
namespace {

// The length of the escape sequence for a colour at the front of `text`, or 0.
std::size_t colour_bytes(std::string_view text) {
  if (!text.starts_with("\x1b[")) {
    return 0;
  }
  const std::size_t end = text.find_first_not_of("0123456789;", 2);
  return end != std::string_view::npos && text[end] == 'm' ? end + 1 : 0;
}

// What is rendered for a terminal was made printable part by part, and then coloured: all that is left to
// escape is what should not be there.
std::string rendered(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t colour = colour_bytes(text);
    out += text.substr(0, colour);
    text.remove_prefix(colour);
    const std::size_t escape = text.find('\x1b', colour == 0 ? 1 : 0);
    out += printable(text.substr(0, escape));
    text.remove_prefix(std::min(escape, text.size()));
  }
  return out;
}

}  // namespace

namespace output {

std::string safe(std::string_view text) { return printable_line(text); }

std::string safe(const Lines& lines) { return printable(lines.text); }

void write_stdout(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void write_stderr(const std::string& text) {
  std::fflush(stdout);  // both may be one file: what was said before stands before, and no line is cut in two
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace output

void say_json(const nlohmann::json& json) {
  output::write_stdout(json.dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n");
}

void log_line(const std::string& line) { say_error("chaosgate: {}\n", line); }

bool print_result(const std::string& text) {
  const std::string page = rendered(text);
  const Status status =
      std::fflush(stdout) == 0 ? write_all(1, page, "stdout") : Status::io_error("stdout", errno);
  if (status.ok()) {
    return true;
  }
  log_line("the result cannot be written to stdout: " + status.message());
  output::write_stderr(page);
  return false;
}

void secure_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      // The lowest that is free, which is this one. A write to it fails, as on the closed one.
      [[maybe_unused]] const int taken = ::open("/dev/null", O_RDONLY);
    }
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

report::ExitStatus after_writing(report::ExitStatus status, bool written) {
  const bool stays = written || status == report::ExitStatus::violation ||
                     status == report::ExitStatus::usage || status == report::ExitStatus::untestable;
  return stays ? status : report::ExitStatus::internal;
}

}  // namespace chaosgate::cli
