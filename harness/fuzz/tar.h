// Tar archives as plain bytes, without compression: readers of archives take them so, too.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaosgate::fuzz {

using TarMembers =
    std::vector<std::pair<std::string, std::string>>;  // name, content; a directory ends in '/'

inline constexpr std::size_t kTarBlock = 512;
inline constexpr std::size_t kTarName = 100;    // bytes
inline constexpr std::size_t kTarSizeAt = 124;  // 11 octal digits
inline constexpr std::size_t kTarSumAt = 148;   // 6 octal digits, a NUL and a blank
inline constexpr std::size_t kTarSumBytes = 8;

inline std::size_t tar_padding(std::size_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

// Of a header: the sum of its bytes, those of the sum itself taken for blanks.
inline void set_tar_sum(std::string* bytes, std::size_t at) {
  bytes->replace(at + kTarSumAt, kTarSumBytes, kTarSumBytes, ' ');
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) {
    sum += static_cast<unsigned char>((*bytes)[at + i]);
  }
  bytes->replace(at + kTarSumAt, kTarSumBytes, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
}

// Names are cut to what a header holds.
inline std::string tar_of(const TarMembers& members) {
  std::string bytes;
  for (const auto& [name, content] : members) {
    const bool directory = name.ends_with('/');
    std::string header(kTarBlock, '\0');
    header.replace(0, std::min(name.size(), kTarName), name, 0, kTarName);
    header.replace(100, 7, directory ? "0000755" : "0000644");
    header.replace(108, 7, "0000000");
    header.replace(116, 7, "0000000");
    header.replace(kTarSizeAt, 11, fmt::format("{:011o}", directory ? 0 : content.size()));
    header.replace(136, 11, "00000000000");
    header[156] = directory ? '5' : '0';
    header.replace(257, 8,
                   std::string("ustar\0"
                               "00",
                               8));
    set_tar_sum(&header, 0);
    bytes += header;
    if (!directory) {
      bytes += content;
      bytes.append(tar_padding(content.size()), '\0');
    }
  }
  return bytes.append(2 * kTarBlock, '\0');
}

// The members of what tar_of() makes, and of what resembles it. False when the bytes begin otherwise.
inline bool read_tar(std::string_view bytes, TarMembers* members) {
  for (std::size_t at = 0; at + kTarBlock <= bytes.size() && bytes[at] != '\0';) {
    const std::string_view header = bytes.substr(at, kTarBlock);
    if (header.substr(257, 5) != "ustar") {
      return false;
    }
    std::size_t size = 0;
    for (const char c : header.substr(kTarSizeAt, 11)) {
      size = size * 8 + static_cast<std::size_t>(c & 7);
    }
    at += kTarBlock;
    size = std::min(size, bytes.size() - at);
    members->emplace_back(header.substr(0, std::min(header.find('\0'), kTarName)), bytes.substr(at, size));
    at += std::min(size + tar_padding(size), bytes.size() - at);
  }
  return !members->empty();
}

}  // namespace chaosgate::fuzz
