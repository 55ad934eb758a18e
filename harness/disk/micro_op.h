// History is a trace of storage calls taken apart into micro-operations: the smallest changes that may reach
// the disk, or be lost, one by one.
//
//   write   bytes [begin, end) of one 4 KiB page of a file; may tear
//   size    the size of a file goes from old_size to new_size
//   zero    bytes [begin, end) of a file become zero (hole punched, range zeroed)
//   bind    `name` in `dir` now means `inode`
//   unbind  `name` in `dir` means nothing any more
//
// rename = {bind the target, unbind the source}; create, mkdir and link = bind; unlink and rmdir = unbind; a
// write = one write a page, and a size when the file grew; truncate = size; fallocate = size unless
// FALLOC_FL_KEEP_SIZE, and zero when it punches or zeroes. A call that failed changed nothing, but for the
// bytes of a write that it carried out. Micro-operations of one record are a *group*.
//
// A *cut* k is a power cut after records [0, k) were carried out and before record k began; cuts go from 0 to
// the number of records. Immutable after construction, so it may be shared between threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/base/page.h"
#include "harness/base/status.h"
#include "harness/tap/trace.h"

namespace chaosgate::disk {

using tap::InodeId;
using tap::TraceRecord;
using OpId = std::uint32_t;  // position in History::ops()

inline constexpr std::uint64_t kSectorBytes = 512;
inline constexpr std::uint64_t kTouchedPagesMax = 16'000'000;  // by the writes and zeroings of one trace

constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t unit) { return value / unit * unit; }
constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return round_down(value + unit - 1, unit);
}

enum class OpKind : std::uint8_t { write, size, zero, bind, unbind };

struct MicroOp {
  OpKind kind = OpKind::write;
  std::uint32_t record = 0;
  InodeId inode = 0;  // unbind: what the name meant
  InodeId dir = 0;    // bind, unbind
  std::string_view name;
  std::uint64_t begin = 0;  // write, zero: bytes of the file
  std::uint64_t end = 0;
  std::uint64_t old_size = 0;  // size
  std::uint64_t new_size = 0;

  bool is_data() const { return kind == OpKind::write || kind == OpKind::zero; }
  bool is_name() const { return kind == OpKind::bind || kind == OpKind::unbind; }
};

// Half-open interval of ops.
struct OpRange {
  OpId first = 0;
  OpId last = 0;

  bool empty() const { return first == last; }
};

class History {
 public:
  // not_supported for a call whose effect is not modelled (fallocate that moves data, a write whose payload
  // was not kept) and for more than kTouchedPagesMax, corruption for records out of order. *history is then
  // left alone.
  static Status create(tap::Trace trace, std::unique_ptr<const History>* history);

  History(const History&) = delete;
  History& operator=(const History&) = delete;

  const tap::Trace& trace() const { return trace_; }
  const std::vector<TraceRecord>& records() const { return trace_.records; }
  const TraceRecord& record_of(OpId op) const { return trace_.records[ops_[op].record]; }

  const std::vector<MicroOp>& ops() const { return ops_; }
  OpRange group(std::size_t record) const { return {first_op_[record], first_op_[record + 1]}; }
  // Those with an id below this had been carried out at the cut. REQUIRES: cut <= records().size(), here and
  // wherever a cut is asked for.
  OpId ops_before(std::size_t cut) const { return first_op_[cut]; }

  // The ops of one file or directory as an inode: write, size and zero, in order.
  const std::vector<OpId>& content_ops(InodeId inode) const;
  // The write and zero ops that touch a page, in order.
  const std::vector<OpId>& page_ops(InodeId inode, std::uint64_t page) const;

  // Whether `earlier` had returned before `later` began. A call in which its worker died counts as returned
  // when another worker makes its first call.
  bool returned_before(std::size_t earlier, std::size_t later) const {
    return returned_[earlier] < trace_.records[later].begin;
  }

  // The path that a name in a directory had, relative to the data directory; "?" for an unknown directory.
  std::string path_of(InodeId dir, std::string_view name) const;

  // What was known to be acknowledged at the cut.
  const tap::TraceIndexes& indexes_at(std::size_t cut) const;

 private:
  explicit History(tap::Trace trace) : trace_(std::move(trace)) {}

  Status expand();
  Status expand_record(std::uint32_t record);
  void add_write(std::uint32_t record);
  void add_size(std::uint32_t record);
  Status add_allocate(std::uint32_t record);
  void add_name(OpKind kind, std::uint32_t record, InodeId dir, std::string_view name);
  void add(MicroOp op);
  void note_returns();
  void note_directories();

  tap::Trace trace_;
  std::vector<MicroOp> ops_;
  std::vector<OpId> first_op_;           // by record, and one behind the last
  std::vector<std::uint64_t> returned_;  // by record
  std::uint64_t touched_pages_ = 0;      // by all of them together
  std::map<InodeId, std::vector<OpId>> content_ops_;
  std::map<std::pair<InodeId, std::uint64_t>, std::vector<OpId>> page_ops_;
  std::map<InodeId, std::string> directories_;  // the first path that each was seen under
};

// "write of bytes 4096..8191 of engine/MANIFEST-000005 (manifest, record 17)",
// "rename engine/CURRENT.dbtmp -> engine/CURRENT (current, record 19)".
std::string describe(const History& history, OpId op);
// "sync of engine/CURRENT (record 21)".
std::string describe_call(const History& history, std::size_t record);

}  // namespace chaosgate::disk
