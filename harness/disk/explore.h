// Explorer walks the legal disk images of one history under one profile, those that find most bugs first.
//
// Strategies, each over all cuts of the trace or over its *horizons*: the cuts right behind a sync, rename,
// unlink or acknowledgement (the flight recorder's synced or flushed index rose), and the end.
//   drop-all     only what is durable, at each horizon: finds missing syncs. Before all else at the few
//                acknowledgements that follow an injected error: whoever swallows one acknowledges what is
//                not durable. Else first where a flush was acknowledged
//   prefix       everything before the cut, at each cut: finds sequences that are not atomic
//   omit-one     everything but one pending call, at the first, second, fourth, ... and last horizon at which
//                it is pending. First those that a later sync of their own file left pending (a part of the
//                file, or a write through, was synced): whoever acknowledged then believed in more
//   keep-one     nothing pending but one call and what that needs, at the same horizons
//   class-split  one file class dropped, or kept alone; of two successive files of a class, the older one
//                dropped
//   tear         a part of one write: half, third, first or last sector (byte, where the profile tears in
//                bytes), both of these, every other page, nothing; the rest zeroes or garbage where the file
//                grew. Headers and log tails first
//   random       random legal sets, until a run of them brings nothing new
//   torn-then-more
//                a part of one write, and all that was written after it to the same file, up to each of the
//                next few writes: a reader that goes on behind damage finds whole records there. First those
//                with a horizon in between: a log that is not synced while others are
// A set that the profile's order forbids is closed by dropping (keep-one: by keeping) what it needs. Crashes
// during recovery are the caller's: it records a trace of the recovery and explores that.
//
// Strategies take turns in proportion to their weights, and each walks its places in an order drawn from the
// seed over the whole trace, so any budget sees a fair sample. An image seen before (by hash) is skipped,
// unless more had been acknowledged at its cut than at those before: then more is expected of the same bytes.
// Of omit-one, keep-one and tear, calls that look alike (file class, kind of call, size, distance to the last
// sync, ...) yield a few representatives only, and calls on files for people none. Everything skipped but
// those is counted. The same seed, history, profile and feedback give the same images. Not thread-safe;
// history, order and imager must outlive it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "harness/base/rng.h"
#include "harness/disk/image.h"
#include "harness/disk/order.h"

namespace chaosgate::disk {

enum class Strategy : std::uint8_t {
  drop_all,
  prefix,
  omit_one,
  keep_one,
  class_split,
  tear,
  random,
  torn_then_more
};
inline constexpr std::size_t kStrategyCount = static_cast<std::size_t>(Strategy::torn_then_more) + 1;

std::string_view to_string(Strategy strategy);

struct ExplorerOptions {
  std::uint32_t representatives_max = 3;  // of each group of calls that look alike
  std::array<std::uint32_t, kStrategyCount> weights = {4, 3, 3, 2,
                                                       2, 2, 1, 2};  // by Strategy; 0 leaves it out
  std::uint32_t random_misses_max = 200;  // random sets in a row without a new image before random gives up
};

struct Candidate {
  ImageSpec spec;
  std::uint64_t hash = 0;  // Imager::hash(spec)
  Strategy strategy = Strategy::drop_all;
  std::string description;  // one line
};

// What a recovery must bring back.
struct Acknowledged {
  std::uint64_t synced = 0;
  std::uint64_t flushed = 0;

  // Raises both to at least those of `other`; whether that changed one.
  bool raise(const Acknowledged& other) {
    const bool higher = other.synced > synced || other.flushed > flushed;
    synced = std::max(synced, other.synced);
    flushed = std::max(flushed, other.flushed);
    return higher;
  }
};

struct StrategyCounts {
  std::uint64_t yielded = 0;
  std::uint64_t duplicate = 0;  // the image had been yielded before
  std::uint64_t grouped = 0;    // enough calls that look alike had been tried
  std::uint64_t illegal = 0;    // the profile allows nothing of the kind
};

class Explorer {
 public:
  Explorer(const Order& order, Imager* imager, const Rng& rng, ExplorerOptions options = {});

  // nullopt when every strategy is exhausted; it stays so unless feedback() adds places.
  std::optional<Candidate> next();

  // Says whether recovery from this image did something new. If so, its neighbours come next: the cuts beside
  // it, and the calls beside those that it lost.
  void feedback(const ImageSpec& spec, bool novel);

  const StrategyCounts& counts(Strategy strategy) const {
    return counts_[static_cast<std::size_t>(strategy)];
  }
  // At most so many different images come from all strategies but random, feedback aside.
  std::uint64_t systematic_images_max() const { return systematic_images_max_; }

 private:
  // Where a strategy is to be applied.
  struct Place {
    std::uint32_t cut = 0;
    std::uint32_t record = 0;     // omit-one, keep-one, tear
    std::uint32_t variant = 0;    // tear: which part; class-split: which split
    std::string_view file_class;  // class-split
    InodeId inode = 0;            // class-split: the older file
    bool neighbour = false;       // asked for by feedback: not subject to grouping
  };

  std::deque<Place>& places(Strategy strategy) { return places_[static_cast<std::size_t>(strategy)]; }
  void find_horizons();
  void find_places(const Rng& rng);
  void find_calls(std::uint32_t record);
  void find_tears(std::uint32_t record);
  void find_tears_before_more();
  bool has_part(std::uint32_t record, std::uint32_t part) const;  // not both ends without a middle
  void find_splits(std::uint32_t cut);
  void add_neighbours(std::uint32_t cut, std::uint32_t record);

  std::optional<Strategy> take_turn();
  std::optional<Candidate> attempt(Strategy strategy, Place place);
  std::optional<ImageSpec> build(Strategy strategy, const Place& place);
  ImageSpec build_split(const Place& place) const;
  ImageSpec build_tear(const Place& place) const;
  ImageSpec build_random();
  std::vector<OpId> pending_of(std::uint32_t record, std::uint64_t cut) const;
  std::string group_of(Strategy strategy, const Place& place) const;
  std::string describe_place(Strategy strategy, const Place& place) const;

  const Order& order_;
  const History& history_;
  Imager& imager_;
  const ExplorerOptions options_;
  Rng random_;
  std::vector<std::uint32_t> horizons_;  // ascending
  // Of those, the first acknowledgements after an injected error that were not tried yet.
  std::deque<std::uint32_t> behind_errors_;
  std::vector<std::uint32_t> since_sync_;  // by record: calls since the last sync of its file
  std::vector<std::uint32_t> next_sync_;   // by record: the next sync of its file, or the number of records
  std::array<std::deque<Place>, kStrategyCount> places_;
  std::array<std::int64_t, kStrategyCount> credit_ = {};
  std::array<StrategyCounts, kStrategyCount> counts_ = {};
  std::map<std::string, std::uint32_t> group_sizes_;
  std::vector<Acknowledged> acknowledged_;                // by cut: the most that any worker had
  std::unordered_map<std::uint64_t, Acknowledged> seen_;  // by hash
  std::uint32_t random_misses_ = 0;
  std::uint64_t systematic_images_max_ = 0;
};

}  // namespace chaosgate::disk
