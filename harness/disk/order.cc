#include "harness/disk/order.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/base/check.h"

namespace chaosgate::disk {
namespace {

using tap::StorageCall;

}  // namespace

Order::Order(const History& history, Profile profile) : history_(history), profile_(std::move(profile)) {
  const std::size_t ops = history.ops().size();
  needs_.resize(ops + history.records().size());
  needed_by_.resize(needs_.size());
  versions_.resize(ops);
  versioned_by_.resize(ops);
  durable_from_.assign(ops, kNever);
  stranded_from_.assign(ops, kNever);
  lay_rules();
  run_syncs();
}

// ---- durability ----

void Order::run_syncs() {
  std::vector<std::uint32_t> unfinished;  // the worker died in them
  for (std::uint32_t record = 0; record < history_.records().size(); ++record) {
    const TraceRecord& call = history_.records()[record];
    std::erase_if(unfinished, [&](std::uint32_t earlier) {
      const bool finished = history_.returned_before(earlier, record);
      if (finished) {
        run_sync(earlier, record + 1);
      }
      return finished;
    });
    if (call.error != 0) {
      strand(record);
    } else if (call.end != UINT64_MAX) {
      run_sync(record, record + 1);
    } else {
      unfinished.push_back(record);
    }
  }
}

void Order::run_sync(std::uint32_t record, std::uint32_t cut) {
  const TraceRecord& call = history_.records()[record];
  switch (call.call) {
    case StorageCall::sync:
    case StorageCall::datasync: {
      const bool full = call.call == StorageCall::sync;
      if (call.is_directory) {
        cover_names(record, cut, call.inode);
      } else {
        cover_content(record, cut, call.inode, full || !profile_.fdatasync_drops_size);
      }
      if (full && !call.is_directory && profile_.fsync_persists_name) {
        cover_path(record, cut, call.inode);
      }
      if (full && profile_.fsync_commits_directories) {
        cover_names(record, cut, std::nullopt);
      }
      break;
    }
    case StorageCall::sync_all: {
      std::set<InodeId> inodes;
      for (OpId op = 0; op < history_.ops_before(record); ++op) {
        inodes.insert(history_.ops()[op].inode);
      }
      for (const InodeId inode : inodes) {
        cover_content(record, cut, inode, true);
      }
      cover_names(record, cut, std::nullopt);
      break;
    }
    case StorageCall::write:
      for (OpId op = history_.group(record).first; call.write_through && op < history_.group(record).last;
           ++op) {
        make_durable(op, cut);
      }
      break;
    default:
      break;
  }
}

void Order::strand(std::uint32_t sync) {
  const TraceRecord& call = history_.records()[sync];
  if (call.call != StorageCall::sync && call.call != StorageCall::datasync) {
    return;
  }
  for (const OpId op : history_.content_ops(call.inode)) {
    const MicroOp& self = history_.ops()[op];
    if (self.kind == OpKind::write && self.record < sync && durable_from_[op] == kNever) {
      stranded_from_[op] = std::min(stranded_from_[op], sync + 1);
    }
  }
}

bool Order::covers(std::uint32_t sync, OpId op) const {
  const std::uint32_t record = history_.ops()[op].record;
  return record < sync && history_.returned_before(record, sync);
}

void Order::cover_content(std::uint32_t sync, std::uint32_t cut, InodeId inode, bool sizes) {
  // Latest first: a page written to again is dirty again, and with it everything older on it.
  std::set<std::uint64_t> dirty;
  const std::vector<OpId>& ops = history_.content_ops(inode);
  for (auto at = ops.rbegin(); at != ops.rend(); ++at) {
    const MicroOp& op = history_.ops()[*at];
    if (!covers(sync, *at)) {
      continue;
    }
    if (op.kind == OpKind::size) {
      if (sizes) {
        make_durable(*at, cut);
      }
      continue;
    }
    const std::uint64_t page = op.begin / kPageBytes;
    if (op.kind == OpKind::write && !is_stranded(*at, sync)) {
      dirty.insert(page);
    }
    if (!is_stranded(*at, sync) || dirty.contains(page)) {
      make_durable(*at, cut);
    }
  }
}

// The names that the file has now, and those of the directories above it.
void Order::cover_path(std::uint32_t sync, std::uint32_t cut, InodeId inode) {
  std::map<std::pair<InodeId, std::string_view>, OpId> current;
  for (OpId op = 0; op < history_.ops_before(sync); ++op) {
    if (history_.ops()[op].is_name()) {
      current[{history_.ops()[op].dir, history_.ops()[op].name}] = op;
    }
  }
  std::set<InodeId> seen = {inode};
  std::vector<InodeId> open = {inode};
  while (!open.empty()) {
    const InodeId child = open.back();
    open.pop_back();
    for (const auto& [where, op] : current) {
      if (history_.ops()[op].kind == OpKind::bind && history_.ops()[op].inode == child && covers(sync, op)) {
        make_durable(op, cut);
        if (seen.insert(where.first).second) {
          open.push_back(where.first);
        }
      }
    }
  }
}

void Order::cover_names(std::uint32_t sync, std::uint32_t cut, std::optional<InodeId> dir) {
  for (OpId op = 0; op < history_.ops_before(sync); ++op) {
    const MicroOp& self = history_.ops()[op];
    if (self.is_name() && (!dir || self.dir == *dir) && covers(sync, op)) {
      make_durable(op, cut);
    }
  }
}

void Order::make_durable(OpId op, std::uint32_t cut) {
  std::vector<Node> open;
  const auto reach = [&](OpId next) {
    if (durable_from_[next] == kNever) {
      durable_from_[next] = cut;
      open.push_back(next);
    }
  };
  reach(op);
  while (!open.empty()) {
    const OpId at = open.back();
    open.pop_back();
    for (const OpId older : versions_[at]) {
      reach(older);
    }
    for (const Node node : needs_[at]) {
      const std::vector<Node> self = {node};
      for (const Node needed : is_op(node) ? self : needs_[node]) {
        if (!is_stranded(needed, cut)) {
          reach(needed);
        }
      }
    }
  }
}

// ---- images ----

std::vector<OpId> Order::pending(std::uint64_t cut) const {
  std::vector<OpId> ops;
  for (OpId op = 0; op < history_.ops_before(cut); ++op) {
    if (!is_durable(op, cut)) {
      ops.push_back(op);
    }
  }
  return ops;
}

// Whether `later`, as far as it is in the image, sits on units of which `earlier` is not in it.
bool Order::misses_version(const SpecIndex& image, OpId earlier, OpId later) const {
  const MicroOp& old = history_.ops()[earlier];
  const Tear* tear = image.tear_of(later);
  const std::uint64_t unit =
      profile_.tearing == Tearing::last_op && tear == nullptr ? kPageBytes : tearing_unit(later);
  const std::vector<ByteRange> missing = missing_bytes(old, image.tear_of(earlier));
  for (const ByteRange& kept : kept_bytes(history_.ops()[later], tear)) {
    for (const ByteRange& hole : missing) {
      if (hole.begin < round_up(kept.end, unit) && round_down(kept.begin, unit) < hole.end) {
        return true;
      }
    }
  }
  return false;
}

template <typename Violation>
void Order::find_dependents(const SpecIndex& image, OpId lost, Violation violation) const {
  for (const OpId later : versioned_by_[lost]) {
    if (image.in_image(later) && misses_version(image, lost, later)) {
      violation(later);
    }
  }
  if (is_stranded(lost, image.spec().cut)) {
    return;
  }
  for (const Node node : needed_by_[lost]) {
    if (is_op(node)) {
      if (image.in_image(node)) {
        violation(node);
      }
      continue;
    }
    for (const OpId later : needed_by_[node]) {
      if (image.in_image(later)) {
        violation(later);
      }
    }
  }
}

void Order::close_by_dropping(ImageSpec* spec) const {
  SpecIndex image(history_, *spec);
  std::vector<OpId> open = spec->dropped;
  for (const Tear& tear : spec->torn) {
    open.push_back(tear.op);
  }
  while (!open.empty()) {
    const OpId lost = open.back();
    open.pop_back();
    find_dependents(image, lost, [&](OpId later) {
      image.drop(later);
      open.push_back(later);
    });
  }
  spec->dropped.clear();
  for (OpId op = 0; op < image.end(); ++op) {
    if (!image.in_image(op)) {
      spec->dropped.push_back(op);
    }
  }
  std::erase_if(spec->torn, [&](const Tear& tear) { return !image.in_image(tear.op); });
}

ImageSpec Order::keep_only(std::uint64_t cut, std::span<const OpId> kept) const {
  ImageSpec spec{.cut = cut};
  std::vector<bool> keeps(history_.ops_before(cut), false);
  std::vector<OpId> open;
  const auto reach = [&](OpId op) {
    if (!keeps[op]) {
      keeps[op] = true;
      open.push_back(op);
    }
  };
  for (const OpId op : kept) {
    CHECK(op < keeps.size());
    reach(op);
  }
  while (!open.empty()) {
    const OpId at = open.back();
    open.pop_back();
    for (const OpId older : versions_[at]) {
      reach(older);
    }
    for (const Node node : needs_[at]) {
      if (is_op(node)) {
        reach(node);
        continue;
      }
      for (const OpId member : needs_[node]) {
        reach(member);
      }
    }
  }
  for (const OpId op : pending(cut)) {
    if (!keeps[op]) {
      spec.dropped.push_back(op);
    }
  }
  return spec;
}

Status Order::check(const ImageSpec& spec) const {
  RETURN_IF_ERROR(fits(history_, spec));
  const SpecIndex image(history_, spec);
  std::vector<OpId> lost = spec.dropped;
  for (const Tear& tear : spec.torn) {
    RETURN_IF_ERROR(check_tear(image, tear));
    lost.push_back(tear.op);
  }
  for (const OpId op : lost) {
    if (is_durable(op, spec.cut)) {
      return Status::invalid_argument(
          fmt::format("{} was durable at cut {}", describe(history_, op), spec.cut));
    }
    std::optional<OpId> survivor;
    find_dependents(image, op, [&](OpId later) { survivor = later; });
    if (survivor) {
      return Status::invalid_argument(fmt::format("under {}, {} cannot be there without {}",
                                                  to_string(profile_), describe(history_, *survivor),
                                                  describe(history_, op)));
    }
    RETURN_IF_ERROR(check_fill(image, op));
  }
  return {};
}

Status Order::check_tear(const SpecIndex& image, const Tear& tear) const {
  const MicroOp& op = history_.ops()[tear.op];
  const std::uint64_t unit = tearing_unit(tear.op);
  for (const ByteRange& kept : kept_bytes(op, &tear)) {
    if ((kept.begin % unit != 0 && kept.begin != op.begin) || (kept.end % unit != 0 && kept.end != op.end)) {
      return Status::invalid_argument(fmt::format("under {}, {} cannot be torn within {} bytes",
                                                  to_string(profile_), describe(history_, tear.op), unit));
    }
  }
  if (profile_.tearing == Tearing::last_op) {
    for (OpId later = history_.group(op.record).last; later < image.end(); ++later) {
      if (image.in_image(later)) {
        return Status::invalid_argument(
            fmt::format("under {}, {} cannot be torn: it is not the last to survive", to_string(profile_),
                        describe(history_, tear.op)));
      }
    }
  }
  return {};
}

Status Order::check_fill(const SpecIndex& image, OpId lost) const {
  const MicroOp& op = history_.ops()[lost];
  const OpId size = history_.group(op.record).first;  // a write that grows the file has its size first
  if (op.kind != OpKind::write || !appends(lost) || !image.in_image(size) ||
      is_stranded(lost, image.spec().cut)) {
    return {};
  }
  if (missing_bytes(op, image.tear_of(lost)).back().end <= history_.ops()[size].old_size) {
    return {};
  }
  const bool zero = image.spec().fill == Fill::zero;
  if (zero ? profile_.bare_size_zero || profile_.bare_size_hole : profile_.bare_size_garbage) {
    return {};
  }
  return Status::invalid_argument(fmt::format("under {}, the bytes of {} cannot read as {}",
                                              to_string(profile_), describe(history_, lost),
                                              zero ? "zeroes" : "garbage"));
}

Ladder::Ladder(const History& history) {
  orders_.reserve(profile_names().size());
  for (const std::string& name : profile_names()) {
    orders_.emplace_back(history, named_profile(name));
  }
}

std::optional<std::string> Ladder::weakest_profile(const ImageSpec& spec) const {
  for (const Order& order : orders_) {
    if (order.check(spec).ok()) {
      return order.profile().base;
    }
  }
  return std::nullopt;
}

}  // namespace chaosgate::disk
