#include "harness/disk/micro_op.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <linux/falloc.h>

#include <algorithm>

namespace chaosgate::disk {
namespace {

using tap::StorageCall;

constexpr std::uint32_t kZeroingModes = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
constexpr std::uint32_t kKnownModes = kZeroingModes | FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE;

template <typename Map, typename Key>
const std::vector<OpId>& find_or_empty(const Map& map, const Key& key) {
  static const std::vector<OpId> none;
  const auto found = map.find(key);
  return found == map.end() ? none : found->second;
}

}  // namespace

Status History::create(tap::Trace trace, std::unique_ptr<const History>* history) {
  std::unique_ptr<History> made(new History(std::move(trace)));
  RETURN_IF_ERROR(made->expand());
  *history = std::move(made);
  return {};
}

Status History::expand() {
  for (std::uint32_t i = 0; i < records().size(); ++i) {
    if (i > 0 && records()[i].begin <= records()[i - 1].begin) {
      return Status::corruption(fmt::format("record {} of the trace began before record {}", i, i - 1));
    }
    first_op_.push_back(static_cast<OpId>(ops_.size()));
    RETURN_IF_ERROR(expand_record(i));
    if (touched_pages_ > kTouchedPagesMax) {
      return Status::not_supported(
          fmt::format("the first {} records of the trace touch over {} pages", i + 1, kTouchedPagesMax));
    }
  }
  first_op_.push_back(static_cast<OpId>(ops_.size()));
  note_returns();
  note_directories();
  return {};
}

Status History::expand_record(std::uint32_t record) {
  const TraceRecord& call = records()[record];
  switch (call.call) {
    case StorageCall::write:
      if (call.payload.size() != call.length) {
        return Status::not_supported(
            fmt::format("record {} of the trace is a write without its bytes", record));
      }
      add_write(record);
      return {};
    case StorageCall::truncate:
      add_size(record);
      return {};
    case StorageCall::allocate:
      return add_allocate(record);
    default:
      break;
  }
  if (call.error != 0) {
    return {};
  }
  switch (call.call) {
    case StorageCall::create:
    case StorageCall::link:
    case StorageCall::mkdir:
      add_name(OpKind::bind, record, call.dir, call.name);
      return {};
    case StorageCall::unlink:
    case StorageCall::rmdir:
      add_name(OpKind::unbind, record, call.dir, call.name);
      return {};
    case StorageCall::rename:
      add_name(OpKind::bind, record, call.dir, call.name);
      add_name(OpKind::unbind, record, call.from_dir, call.from_name);
      return {};
    default:  // the syncs change nothing; refused calls neither
      return {};
  }
}

void History::add_write(std::uint32_t record) {
  const TraceRecord& call = records()[record];
  if (call.size_after > call.size_before) {
    add_size(record);
  }
  const std::uint64_t end = call.offset + call.length;
  for (std::uint64_t at = call.offset; at < end;) {
    const std::uint64_t page_end = std::min(end, (at / kPageBytes + 1) * kPageBytes);
    add({.kind = OpKind::write, .record = record, .inode = call.inode, .begin = at, .end = page_end});
    at = page_end;
  }
}

void History::add_size(std::uint32_t record) {
  const TraceRecord& call = records()[record];
  if (call.size_after != call.size_before) {
    add({.kind = OpKind::size,
         .record = record,
         .inode = call.inode,
         .old_size = call.size_before,
         .new_size = call.size_after});
  }
}

Status History::add_allocate(std::uint32_t record) {
  const TraceRecord& call = records()[record];
  if (call.error != 0) {
    return {};
  }
  if ((call.mode & ~kKnownModes) != 0) {
    return Status::not_supported(fmt::format(
        "record {} of the trace is fallocate with mode {:#x}, which is not modelled", record, call.mode));
  }
  add_size(record);
  const std::uint64_t end = std::min(call.offset + call.length, std::max(call.size_before, call.size_after));
  if ((call.mode & kZeroingModes) != 0 && call.offset < end) {
    add({.kind = OpKind::zero, .record = record, .inode = call.inode, .begin = call.offset, .end = end});
  }
  return {};
}

void History::add_name(OpKind kind, std::uint32_t record, InodeId dir, std::string_view name) {
  add({.kind = kind, .record = record, .inode = records()[record].inode, .dir = dir, .name = name});
}

void History::add(MicroOp op) {
  const OpId id = static_cast<OpId>(ops_.size());
  if (!op.is_name()) {
    content_ops_[op.inode].push_back(id);
  }
  if (op.is_data()) {
    touched_pages_ += (op.end - 1) / kPageBytes - op.begin / kPageBytes + 1;
    if (touched_pages_ > kTouchedPagesMax) {
      return;  // create() says so
    }
    for (std::uint64_t page = op.begin / kPageBytes; page * kPageBytes < op.end; ++page) {
      page_ops_[{op.inode, page}].push_back(id);
    }
  }
  ops_.push_back(op);
}

void History::note_returns() {
  returned_.resize(records().size());
  // The first begin of a later worker, seen from behind.
  std::map<std::uint32_t, std::uint64_t> first_begin;
  for (std::size_t i = records().size(); i-- > 0;) {
    const TraceRecord& call = records()[i];
    returned_[i] = call.end;
    const auto next_worker = first_begin.upper_bound(call.process);
    if (call.end == UINT64_MAX && next_worker != first_begin.end()) {
      returned_[i] = next_worker->second - 1;
    }
    first_begin[call.process] = call.begin;
  }
}

void History::note_directories() {
  directories_[tap::kRootInode] = "";
  for (const tap::BaseEntry& entry : trace_.base) {
    if (entry.directory) {
      directories_.emplace(entry.inode, entry.path);
    }
  }
  for (const TraceRecord& call : records()) {
    if (call.call == StorageCall::mkdir) {
      directories_.emplace(call.inode, path_of(call.dir, call.name));
    }
  }
}

std::string History::path_of(InodeId dir, std::string_view name) const {
  const auto found = directories_.find(dir);
  const std::string parent = found == directories_.end() ? "?" : found->second;
  if (parent.size() > PATH_MAX) {
    return fmt::format("?/{}", name);  // it cannot be there
  }
  return parent.empty() ? std::string(name) : fmt::format("{}/{}", parent, name);
}

const std::vector<OpId>& History::content_ops(InodeId inode) const {
  return find_or_empty(content_ops_, inode);
}

const std::vector<OpId>& History::page_ops(InodeId inode, std::uint64_t page) const {
  return find_or_empty(page_ops_, std::pair(inode, page));
}

const tap::TraceIndexes& History::indexes_at(std::size_t cut) const {
  return cut < records().size() ? records()[cut].indexes : trace_.last;
}

std::string describe(const History& history, OpId id) {
  const MicroOp& op = history.ops()[id];
  const TraceRecord& call = history.record_of(id);
  std::string what;
  switch (op.kind) {
    case OpKind::write:
      what = fmt::format("write of bytes {}..{} of {}", op.begin, op.end - 1, call.path);
      break;
    case OpKind::size:
      what = fmt::format("size {} -> {} of {}", op.old_size, op.new_size, call.path);
      break;
    case OpKind::zero:
      what = fmt::format("zeroing of bytes {}..{} of {}", op.begin, op.end - 1, call.path);
      break;
    case OpKind::bind:
    case OpKind::unbind:
      what = call.call == StorageCall::rename
                 ? fmt::format("rename {} -> {}", history.path_of(call.from_dir, call.from_name),
                               history.path_of(call.dir, call.name))
                 : fmt::format("{} of {}", to_string(call.call), history.path_of(op.dir, op.name));
      break;
  }
  return fmt::format("{} ({}, record {})", what, call.file_class, op.record);
}

std::string describe_call(const History& history, std::size_t record) {
  const TraceRecord& call = history.records()[record];
  return fmt::format("{} of {} (record {})", to_string(call.call), call.path.empty() ? "." : call.path,
                     record);
}

}  // namespace chaosgate::disk
