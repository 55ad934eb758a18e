#include "harness/base/printable.h"

#include <fmt/format.h>

#include <algorithm>

namespace chaosgate {
namespace {

// The length of the UTF-8 sequence at the start of `bytes`, 0 when there is none (RFC 3629: no surrogates, no
// overlong forms, nothing above U+10FFFF).
std::size_t utf8_length(std::string_view bytes) {
  const auto at = [bytes](std::size_t i) {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U;
  };
  const auto continues = [&at](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
  const unsigned first = at(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return continues(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && at(1) < 0xA0;
    const bool surrogate = first == 0xED && at(1) > 0x9F;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && at(1) < 0x90;
    const bool beyond = first == 0xF4 && at(1) > 0x8F;
    return continues(1) && continues(2) && continues(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

// Turns the direction of writing, or ends a line: U+200E, U+200F, U+2028 to U+202E, U+2066 to U+2069.
bool moves_text(std::string_view character) {
  const auto last = static_cast<unsigned char>(character[2]);
  if (character.starts_with("\xE2\x80")) {
    return last == 0x8E || last == 0x8F || (last >= 0xA8 && last <= 0xAE);
  }
  return character.starts_with("\xE2\x81") && last >= 0xA6 && last <= 0xA9;
}

// C0 and C1 controls and DEL, what moves_text(), U+FFFE and U+FFFF. `character` is one valid UTF-8 sequence.
bool is_unprintable(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) {
    return (first < 0x20 && first != '\t' && first != '\n') || first == 0x7F;
  }
  if (character.size() == 2) {
    return first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
  }
  return character == "\xEF\xBF\xBE" || character == "\xEF\xBF\xBF" ||
         (character.size() == 3 && moves_text(character));
}

std::string escape(std::string_view bytes, bool controls) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t length = utf8_length(bytes);
    const std::string_view character = bytes.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0 || (controls && is_unprintable(character))) {
      for (const char byte : character) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
      }
    } else {
      out += character;
    }
    bytes.remove_prefix(character.size());
  }
  return out;
}

}  // namespace

std::string valid_utf8(std::string_view bytes) { return escape(bytes, false); }

std::string printable(std::string_view bytes) { return escape(bytes, true); }

std::string printable_line(std::string_view bytes) {
  std::string line = printable(bytes);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace chaosgate
