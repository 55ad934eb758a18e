// The only way of the commands to stdout and stderr.
//
// What they print has names, messages and plans in it that come from bundles, engines and files which anybody
// may have written, and a terminal obeys control characters. So every text that fills a format here is made
// printable first; scripts/check-layers finds whoever goes another way. Not thread-safe, like the streams.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "harness/base/json.h"
#include "harness/report/campaign_report.h"

namespace chaosgate::cli {

// A text that may have several lines. Any other is one line, whatever it holds.
struct Lines {
  std::string_view text;
};

namespace output {

std::string safe(std::string_view text);
std::string safe(const Lines& lines);
template <typename Number>
requires std::is_arithmetic_v<Number> Number safe(Number number) { return number; }

void write_stdout(const std::string& text);
void write_stderr(const std::string& text);

}  // namespace output

// The format, filled with the arguments: texts, made printable, and numbers.
template <typename... T>
std::string text(fmt::format_string<T...> format, const T&... arguments) {
  const auto made = std::make_tuple(output::safe(arguments)...);
  return std::apply([&](const auto&... each) { return fmt::vformat(format, fmt::make_format_args(each...)); },
                    made);
}

// The same on stdout.
template <typename... T>
void say(fmt::format_string<T...> format, const T&... arguments) {
  output::write_stdout(text<T...>(format, arguments...));
}
// The same on stderr.
template <typename... T>
void say_error(fmt::format_string<T...> format, const T&... arguments) {
  output::write_stderr(text<T...>(format, arguments...));
}
// On stdout, in ASCII. Bytes that are not UTF-8 become U+FFFD.
void say_json(const nlohmann::json& json);

// "chaosgate: <line>" on stderr.
void log_line(const std::string& line);

// Puts a result that has been rendered on stdout, with its colours; when that cannot be, says so and puts it
// on stderr. False then.
bool print_result(const std::string& text);

// Makes file descriptors 0 to 2 fail when they are closed, so that no file of ours is opened as one of them;
// and lets writing to a closed pipe, or past a limit of file size, be an error instead of the end.
void secure_streams();
// The status of a command whose result could (`written`) or could not be put where it belongs: a violation
// stays one, anything else is an internal error.
report::ExitStatus after_writing(report::ExitStatus status, bool written);

}  // namespace chaosgate::cli

template <>
struct fmt::formatter<chaosgate::cli::Lines> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const chaosgate::cli::Lines& lines, Context& context) const {
    return fmt::formatter<std::string_view>::format(lines.text, context);
  }
};
