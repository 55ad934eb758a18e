#include "harness/base/json.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/printable.h"

namespace chaosgate {
namespace {

using nlohmann::json;

// Where the text is nested too deep; its size when it is not. Counts brackets outside strings, which is exact
// for JSON; what is none is for the parser to refuse.
std::size_t too_deep_at(std::string_view text) {
  std::size_t depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      i += c == '\\' ? 1 : 0;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kJsonDepthMax) {
        return i;
      }
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return text.size();
}

}  // namespace

json parse_json(std::string_view text) {
  if (const std::size_t at = too_deep_at(text); at < text.size()) {
    throw json::parse_error::create(
        101, at + 1, fmt::format("nested deeper than {} levels at byte {}", kJsonDepthMax, at + 1), nullptr);
  }
  return json::parse(text);
}

std::string json_complaint(std::string_view message) {
  if (message.starts_with("[json.exception")) {
    message.remove_prefix(std::min(message.find("] ") + 2, message.size()));
  }
  return printable_line(message);
}

}  // namespace chaosgate
