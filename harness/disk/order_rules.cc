// The part of Order that lays down what cannot be on the disk without what.

#include <algorithm>

#include "harness/disk/order.h"

namespace chaosgate::disk {

using tap::StorageCall;

// What came last, of each kind that a rule looks back to.
struct Order::Progress {
  std::optional<std::uint32_t> record;
  std::optional<std::uint32_t> directory_record;
  std::map<std::pair<InodeId, std::string_view>, OpId> name;
  std::map<InodeId, OpId> size;
  std::map<InodeId, std::vector<OpId>> shrinks;
  std::map<InodeId, std::uint32_t> append_record;
  std::map<InodeId, std::uint32_t> data_record;

  template <typename T>
  static std::optional<std::uint32_t> at(const std::map<InodeId, T>& map, InodeId inode) {
    const auto found = map.find(inode);
    return found == map.end() ? std::nullopt : std::optional<std::uint32_t>(found->second);
  }
};

void Order::lay_rules() {
  Progress progress;
  for (std::uint32_t record = 0; record < history_.records().size(); ++record) {
    if (!history_.group(record).empty()) {
      order_record(record, &progress);
    }
  }
}

void Order::order_record(std::uint32_t record, Progress* progress) {
  const OpRange group = history_.group(record);
  const MicroOp& first = history_.ops()[group.first];
  bool data = false;
  bool append = false;
  for (OpId op = group.first; op < group.last; ++op) {
    if (profile_.prefix) {
      need_record(op, progress->record);
    }
    switch (history_.ops()[op].kind) {
      case OpKind::bind:
      case OpKind::unbind:
        order_name(op, progress);
        break;
      case OpKind::size:
        order_size(op, progress);
        break;
      case OpKind::write:
      case OpKind::zero:
        order_data(op, *progress);
        data = true;
        break;
    }
    append = append || appends(op);
  }
  progress->record = record;
  if (first.is_name()) {
    progress->directory_record = record;
  }
  if (data) {
    progress->data_record[first.inode] = record;
  }
  if (append) {
    progress->append_record[first.inode] = record;
  }
}

void Order::order_name(OpId op, Progress* progress) {
  const MicroOp& self = history_.ops()[op];
  const OpRange group = history_.group(self.record);
  if (profile_.ordered_directories) {
    need_record(op, progress->directory_record);
  }
  if (profile_.atomic_rename) {
    for (OpId other = group.first; other < group.last; ++other) {
      if (other != op) {
        need(op, other);
      }
    }
  }
  const auto [last, is_first] = progress->name.emplace(std::pair(self.dir, self.name), op);
  if (!is_first) {
    need(op, last->second);
    last->second = op;
  }
  if (profile_.data_before_rename_over && self.kind == OpKind::bind && history_.record_of(op).replaced != 0) {
    wait_for_content(op);
  }
}

void Order::wait_for_content(OpId rename) {
  const MicroOp& self = history_.ops()[rename];
  std::optional<std::uint32_t> last;
  for (const OpId op : history_.content_ops(self.inode)) {
    const std::uint32_t record = history_.ops()[op].record;
    if (record < self.record && record != last) {
      need_record(rename, record);
      last = record;
    }
  }
}

// Whether the op is part of a write that made the file grow, and lies in what it grew by.
bool Order::appends(OpId op) const {
  const MicroOp& self = history_.ops()[op];
  const TraceRecord& call = history_.record_of(op);
  if (call.call != StorageCall::write || call.size_after <= call.size_before) {
    return false;
  }
  return self.kind == OpKind::size || self.end > call.size_before;
}

void Order::order_size(OpId op, Progress* progress) {
  const MicroOp& self = history_.ops()[op];
  if (const auto last = Progress::at(progress->size, self.inode)) {
    need(op, *last);
  }
  progress->size[self.inode] = op;
  if (self.new_size < self.old_size) {
    progress->shrinks[self.inode].push_back(op);
  }
  if (!appends(op)) {
    return;
  }
  if (profile_.ordered_appends) {
    need_record(op, Progress::at(progress->append_record, self.inode));
  }
  if (!profile_.bare_size_zero && !profile_.bare_size_garbage && !profile_.bare_size_hole) {
    const OpRange group = history_.group(self.record);
    for (OpId data = group.first; data < group.last; ++data) {
      if (data != op && appends(data)) {
        need(op, data);
      }
    }
  }
}

void Order::order_data(OpId op, const Progress& progress) {
  const MicroOp& self = history_.ops()[op];
  if (profile_.ordered_appends && appends(op)) {
    need_record(op, Progress::at(progress.append_record, self.inode));
  }
  if (profile_.overwrites == Overwrites::ordered) {
    need_record(op, Progress::at(progress.data_record, self.inode));
  }
  if (const auto shrinks = progress.shrinks.find(self.inode); shrinks != progress.shrinks.end()) {
    // The latest is enough: sizes follow each other.
    const auto last = std::find_if(shrinks->second.rbegin(), shrinks->second.rend(), [&](OpId shrink) {
      return history_.ops()[shrink].new_size < round_up(self.end, kPageBytes);
    });
    if (last != shrinks->second.rend()) {
      need(op, *last);
    }
  }
  order_versions(op);
}

// Links the op to the earlier writes whose bytes share a unit with it. Going back stops at one that reaches
// as far as this one: that is linked to the rest.
void Order::order_versions(OpId op) {
  const MicroOp& self = history_.ops()[op];
  const std::uint64_t unit = profile_.tearing == Tearing::last_op ? kPageBytes : tearing_unit(op);
  for (std::uint64_t page = self.begin / kPageBytes; page * kPageBytes < self.end; ++page) {
    const std::uint64_t begin = std::max(page * kPageBytes, round_down(self.begin, unit));
    const std::uint64_t end = std::min((page + 1) * kPageBytes, round_up(self.end, unit));
    const std::vector<OpId>& on_page = history_.page_ops(self.inode, page);
    auto at = std::lower_bound(on_page.begin(), on_page.end(), op);
    while (at != on_page.begin()) {
      const OpId earlier = *--at;
      const MicroOp& other = history_.ops()[earlier];
      if (other.begin < end && begin < other.end &&
          (versions_[op].empty() || versions_[op].back() != earlier)) {
        versions_[op].push_back(earlier);
        versioned_by_[earlier].push_back(op);
      }
      if (round_down(other.begin, unit) <= begin && end <= round_up(other.end, unit)) {
        break;
      }
    }
  }
}

void Order::need(OpId op, OpId needed) {
  needs_[op].push_back(needed);
  needed_by_[needed].push_back(op);
}

void Order::need_record(OpId op, std::optional<std::uint32_t> record) {
  if (!record) {
    return;
  }
  const Node node = record_node(*record);
  if (needs_[node].empty()) {
    const OpRange group = history_.group(*record);
    for (OpId member = group.first; member < group.last; ++member) {
      needs_[node].push_back(member);
      needed_by_[member].push_back(node);
    }
  }
  needs_[op].push_back(node);
  needed_by_[node].push_back(op);
}

std::uint64_t Order::tearing_unit(OpId op) const {
  const bool overwrites = history_.ops()[op].begin < history_.record_of(op).size_before;
  if (overwrites && profile_.overwrites == Overwrites::page_atomic) {
    return kPageBytes;
  }
  switch (profile_.tearing) {
    case Tearing::byte:
      return 1;
    case Tearing::sector:
    case Tearing::last_op:
      return kSectorBytes;
    case Tearing::none:
      break;
  }
  return kPageBytes;
}

}  // namespace chaosgate::disk
