#include "harness/disk/explore.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

namespace chaosgate::disk {
namespace {

using tap::StorageCall;

constexpr std::array<std::string_view, kStrategyCount> kNames = {
    "drop-all", "prefix", "omit-one", "keep-one", "class-split", "tear", "random", "torn-then-more"};

// Class-split variants.
enum Split : std::uint32_t { kDropClass, kKeepClass, kDropOlder };

// Tear variants: a part of the write, times a fill.
constexpr std::array<std::string_view, 7> kParts = {
    "the first half", "the first third", "the first", "the last", "every other page", "nothing", "both ends"};
enum Part : std::uint32_t { kHalf, kThird, kFirstUnit, kLastUnit, kOtherPages, kNothing, kBothEnds };

// The smallest unit that a write may tear in, sectors or bytes. Where it may not tear at all, a part in
// sectors is refused as illegal.
std::uint64_t unit_of_parts(const Profile& profile) {
  return profile.tearing == Tearing::byte ? 1 : kSectorBytes;
}

// The bytes that the part keeps of one micro-op of a write of [begin, end), when it tears in `unit` bytes:
// ascending ranges, none empty, none touching another.
std::vector<ByteRange> kept_by(std::uint32_t part, std::uint64_t begin, std::uint64_t end, std::uint64_t unit,
                               const MicroOp& op) {
  const std::uint64_t page = op.begin / kPageBytes;
  ByteRange kept{begin, begin};
  ByteRange more{end, end};
  switch (part) {
    case kHalf:
      kept.end = round_up(begin + (end - begin) / 2, unit);
      break;
    case kThird:
      kept.end = round_up(begin + (end - begin) / 3, unit);
      break;
    case kFirstUnit:
      kept.end = round_up(begin + 1, unit);
      break;
    case kLastUnit:
      kept = {round_down(end - 1, unit), end};
      break;
    case kOtherPages:
      kept.end = (page - begin / kPageBytes) % 2 == 0 ? end : begin;
      break;
    case kBothEnds:
      kept.end = round_up(begin + 1, unit);
      more.begin = std::max(round_down(end - 1, unit), kept.end);
      if (more.begin == kept.end) {
        kept.end = more.begin = end;
      }
      break;
    default:
      break;
  }
  std::vector<ByteRange> ranges;
  for (const ByteRange& range : {kept, more}) {
    const ByteRange inside{std::clamp(range.begin, op.begin, op.end),
                           std::clamp(range.end, op.begin, op.end)};
    if (inside.begin < inside.end) {
      ranges.push_back(inside);
    }
  }
  return ranges;
}

// Whether anything lies between the ends that kBothEnds keeps.
bool has_middle(const TraceRecord& write, std::uint64_t unit) {
  return write.length > 0 &&
         round_up(write.offset + 1, unit) < round_down(write.offset + write.length - 1, unit);
}

template <typename T>
void shuffle(std::deque<T>* items, Rng rng) {
  for (std::size_t i = items->size(); i > 1; --i) {
    std::swap((*items)[i - 1], (*items)[rng.below(i)]);
  }
}

bool is_sync(const TraceRecord& call) {
  return call.call == StorageCall::sync || call.call == StorageCall::datasync ||
         call.call == StorageCall::sync_all || call.write_through;
}

}  // namespace

std::string_view to_string(Strategy strategy) { return kNames.at(static_cast<std::size_t>(strategy)); }

Explorer::Explorer(const Order& order, Imager* imager, const Rng& rng, ExplorerOptions options)
    : order_(order),
      history_(order.history()),
      imager_(*imager),
      options_(options),
      random_(rng.fork("random")) {
  acknowledged_.resize(history_.records().size() + 1);
  for (std::size_t cut = 0; cut < acknowledged_.size(); ++cut) {  // each worker counts from 0
    const tap::TraceIndexes& seen = history_.indexes_at(cut);
    acknowledged_[cut] = cut == 0 ? Acknowledged{} : acknowledged_[cut - 1];
    acknowledged_[cut].raise({seen.synced, seen.flushed});
  }
  find_horizons();
  find_places(rng);
}

// ---- places ----

void Explorer::find_horizons() {
  constexpr std::uint32_t kBehindError = 2;  // of each kind
  std::uint32_t syncs_behind_error = 0;
  std::uint32_t flushes_behind_error = 0;
  std::map<InodeId, std::uint32_t> synced;
  for (std::uint32_t i = 0; i < history_.records().size(); ++i) {
    const TraceRecord& call = history_.records()[i];
    since_sync_.push_back(i - synced[call.inode]);
    if (is_sync(call)) {
      synced[call.inode] = i;
    }
    const tap::TraceIndexes& before = history_.indexes_at(i);
    const tap::TraceIndexes& after = history_.indexes_at(i + 1);
    const bool synced_more = before.synced != after.synced;
    const bool flushed_more = before.flushed != after.flushed;
    if (is_sync(call) || call.call == StorageCall::rename || call.call == StorageCall::unlink ||
        synced_more || flushed_more || i + 1 == history_.records().size()) {
      horizons_.push_back(i + 1);
    }
    if (call.injected && call.error != 0) {
      syncs_behind_error = flushes_behind_error = kBehindError;
    }
    if ((synced_more && syncs_behind_error > 0) || (flushed_more && flushes_behind_error > 0)) {
      behind_errors_.push_back(i + 1);
    }
    syncs_behind_error -= synced_more && syncs_behind_error > 0 ? 1 : 0;
    flushes_behind_error -= flushed_more && flushes_behind_error > 0 ? 1 : 0;
  }
  const auto count = static_cast<std::uint32_t>(history_.records().size());
  next_sync_.resize(count);
  std::map<InodeId, std::uint32_t> next;
  for (std::uint32_t i = count; i-- > 0;) {
    const TraceRecord& call = history_.records()[i];
    std::uint32_t& of_file = next.try_emplace(call.inode, count).first->second;
    next_sync_[i] = of_file;
    of_file = is_sync(call) ? i : of_file;
  }
}

void Explorer::find_places(const Rng& rng) {
  for (const std::uint32_t cut : horizons_) {
    places(Strategy::drop_all).push_back({.cut = cut});
    find_splits(cut);
  }
  for (std::uint32_t cut = 0; cut <= history_.records().size(); ++cut) {
    places(Strategy::prefix).push_back({.cut = cut});
  }
  for (std::uint32_t record = 0; record < history_.records().size(); ++record) {
    find_calls(record);
    find_tears(record);
  }
  find_tears_before_more();
  if (options_.weights[static_cast<std::size_t>(Strategy::drop_all)] == 0) {
    behind_errors_.clear();
  }
  for (std::size_t i = 0; i < kStrategyCount; ++i) {
    systematic_images_max_ += places_[i].size();
    shuffle(&places_[i], rng.fork(kNames[i]));
  }
  const auto put_first = [&](Strategy strategy, const auto& matters) {
    std::stable_partition(places(strategy).begin(), places(strategy).end(), matters);
  };
  put_first(Strategy::drop_all, [&](const Place& place) {  // a flush was acknowledged, which is seldom
    return acknowledged_[place.cut].flushed > acknowledged_[place.cut - 1].flushed;
  });
  put_first(Strategy::tear, [&](const Place& place) {  // headers, and tails that grow
    const TraceRecord& call = history_.records()[place.record];
    return call.offset < 2 * kPageBytes || call.size_after > call.size_before;
  });
  put_first(Strategy::omit_one, [&](const Place& place) {  // a later sync of its file left it pending
    return next_sync_[place.record] < place.cut;
  });
  put_first(Strategy::torn_then_more, [&](const Place& place) {  // a horizon in between
    return std::upper_bound(horizons_.begin(), horizons_.end(), place.record + 1) !=
           std::lower_bound(horizons_.begin(), horizons_.end(), place.cut);
  });
}

bool Explorer::has_part(std::uint32_t record, std::uint32_t part) const {
  return part != kBothEnds || has_middle(history_.records()[record], unit_of_parts(order_.profile()));
}

// The first, second, fourth, ... and last horizon at which something of the call is pending.
void Explorer::find_calls(std::uint32_t record) {
  if (history_.records()[record].informational) {
    return;
  }
  const auto first = std::upper_bound(horizons_.begin(), horizons_.end(), record);
  auto last = first;
  while (last != horizons_.end() && !pending_of(record, *last).empty()) {
    ++last;
  }
  const std::ptrdiff_t count = last - first;
  for (std::ptrdiff_t i = 1; i <= count; i = i < count ? std::min(2 * i, count) : count + 1) {
    places(Strategy::omit_one).push_back({.cut = first[i - 1], .record = record});
    places(Strategy::keep_one).push_back({.cut = first[i - 1], .record = record});
  }
}

void Explorer::find_tears(std::uint32_t record) {
  const TraceRecord& call = history_.records()[record];
  if (call.call != StorageCall::write || call.informational || pending_of(record, record + 1).empty()) {
    return;
  }
  const std::uint32_t fills = call.size_after > call.size_before ? 2 : 1;
  for (std::uint32_t variant = 0; variant < kParts.size() * fills; ++variant) {
    if (has_part(record, static_cast<std::uint32_t>(variant % kParts.size()))) {
      places(Strategy::tear).push_back({.cut = record + 1, .record = record, .variant = variant});
    }
  }
}

void Explorer::find_tears_before_more() {
  constexpr std::size_t kMore = 3;  // later writes
  std::map<InodeId, std::deque<std::uint32_t>> recent;
  for (std::uint32_t record = 0; record < history_.records().size(); ++record) {
    const TraceRecord& call = history_.records()[record];
    if (call.call != StorageCall::write || call.informational) {
      continue;
    }
    std::deque<std::uint32_t>& earlier = recent[call.inode];
    for (const std::uint32_t torn : earlier) {
      if (pending_of(torn, record + 1).empty()) {
        continue;
      }
      // The unit that it ends in is often that in which the next one begins, and then not lost alone.
      for (const std::uint32_t part : {kHalf, kFirstUnit, kLastUnit, kBothEnds, kNothing}) {
        if (has_part(torn, part)) {
          places(Strategy::torn_then_more).push_back({.cut = record + 1, .record = torn, .variant = part});
        }
      }
    }
    earlier.push_back(record);
    if (earlier.size() > kMore) {
      earlier.pop_front();
    }
  }
}

void Explorer::find_splits(std::uint32_t cut) {
  std::map<std::string_view, std::set<InodeId>> files;  // by class: those with pending content
  for (const OpId op : order_.pending(cut)) {
    std::set<InodeId>& of_class = files[history_.record_of(op).file_class];
    if (!history_.ops()[op].is_name()) {
      of_class.insert(history_.ops()[op].inode);
    }
  }
  for (const auto& [file_class, inodes] : files) {
    for (const std::uint32_t variant : {kDropClass, kKeepClass}) {
      places(Strategy::class_split).push_back({.cut = cut, .variant = variant, .file_class = file_class});
    }
    for (auto older = inodes.begin(); older != inodes.end() && std::next(older) != inodes.end(); ++older) {
      places(Strategy::class_split)
          .push_back({.cut = cut, .variant = kDropOlder, .file_class = file_class, .inode = *older});
    }
  }
}

void Explorer::feedback(const ImageSpec& spec, bool novel) {
  if (!novel) {
    return;
  }
  const auto cut = static_cast<std::uint32_t>(spec.cut);
  const auto records = static_cast<std::uint32_t>(history_.records().size());
  for (std::uint32_t near = cut > 0 ? cut - 1 : 0; near <= std::min(cut + 1, records); ++near) {
    places(Strategy::prefix).push_front({.cut = near, .neighbour = true});
    places(Strategy::drop_all).push_front({.cut = near, .neighbour = true});
  }
  if (!spec.dropped.empty()) {
    for (const OpId lost : {spec.dropped.front(), spec.dropped.back()}) {
      const std::uint32_t record = history_.ops()[lost].record;
      for (std::uint32_t near = record > 0 ? record - 1 : 0; near <= record + 1 && near < cut; ++near) {
        add_neighbours(cut, near);
      }
    }
  }
}

void Explorer::add_neighbours(std::uint32_t cut, std::uint32_t record) {
  for (const Strategy strategy : {Strategy::omit_one, Strategy::keep_one}) {
    places(strategy).push_front({.cut = cut, .record = record, .neighbour = true});
  }
}

// ---- turns ----

std::optional<Candidate> Explorer::next() {
  while (!behind_errors_.empty()) {
    const Place place{.cut = behind_errors_.front()};
    behind_errors_.pop_front();
    if (std::optional<Candidate> found = attempt(Strategy::drop_all, place)) {
      return found;
    }
  }
  while (const std::optional<Strategy> strategy = take_turn()) {
    Place place;
    if (*strategy != Strategy::random) {
      place = places(*strategy).front();
      places(*strategy).pop_front();
    }
    if (std::optional<Candidate> found = attempt(*strategy, place)) {
      return found;
    }
  }
  return std::nullopt;
}

// Smooth weighted round-robin over the strategies that have something left.
std::optional<Strategy> Explorer::take_turn() {
  std::optional<std::size_t> best;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < kStrategyCount; ++i) {
    const bool random = static_cast<Strategy>(i) == Strategy::random;
    const bool left = random ? random_misses_ < options_.random_misses_max : !places_[i].empty();
    if (!left || options_.weights[i] == 0) {
      continue;
    }
    credit_[i] += options_.weights[i];
    total += options_.weights[i];
    if (!best || credit_[i] > credit_[*best]) {
      best = i;
    }
  }
  if (!best) {
    return std::nullopt;
  }
  credit_[*best] -= total;
  return static_cast<Strategy>(*best);
}

