#include "harness/base/crash_point.h"

#include <fmt/format.h>

#include <charconv>

namespace chaosgate {
namespace {

// Takes a decimal number from the front of *text.
template <typename T>
bool take_number(std::string_view* text, T* value) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (error != std::errc()) {
    return false;
  }
  text->remove_prefix(static_cast<std::size_t>(end - text->data()));
  return true;
}

bool take(std::string_view* text, std::string_view prefix) {
  if (!text->starts_with(prefix)) {
    return false;
  }
  text->remove_prefix(prefix.size());
  return true;
}

}  // namespace

std::string to_string(const CrashPoint& point) {
  std::string text = fmt::format("{}#{}", to_string(point.step), point.occurrence);
  if (point.step == Step::inside_log_append) {
    text += fmt::format("~{}", point.permille);
  }
  if (is_span(point.step)) {
    text += fmt::format("+{}us", point.delay_us);
  }
  return text;
}

std::optional<CrashPoint> parse_crash_point(std::string_view text) {
  const std::size_t hash = text.find('#');
  if (hash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::optional<Step> step = parse_step(text.substr(0, hash));
  if (!step) {
    return std::nullopt;
  }
  CrashPoint point;
  point.step = *step;
  text.remove_prefix(hash + 1);
  if (!take_number(&text, &point.occurrence) || point.occurrence == 0) {
    return std::nullopt;
  }
  if (point.step == Step::inside_log_append &&
      (!take(&text, "~") || !take_number(&text, &point.permille) || point.permille > 999)) {
    return std::nullopt;
  }
  if (is_span(point.step) &&
      (!take(&text, "+") || !take_number(&text, &point.delay_us) || !take(&text, "us"))) {
    return std::nullopt;
  }
  return text.empty() ? std::optional(point) : std::nullopt;
}

}  // namespace chaosgate
