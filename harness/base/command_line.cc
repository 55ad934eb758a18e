#include "harness/base/command_line.h"

#include <fmt/format.h>

#include <algorithm>

namespace chaosgate {
namespace {

bool is_plain(char c) {
  constexpr std::string_view kPlain = "%+,-./:=@_";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kPlain.find(c) != std::string_view::npos;
}

bool is_printable(char c) { return c >= ' ' && c <= '~'; }

}  // namespace

std::string shell_quoted(std::string_view word) {
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) {
    return std::string(word);
  }
  std::string quoted;
  if (std::all_of(word.begin(), word.end(), is_printable)) {
    quoted = "'";
    for (const char c : word) {
      quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return quoted + "'";
  }
  quoted = "$'";
  for (const char c : word) {
    if (!is_printable(c)) {
      quoted += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    } else if (c == '\'' || c == '\\') {
      quoted += std::string("\\") + c;
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

CommandLine::CommandLine(const Invocation& invocation, std::string_view subcommand)
    : line_(shell_quoted(invocation.program)), last_(invocation.options) {
  word(subcommand);
}

CommandLine& CommandLine::word(std::string_view word) {
  line_ += " " + shell_quoted(word);
  return *this;
}

CommandLine& CommandLine::path(const std::filesystem::path& path) {
  return word(std::filesystem::absolute(path).lexically_normal().native());
}

CommandLine& CommandLine::option(std::string_view flag, std::string_view value) {
  return word(flag).word(value);
}

CommandLine& CommandLine::option_path(std::string_view flag, const std::filesystem::path& value) {
  return word(flag).path(value);
}

std::string CommandLine::text() const {
  std::string text = line_;
  for (const auto& [flag, value] : last_) {
    text += " " + shell_quoted(flag) + " " + shell_quoted(value);
  }
  return text;
}

}  // namespace chaosgate