std::optional<Candidate> Explorer::attempt(Strategy strategy, Place place) {
  StrategyCounts& counts = counts_[static_cast<std::size_t>(strategy)];
  const std::string group = place.neighbour ? "" : group_of(strategy, place);
  if (!group.empty() && group_sizes_[group] >= options_.representatives_max) {
    ++counts.grouped;
    return std::nullopt;
  }
  std::optional<ImageSpec> spec = build(strategy, place);
  if (!spec) {
    ++counts.illegal;
    return std::nullopt;
  }
  const std::uint64_t hash = imager_.hash(*spec);
  const Acknowledged& acknowledged = acknowledged_.at(spec->cut);
  const auto [seen, first] = seen_.try_emplace(hash, acknowledged);
  const bool is_new = first || seen->second.raise(acknowledged);
  if (strategy == Strategy::random) {
    random_misses_ = is_new ? 0 : random_misses_ + 1;
    place.cut = static_cast<std::uint32_t>(spec->cut);
  }
  if (!is_new) {
    ++counts.duplicate;
    return std::nullopt;
  }
  if (!group.empty()) {
    ++group_sizes_[group];
  }
  ++counts.yielded;
  return Candidate{std::move(*spec), hash, strategy, describe_place(strategy, place)};
}

// ---- images ----

