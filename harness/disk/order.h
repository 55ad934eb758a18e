// Order is the set of rules that one profile lays on one history: which operations are durable at a cut, and
// which cannot be on the disk without which others. An image is legal when it follows them.
//
// What makes what durable:
//   fsync of a file        its writes, zeroings and sizes; its name only if fsync_persists_name
//   fdatasync of a file    the same without the name
//   fsync, fdatasync of a directory   the names in it; nothing of the children
//   O_SYNC, O_DSYNC, RWF_*SYNC write  that write and the size that it needs
//   sync, syncfs           everything
// A sync covers only what had returned before it began. One in which the worker died goes on in the kernel,
// which waits for the disk in a way that no signal ends (fsync and O_SYNC writes of ext4, XFS and Btrfs; not
// of NFS): a cut may come before its end, but not after the next worker's first call. One that failed covers
// nothing either, and the pages that it should have written are clean but volatile from then on (*stranded*):
// a later sync does not write them unless they are written to again, and nothing in the order waits for them
// any more (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
//
// What holds under every profile:
//   - a page, or each tearing unit of it, holds one of its versions; so do the size of a file and a name
//   - what is written behind the end of a truncated file is there only if the truncation is
//   - whatever a durable operation needs is durable with it
//   - a directory that is not reachable hides its files; a file with no name is gone (see Imager)
// The flags of Profile add the rest. Immutable after construction, so it may be shared between threads; the
// history must outlive it.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/status.h"
#include "harness/disk/image_spec.h"
#include "harness/disk/micro_op.h"
#include "harness/disk/profile.h"

namespace chaosgate::disk {

class Order {
 public:
  Order(const History& history, Profile profile);

  const History& history() const { return history_; }
  const Profile& profile() const { return profile_; }

  bool is_durable(OpId op, std::uint64_t cut) const { return durable_from_[op] <= cut; }
  // The operations that may be missing at the cut, in order.
  std::vector<OpId> pending(std::uint64_t cut) const;

  // Ok when the image is legal; else invalid_argument, naming the rule and the operations.
  Status check(const ImageSpec& spec) const;

  // Drops also what cannot be there without what is dropped or torn already. The result is legal if nothing
  // that is dropped or torn was durable, the tears have a unit that the profile allows, and so has the fill.
  // REQUIRES: fits(spec).
  void close_by_dropping(ImageSpec* spec) const;
  // The image at the cut with nothing pending but `kept` and what that needs. REQUIRES: kept lies before it.
  ImageSpec keep_only(std::uint64_t cut, std::span<const OpId> kept) const;

  // The unit in which this write may tear; kPageBytes when it may not.
  std::uint64_t tearing_unit(OpId op) const;

 private:
  // A node is an operation, or behind those a record, which stands for all its operations together.
  using Node = std::uint32_t;
  struct Progress;  // while the rules are laid down: what came last

  Node record_node(std::uint32_t record) const { return static_cast<Node>(history_.ops().size() + record); }
  bool is_op(Node node) const { return node < history_.ops().size(); }

  void lay_rules();
  void order_record(std::uint32_t record, Progress* progress);
  void order_name(OpId op, Progress* progress);
  void order_size(OpId op, Progress* progress);
  void order_data(OpId op, const Progress& progress);
  void order_versions(OpId op);
  void wait_for_content(OpId rename);
  void need(OpId op, OpId needed);
  void need_record(OpId op, std::optional<std::uint32_t> record);
  bool appends(OpId op) const;

  void run_syncs();
  void run_sync(std::uint32_t record, std::uint32_t cut);
  void strand(std::uint32_t sync);
  void cover_content(std::uint32_t sync, std::uint32_t cut, InodeId inode, bool sizes);
  void cover_path(std::uint32_t sync, std::uint32_t cut, InodeId inode);
  void cover_names(std::uint32_t sync, std::uint32_t cut, std::optional<InodeId> dir);
  void make_durable(OpId op, std::uint32_t cut);
  bool covers(std::uint32_t sync, OpId op) const;
  bool is_stranded(OpId op, std::uint64_t cut) const { return stranded_from_[op] <= cut; }

  // Calls violation(later) for each op in the image that cannot be there because of what `lost` misses.
  template <typename Violation>
  void find_dependents(const SpecIndex& image, OpId lost, Violation violation) const;
  bool misses_version(const SpecIndex& image, OpId earlier, OpId later) const;
  Status check_tear(const SpecIndex& image, const Tear& tear) const;
  Status check_fill(const SpecIndex& image, OpId lost) const;

  static constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();

  const History& history_;
  const Profile profile_;
  std::vector<std::vector<Node>> needs_;         // by node: what it waits for
  std::vector<std::vector<Node>> needed_by_;     // the reverse
  std::vector<std::vector<OpId>> versions_;      // by op: earlier writes to the same units
  std::vector<std::vector<OpId>> versioned_by_;  // the reverse
  std::vector<std::uint32_t> durable_from_;      // by op, a cut
  std::vector<std::uint32_t> stranded_from_;     // by op, a cut
};

// One Order for each named profile.
class Ladder {
 public:
  explicit Ladder(const History& history);

  // The first of profile_names() under which the image is legal; nullopt when it is under none.
  std::optional<std::string> weakest_profile(const ImageSpec& spec) const;

 private:
  std::vector<Order> orders_;
};

}  // namespace chaosgate::disk
