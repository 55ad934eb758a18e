#include "harness/tap/file_table.h"

#include <fnmatch.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"

namespace chaosgate::tap {

namespace fs = std::filesystem;

namespace {

std::string_view first_for(const std::vector<const FileRule*>& rules, std::uint64_t end) {
  for (const FileRule* rule : rules) {
    if (rule->bytes_end == 0 || (end != 0 && end <= rule->bytes_end)) {
      return rule->file_class;
    }
  }
  return kOtherClass;
}

}  // namespace

FileTable::FileTable(fs::path directory, std::vector<FileRule> rules) : rules_(std::move(rules)), nodes_(1) {
  struct stat info {};
  if (::stat(directory.c_str(), &info) != 0) {
    throw_errno("stat " + directory.string());
  }
  const InodeId root = add(info, 0, "");
  CHECK(root == kRootInode);
  scan(directory, root);
}

void FileTable::scan(const fs::path& directory, InodeId id) {
  // Sorted: the numbers, and with them the trace, must not depend on the order of a directory.
  std::vector<fs::path> paths;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      throw_errno("stat " + path.string());
    }
    const std::string name = path.filename().string();
    if (const InodeId known = find(info); known != 0) {
      bind(id, name, known);  // a further name
      continue;
    }
    const InodeId child = add(info, id, name);
    if (S_ISDIR(info.st_mode)) {
      scan(path, child);
    }
  }
}

std::vector<BaseEntry> FileTable::entries() const {
  std::vector<BaseEntry> all;
  all.push_back({kRootInode, true, 0, ""});
  for (const auto& [place, inode] : names_) {
    const auto& [dir, name] = place;
    const std::string parent = path(dir);
    const Node& node = nodes_.at(inode);
    all.push_back(
        {inode, node.directory, node.directory ? 0 : node.size, parent.empty() ? name : parent + "/" + name});
  }
  std::sort(all.begin(), all.end(),
            [](const BaseEntry& left, const BaseEntry& right) { return left.path < right.path; });
  return all;
}

InodeId FileTable::find(const struct stat& info) const {
  const auto at = numbers_.find({info.st_dev, info.st_ino});
  return at == numbers_.end() ? 0 : at->second;
}

InodeId FileTable::bound(InodeId dir, const std::string& name) const {
  const auto at = names_.find({dir, name});
  return at == names_.end() ? 0 : at->second;
}

InodeId FileTable::add(const struct stat& info, InodeId dir, const std::string& name) {
  const InodeId id = nodes_.size();
  nodes_.push_back({S_ISDIR(info.st_mode), static_cast<std::uint64_t>(info.st_size), dir, name});
  numbers_[{info.st_dev, info.st_ino}] = id;
  if (dir != 0) {
    names_[{dir, name}] = id;
  }
  return id;
}

void FileTable::bind(InodeId dir, const std::string& name, InodeId inode) {
  ++names_changed_;
  names_[{dir, name}] = inode;
  nodes_.at(inode).dir = dir;
  nodes_.at(inode).name = name;
}

void FileTable::unbind(InodeId dir, const std::string& name) { names_.erase({dir, name}); }

const std::string& FileTable::path(InodeId inode) const { return described(inode).path; }

// A path and its rules are asked for at every call and change only when something is renamed.
const FileTable::Node& FileTable::described(InodeId inode) const {
  const Node& node = nodes_.at(inode);
  if (node.as_of != names_changed_) {
    node.path.clear();
    for (InodeId at = inode; at != kRootInode && at != 0; at = nodes_.at(at).dir) {
      node.path = node.path.empty() ? nodes_[at].name : nodes_[at].name + "/" + node.path;
    }
    node.rules = rules_of(node.path);
    node.as_of = names_changed_;
  }
  return node;
}

std::vector<const FileRule*> FileTable::rules_of(const std::string& path) const {
  std::vector<const FileRule*> matching;
  for (const FileRule& rule : rules_) {
    if (::fnmatch(rule.pattern.c_str(), path.c_str(), 0) == 0) {
      matching.push_back(&rule);
      if (rule.bytes_end == 0) {
        break;
      }
    }
  }
  return matching;
}

std::string_view FileTable::file_class(InodeId inode, std::uint64_t end) const {
  const Node& node = described(inode);
  return node.directory ? kDirectoryClass : first_for(node.rules, end);
}

std::string_view FileTable::class_of_path(const std::string& path) const {
  return first_for(rules_of(path), 0);
}

bool FileTable::is_directory(InodeId inode) const { return nodes_.at(inode).directory; }

bool FileTable::is_informational(std::string_view file_class) const {
  return std::any_of(rules_.begin(), rules_.end(), [&](const FileRule& rule) {
    return rule.informational && rule.file_class == file_class;
  });
}

}  // namespace chaosgate::tap