std::vector<OpId> Explorer::pending_of(std::uint32_t record, std::uint64_t cut) const {
  std::vector<OpId> ops;
  const OpRange group = history_.group(record);
  for (OpId op = group.first; op < group.last; ++op) {
    if (!order_.is_durable(op, cut)) {
      ops.push_back(op);
    }
  }
  return ops;
}

// nullopt when the profile allows no such image.
std::optional<ImageSpec> Explorer::build(Strategy strategy, const Place& place) {
  ImageSpec spec{.cut = place.cut};
  switch (strategy) {
    case Strategy::drop_all:
      spec.dropped = order_.pending(place.cut);
      break;
    case Strategy::prefix:
      break;
    case Strategy::omit_one:
      spec.dropped = pending_of(place.record, place.cut);
      break;
    case Strategy::keep_one:
      spec = order_.keep_only(place.cut, pending_of(place.record, place.cut));
      break;
    case Strategy::class_split:
      spec = build_split(place);
      break;
    case Strategy::tear:
    case Strategy::torn_then_more:
      spec = build_tear(place);
      break;
    case Strategy::random:
      spec = build_random();
      break;
  }
  order_.close_by_dropping(&spec);
  return order_.check(spec).ok() ? std::optional(std::move(spec)) : std::nullopt;
}

