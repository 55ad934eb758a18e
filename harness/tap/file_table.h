// FileTable knows every file and directory of one data directory by inode: its number in the trace, its names
// and its class.
//
// It is right as long as all changes of names go through it. Not thread-safe. Throws EnvironmentError when
// the directory cannot be read.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/tap/trace.h"

namespace chaosgate::tap {

// Names a class of files; the first rule that matches wins. A file that none matches is "other", a directory
// "dir".
struct FileRule {
  std::string file_class;
  std::string pattern;  // fnmatch(3) without FNM_PATHNAME on the path relative to the data directory
  // Only writes that end at or below this offset belong to the class; 0: all.
  std::uint64_t bytes_end = 0;
  bool informational = false;  // see TraceRecord::informational
};

inline constexpr std::string_view kDirectoryClass = "dir";
inline constexpr std::string_view kOtherClass = "other";

class FileTable {
 public:
  // Numbers everything that is in `directory` now.
  FileTable(std::filesystem::path directory, std::vector<FileRule> rules);
  FileTable(const FileTable&) = delete;
  FileTable& operator=(const FileTable&) = delete;

  std::vector<BaseEntry> entries() const;

  // The number of what `info` describes; 0 when it is not in the directory and never was.
  InodeId find(const struct stat& info) const;
  // What `name` in `dir` is bound to; 0: nothing.
  InodeId bound(InodeId dir, const std::string& name) const;

  // A new file or directory, of a new number whatever its inode.
  InodeId add(const struct stat& info, InodeId dir, const std::string& name);
  void bind(InodeId dir, const std::string& name, InodeId inode);
  void unbind(InodeId dir, const std::string& name);

  // Its last name, also when that is gone. Relative to the data directory.
  const std::string& path(InodeId inode) const;
  // `end`: of the write that is asked about; 0 for any other call.
  std::string_view file_class(InodeId inode, std::uint64_t end = 0) const;
  std::string_view class_of_path(const std::string& path) const;
  bool is_directory(InodeId inode) const;
  bool is_informational(std::string_view file_class) const;

 private:
  struct Node {
    bool directory = false;
    std::uint64_t size = 0;  // when it was numbered
    InodeId dir = 0;         // of its last name
    std::string name;
    // What follows from the names, as of `names_changed_`; see described().
    mutable std::uint64_t as_of = 0;
    mutable std::string path;
    mutable std::vector<const FileRule*> rules;  // that match, up to the first that is for all writes
  };
  using Key = std::pair<dev_t, ino_t>;

  void scan(const std::filesystem::path& directory, InodeId id);
  const Node& described(InodeId inode) const;
  std::vector<const FileRule*> rules_of(const std::string& path) const;

  std::vector<FileRule> rules_;
  std::map<Key, InodeId> numbers_;
  std::vector<Node> nodes_;  // by number
  std::map<std::pair<InodeId, std::string>, InodeId> names_;
  std::uint64_t names_changed_ = 1;  // how often
};

}  // namespace chaosgate::tap
