#include "engines/conformance/store.h"

namespace chaosgate::engines {
namespace {

constexpr std::size_t kShownBytesMax = 24;

std::string show_value(const KeyspaceState& state, const std::string& key) {
  const auto at = state.find(key);
  return at == state.end() ? "nothing" : "\"" + printable(at->second) + "\"";
}

}  // namespace

std::string printable(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes.substr(0, kShownBytesMax)) {
    const auto code = static_cast<unsigned char>(byte);
    if (code >= 0x20 && code < 0x7f && byte != '"' && byte != '\\') {
      text.push_back(byte);
    } else {
      text += fmt::format("\\x{:02x}", code);
    }
  }
  return bytes.size() <= kShownBytesMax ? text : text + fmt::format("... ({} bytes)", bytes.size());
}

std::string difference(const State& found, const State& expected) {
  for (std::size_t id = 0; id < expected.size(); ++id) {
    for (const auto& states : {&expected[id], &found[id]}) {
      for (const auto& [key, value] : *states) {
        if (!found[id].contains(key) || !expected[id].contains(key) ||
            found[id].at(key) != expected[id].at(key)) {
          return fmt::format("keyspace {} has {} at \"{}\", expected {} ({} keys, expected {})", id,
                             show_value(found[id], key), printable(key), show_value(expected[id], key),
                             found[id].size(), expected[id].size());
        }
      }
    }
  }
  return "";
}

}  // namespace chaosgate::engines