ImageSpec Explorer::build_split(const Place& place) const {
  const std::vector<OpId> pending = order_.pending(place.cut);
  std::vector<OpId> chosen;
  for (const OpId op : pending) {
    const MicroOp& self = history_.ops()[op];
    const bool is_chosen = place.variant == kDropOlder
                               ? !self.is_name() && self.inode == place.inode
                               : history_.record_of(op).file_class == place.file_class;
    if (is_chosen) {
      chosen.push_back(op);
    }
  }
  if (place.variant == kKeepClass) {
    return order_.keep_only(place.cut, chosen);
  }
  return {.cut = place.cut, .dropped = std::move(chosen)};
}

ImageSpec Explorer::build_tear(const Place& place) const {
  ImageSpec spec{.cut = place.cut};
  spec.fill = place.variant >= kParts.size() ? Fill::garbage : Fill::zero;
  const TraceRecord& call = history_.records()[place.record];
  const std::uint64_t unit = unit_of_parts(order_.profile());
  for (const OpId id : pending_of(place.record, place.cut)) {
    const MicroOp& op = history_.ops()[id];
    if (op.kind != OpKind::write) {
      continue;
    }
    const auto part = static_cast<std::uint32_t>(place.variant % kParts.size());
    const std::vector<ByteRange> kept = kept_by(part, call.offset, call.offset + call.length, unit, op);
    if (kept.empty()) {
      spec.dropped.push_back(id);
    } else if (kept.front().begin != op.begin || kept.front().end != op.end) {
      const std::uint64_t page = round_down(op.begin, kPageBytes);
      Tear tear{id, {}};
      for (const ByteRange& range : kept) {
        tear.kept.push_back(
            {static_cast<std::uint16_t>(range.begin - page), static_cast<std::uint16_t>(range.end - page)});
      }
      spec.torn.push_back(std::move(tear));
    }
  }
  return spec;
}

