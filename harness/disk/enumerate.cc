#include "harness/disk/enumerate.h"

#include <algorithm>
#include <set>

#include "harness/base/check.h"

namespace chaosgate::disk {
namespace {

constexpr std::size_t kCombinationsMax = std::size_t{1} << 22;

// Every way in which a part of the write may be kept: neither nothing nor all of it.
std::vector<Tear> all_tears(const Order& order, OpId id) {
  const MicroOp& op = order.history().ops()[id];
  const std::uint64_t unit = order.tearing_unit(id);
  if (op.kind != OpKind::write || unit == kPageBytes) {
    return {};
  }
  const std::uint64_t first = op.begin / unit;
  const std::uint64_t units = (op.end - 1) / unit - first + 1;
  CHECK(units < 22, "a write of {} tearing units has too many tears", units);
  std::vector<Tear> tears;
  const std::uint64_t page = round_down(op.begin, kPageBytes);
  for (std::uint64_t mask = 1; mask + 1 < std::uint64_t{1} << units; ++mask) {
    Tear tear{.op = id};
    for (std::uint64_t i = 0; i < units; ++i) {
      if ((mask >> i & 1) == 0) {
        continue;
      }
      const auto begin = static_cast<std::uint16_t>(std::max(op.begin, (first + i) * unit) - page);
      const auto end = static_cast<std::uint16_t>(std::min(op.end, (first + i + 1) * unit) - page);
      if (!tear.kept.empty() && tear.kept.back().end == begin) {
        tear.kept.back().end = end;
      } else {
        tear.kept.push_back({begin, end});
      }
    }
    tears.push_back(std::move(tear));
  }
  return tears;
}

class Enumeration {
 public:
  Enumeration(const Order& order, Imager* imager, std::uint64_t cut)
      : order_(order), imager_(*imager), pending_(order.pending(cut)) {
    spec_.cut = cut;
    std::size_t combinations = 2;
    for (const OpId op : pending_) {
      tears_.push_back(all_tears(order, op));
      combinations *= tears_.back().size() + 2;
      CHECK(combinations <= kCombinationsMax, "too many combinations of {} operations", pending_.size());
    }
  }

  std::vector<ImageSpec> run() {
    decide(0);
    return std::move(found_);
  }

 private:
  void decide(std::size_t at) {
    if (at == pending_.size()) {
      judge();
      return;
    }
    decide(at + 1);
    spec_.dropped.push_back(pending_[at]);
    decide(at + 1);
    spec_.dropped.pop_back();
    for (const Tear& tear : tears_[at]) {
      spec_.torn.push_back(tear);
      decide(at + 1);
      spec_.torn.pop_back();
    }
  }

  void judge() {
    for (const Fill fill : {Fill::zero, Fill::garbage}) {
      spec_.fill = fill;
      if (order_.check(spec_).ok() && seen_.insert(imager_.hash(spec_)).second) {
        found_.push_back(spec_);
      }
    }
  }

  const Order& order_;
  Imager& imager_;
  const std::vector<OpId> pending_;
  std::vector<std::vector<Tear>> tears_;  // by position in pending_
  ImageSpec spec_;
  std::set<std::uint64_t> seen_;
  std::vector<ImageSpec> found_;
};

}  // namespace

std::vector<ImageSpec> enumerate_all(const Order& order, Imager* imager, std::uint64_t cut) {
  return Enumeration(order, imager, cut).run();
}

}  // namespace chaosgate::disk
