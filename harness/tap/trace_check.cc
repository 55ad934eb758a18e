// What a trace must hold to be used, whoever wrote it.
#include <fmt/format.h>
#include <limits.h>

#include <algorithm>
#include <map>

#include "harness/base/printable.h"
#include "harness/tap/trace.h"

namespace chaosgate::tap {
namespace {

// What a directory of Linux can hold under one name.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= NAME_MAX && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool binds_or_unbinds(const TraceRecord& record) {
  switch (record.call) {
    case StorageCall::create:
    case StorageCall::rename:
    case StorageCall::link:
    case StorageCall::unlink:
    case StorageCall::mkdir:
    case StorageCall::rmdir:
      return record.error == 0;
    default:
      return false;
  }
}

// The base: each entry lies in a directory that came before, under a plain name that nothing else has.
Status check_base(const Trace& trace) {
  std::map<std::string_view, bool> directories = {{"", true}};  // by path: whether it is one
  for (const BaseEntry& entry : trace.base) {
    if (entry.path.empty()) {
      if (entry.inode != kRootInode || !entry.directory) {
        return Status::corruption("the base of the trace does not begin with a directory");
      }
      continue;
    }
    const std::string_view path = entry.path;
    const std::size_t slash = path.rfind('/');
    const auto parent = directories.find(slash == std::string_view::npos ? "" : path.substr(0, slash));
    const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
    if (path.size() >= PATH_MAX || !is_plain_name(name) || parent == directories.end() || !parent->second ||
        !directories.emplace(path, entry.directory).second || entry.inode == kRootInode) {
      return Status::corruption(fmt::format(
          "the base of the trace has an entry that no directory can hold: '{}'", printable_line(path)));
    }
  }
  return {};
}

// What is made is new: a file that was there before, under any name, is not made again.
Status check_inodes(const Trace& trace) {
  std::map<InodeId, std::pair<bool, std::uint64_t>> there;  // whether it is a directory, and its size
  for (const BaseEntry& entry : trace.base) {
    const std::pair kind(entry.directory, entry.size);
    const auto [at, added] = there.emplace(entry.inode, kind);
    if (!added && (entry.directory || at->second != kind)) {
      return Status::corruption(
          fmt::format("the base of the trace has two entries that cannot be one: '{}' is inode {}",
                      printable_line(entry.path), entry.inode));
    }
  }
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    const TraceRecord& record = trace.records[i];
    const bool makes = record.call == StorageCall::create || record.call == StorageCall::mkdir;
    if (makes && record.error == 0 &&
        !there.emplace(record.inode, std::pair(record.call == StorageCall::mkdir, std::uint64_t{0})).second) {
      return Status::corruption(
          fmt::format("record {} of the trace makes inode {}, which is there already", i, record.inode));
    }
  }
  return {};
}

Status check_names(const TraceRecord& record, std::size_t number) {
  if (binds_or_unbinds(record) && (!is_plain_name(record.name) || (record.call == StorageCall::rename &&
                                                                   !is_plain_name(record.from_name)))) {
    return Status::corruption(
        fmt::format("record {} of the trace is about a name that no directory can hold: '{}'", number,
                    printable_line(record.name)));
  }
  return {};
}

// Sizes that files ever have, by inode.
class Sizes {
 public:
  explicit Sizes(const Trace& trace) : trace_(trace) {}

  Status check() {
    for (const BaseEntry& entry : trace_.base) {
      if (!entry.directory && !largest_.contains(entry.inode)) {
        RETURN_IF_ERROR(bound(entry.size, "an entry of the base"));
        held_ += entry.size;
        largest_[entry.inode] = entry.size;
      }
    }
    for (std::size_t i = 0; i < trace_.records.size(); ++i) {
      RETURN_IF_ERROR(take(trace_.records[i], fmt::format("record {}", i)));
    }
    std::uint64_t all = 0;
    for (const auto& [inode, size] : largest_) {
      all += size;
      if (all > held_ + kBytesWithoutContentMax) {
        return Status::corruption(
            fmt::format("the files of the trace have over {} bytes; its base and its writes hold {}, and {} "
                        "more are allowed",
                        all, held_, kBytesWithoutContentMax));
      }
    }
    return {};
  }

 private:
  // Below this, sums of a few cannot overflow.
  static Status bound(std::uint64_t bytes, std::string_view what) {
    constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 40;
    return bytes <= kBytesMax
               ? Status()
               : Status::corruption(fmt::format("{} of the trace is about byte {}; a file has at most {}",
                                                what, bytes, kBytesMax));
  }

  Status take(const TraceRecord& record, const std::string& what) {
    const bool changes_size = record.call == StorageCall::write || record.call == StorageCall::truncate ||
                              record.call == StorageCall::allocate;
    if (!changes_size) {
      return {};
    }
    RETURN_IF_ERROR(bound(record.offset, what));
    RETURN_IF_ERROR(bound(record.size_before, what));
    RETURN_IF_ERROR(bound(record.size_after, what));
    if (record.call != StorageCall::truncate) {
      RETURN_IF_ERROR(bound(record.length, what));
    }
    held_ += record.payload.size();
    std::uint64_t& largest = largest_[record.inode];
    largest = std::max({largest, record.size_before, record.size_after});
    // What was written behind the end is there until the size cuts it off.
    largest = std::max(largest, record.payload.empty() ? 0 : record.offset + record.payload.size());
    return {};
  }

  const Trace& trace_;
  std::map<InodeId, std::uint64_t> largest_;
  std::uint64_t held_ = 0;
};

}  // namespace

Status check_trace(const Trace& trace) {
  RETURN_IF_ERROR(check_base(trace));
  RETURN_IF_ERROR(check_inodes(trace));
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    RETURN_IF_ERROR(check_names(trace.records[i], i));
  }
  return Sizes(trace).check();
}

}  // namespace chaosgate::tap