ImageSpec Explorer::build_random() {
  ImageSpec spec{.cut = random_.below(history_.records().size() + 1)};
  const std::uint64_t lost_of_eight = std::array<std::uint64_t, 3>{1, 4, 7}[random_.below(3)];
  for (const OpId op : order_.pending(spec.cut)) {
    if (random_.chance(lost_of_eight, 8)) {
      spec.dropped.push_back(op);
    }
  }
  if (order_.profile().bare_size_garbage && random_.chance(1, 2)) {
    spec.fill = Fill::garbage;
  }
  return spec;
}

// ---- words ----

std::string Explorer::group_of(Strategy strategy, const Place& place) const {
  if (strategy != Strategy::omit_one && strategy != Strategy::keep_one && strategy != Strategy::tear &&
      strategy != Strategy::torn_then_more) {
    return "";
  }
  const TraceRecord& call = history_.records()[place.record];
  const TraceRecord& horizon = history_.records()[place.cut - 1];
  return fmt::format("{} {} {} {} {} {} {} {}", to_string(strategy), call.file_class, to_string(call.call),
                     std::bit_width(call.length), std::bit_width(since_sync_[place.record]), place.variant,
                     to_string(horizon.call), horizon.file_class);
}

std::string Explorer::describe_place(Strategy strategy, const Place& place) const {
  const auto call = [&](std::uint32_t record) { return describe_call(history_, record); };
  const std::string after = place.cut == 0 ? "at the start" : "after " + call(place.cut - 1);
  switch (strategy) {
    case Strategy::drop_all:
      return fmt::format("only what is durable, {}", after);
    case Strategy::prefix:
      return fmt::format("everything, {}", after);
    case Strategy::omit_one:
      return fmt::format("everything but {}, {}", call(place.record), after);
    case Strategy::keep_one:
      return fmt::format("nothing pending but {}, {}", call(place.record), after);
    case Strategy::class_split: {
      constexpr std::array<std::string_view, 3> kWhat = {"everything but class", "nothing pending but class",
                                                         "everything but the older file of class"};
      return fmt::format("{} {}, {}", kWhat[place.variant], place.file_class, after);
    }
    case Strategy::tear:
    case Strategy::torn_then_more: {
      const std::uint32_t part = place.variant % kParts.size();
      const bool unit = part == kFirstUnit || part == kLastUnit;
      const std::string_view name = unit_of_parts(order_.profile()) == 1 ? " byte" : " sector";
      const std::string kept =
          fmt::format("{}{} of {} is there", kParts[part], unit ? name : "", call(place.record));
      return strategy == Strategy::torn_then_more
                 ? fmt::format("{}, and what came later, {}", kept, after)
                 : fmt::format("{}, the rest {}", kept,
                               place.variant >= kParts.size() ? "garbage" : "old or zero");
    }
    case Strategy::random:
      return fmt::format("a random legal set, {}", after);
  }
  return "";
}

}  // namespace chaosgate::disk
