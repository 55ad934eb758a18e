// TraceBuilder writes traces by hand, for tests: each call becomes the record that the tap would have made of
// it on the data directory that the builder keeps in memory.
//
// Paths are relative to the data directory. Each call returns before the next begins, unless a test changes
// last().end. The file class is what precedes the first '-' of a file's name.
#pragma once

#include <map>
#include <string>

#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/disk/enumerate.h"
#include "harness/disk/image.h"
#include "harness/disk/order.h"
#include "harness/tap/trace.h"

namespace chaosgate::disk {

class TraceBuilder {
 public:
  using Call = tap::StorageCall;

  TraceBuilder() { inodes_[""] = tap::kRootInode; }

  TraceBuilder& base_directory(const std::string& path) {
    trace.base.push_back({.inode = fresh(path), .directory = true, .path = path});
    return *this;
  }
  TraceBuilder& base_file(const std::string& path, const std::string& content) {
    const InodeId inode = fresh(path);
    trace.base.push_back({.inode = inode, .size = content.size(), .path = path});
    base_content[path] = content;
    sizes_[inode] = content.size();
    return *this;
  }
  TraceBuilder& create(const std::string& path) { return name(Call::create, path, fresh(path)); }
  TraceBuilder& mkdir(const std::string& path) { return name(Call::mkdir, path, fresh(path)); }
  TraceBuilder& unlink(const std::string& path) {
    name(Call::unlink, path, inodes_.at(path));
    inodes_.erase(path);
    return *this;
  }
  TraceBuilder& rename(const std::string& from, const std::string& to) {
    const InodeId replaced = inodes_.contains(to) ? inodes_.at(to) : 0;
    name(Call::rename, to, inodes_.at(from));
    last().replaced = replaced;
    last().from_dir = inodes_.at(parent(from));
    last().from_name = leaf(from);
    inodes_[to] = inodes_.at(from);
    inodes_.erase(from);
    return *this;
  }
  TraceBuilder& write(const std::string& path, std::uint64_t offset, const std::string& bytes) {
    tap::TraceRecord& call = add(Call::write, path, inodes_.at(path));
    call.offset = offset;
    call.length = call.requested = bytes.size();
    call.payload = bytes;
    call.payload_hash = hash64(bytes);
    return resize(std::max(call.size_before, offset + bytes.size()));
  }
  TraceBuilder& append(const std::string& path, const std::string& bytes) {
    return write(path, sizes_[inodes_.at(path)], bytes);
  }
  TraceBuilder& truncate(const std::string& path, std::uint64_t size) {
    add(Call::truncate, path, inodes_.at(path));
    return resize(size);
  }
  TraceBuilder& allocate(const std::string& path, std::uint32_t mode, std::uint64_t offset,
                         std::uint64_t length, std::uint64_t size_after) {
    tap::TraceRecord& call = add(Call::allocate, path, inodes_.at(path));
    call.mode = mode;
    call.offset = offset;
    call.length = length;
    return resize(size_after);
  }
  TraceBuilder& fsync(const std::string& path) { return sync(Call::sync, path); }
  TraceBuilder& fdatasync(const std::string& path) { return sync(Call::datasync, path); }
  TraceBuilder& sync_all() { return add(Call::sync_all, "", 0), *this; }
  TraceBuilder& acknowledge(std::uint64_t index) {
    trace.last.appended = trace.last.synced = index;
    return *this;
  }

  tap::TraceRecord& last() { return trace.records.back(); }
  bool exists(const std::string& path) const { return inodes_.contains(path); }

  tap::Trace trace;
  std::map<std::string, std::string> base_content;

 private:
  static std::string parent(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
  }
  static std::string leaf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

  InodeId fresh(const std::string& path) { return inodes_[path] = ++last_inode_; }

  tap::TraceRecord& add(Call call, const std::string& path, InodeId inode) {
    tap::TraceRecord& record = trace.records.emplace_back();
    record.begin = 2 * trace.records.size() - 1;
    record.end = record.begin + 1;
    record.call = call;
    record.inode = inode;
    record.path = path;
    record.file_class = leaf(path).substr(0, leaf(path).find('-'));
    record.size_before = record.size_after = sizes_[inode];
    record.indexes = trace.last;
    return record;
  }
  TraceBuilder& name(Call call, const std::string& path, InodeId inode) {
    tap::TraceRecord& record = add(call, path, inode);
    record.dir = inodes_.at(parent(path));
    record.name = leaf(path);
    directories_[inode] |= call == Call::mkdir;
    return *this;
  }
  TraceBuilder& sync(Call call, const std::string& path) {
    const InodeId inode = inodes_.at(path);
    bool directory = inode == tap::kRootInode || directories_[inode];
    for (const tap::BaseEntry& entry : trace.base) {
      directory = directory || (entry.directory && entry.inode == inode);
    }
    add(call, path, inode).is_directory = directory;
    return *this;
  }
  TraceBuilder& resize(std::uint64_t size) {
    last().size_after = sizes_[last().inode] = size;
    return *this;
  }

  InodeId last_inode_ = tap::kRootInode;
  std::map<std::string, InodeId> inodes_;
  std::map<InodeId, std::uint64_t> sizes_;
  std::map<InodeId, bool> directories_;
};

// A history with its base directory on disk.
struct Workload {
  explicit Workload(const TraceBuilder& builder) : directory("/tmp", "chaosgate-disk-") {
    for (const tap::BaseEntry& entry : builder.trace.base) {
      if (entry.directory) {
        std::filesystem::create_directory(base() / entry.path);
      } else {
        replace_file(base() / entry.path, builder.base_content.at(entry.path));
      }
    }
    const Status made = History::create(builder.trace, &history);
    if (!made.ok()) {
      throw std::runtime_error(made.to_string());
    }
    imager = std::make_unique<Imager>(*history, base());
  }
  std::filesystem::path base() const { return directory.path(); }
  std::uint64_t end() const { return history->records().size(); }

  TempDir directory;
  std::unique_ptr<const History> history;
  std::unique_ptr<Imager> imager;
};

// "a=old d/ d/b=": the whole image on one line. Garbage shows as '?', a zero byte as '0'.
inline std::string show(const std::map<std::string, std::string>& files) {
  std::string line;
  for (const auto& [path, content] : files) {
    line += (line.empty() ? "" : " ") + path;
    if (path.back() == '/') {
      continue;
    }
    line += '=';
    for (const char byte : content) {
      line += byte == 0 ? '0' : byte >= ' ' && byte <= '~' ? byte : '?';
    }
  }
  return line;
}

}  // namespace chaosgate::disk
