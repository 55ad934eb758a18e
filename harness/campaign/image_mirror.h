// ImageMirror keeps a copy of a directory tree up to date, cheaply, so that the disk image from before a
// recovery is there when the recovery turns out wrong.
//
// sync() copies only files whose inode, size or modification time changed since the last call, and of those
// only the pages that differ. A file modified within the clock's granularity of the last sync counts as
// changed (the "racy" rule that git's index uses). REQUIRES: nothing writes to the tree during sync(). Throws
// EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace chaosgate::campaign {

class ImageMirror {
 public:
  ImageMirror(std::filesystem::path from, std::filesystem::path to);

  void sync();
  const std::filesystem::path& path() const { return to_; }

 private:
  struct Seen {
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    std::int64_t modified_ns = 0;
    bool racy = true;
  };

  std::filesystem::path from_;
  std::filesystem::path to_;
  std::map<std::string, Seen> seen_;  // by path relative to from_
};

}  // namespace chaosgate::campaign
