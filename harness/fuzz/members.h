// The members of an archive in one text that mutations can be applied to: for each its name and content, with
// their lengths. Any text at all is some members.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "harness/base/coding.h"
#include "harness/fuzz/tar.h"

namespace chaosgate::fuzz {

inline std::string text_of(const TarMembers& members) {
  std::string text;
  for (const auto& [name, content] : members) {
    put_bytes(&text, name);
    put_bytes(&text, content);
  }
  return text;
}

inline TarMembers members_of(std::string_view text) {
  const auto take = [&] {
    std::uint32_t length = 0;
    const std::string_view head = text.substr(0, sizeof length);
    text.remove_prefix(head.size());
    Reader(head).u32(&length);
    const std::string taken(text.substr(0, length));
    text.remove_prefix(taken.size());
    return taken;
  };
  TarMembers members;
  while (!text.empty()) {
    std::string name = take();
    members.emplace_back(std::move(name), take());
  }
  return members;
}

}  // namespace chaosgate::fuzz
