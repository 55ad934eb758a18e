#include "harness/disk/minimize.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

namespace chaosgate::disk {
namespace {

using Element = std::vector<OpId>;  // what is put back together

class Minimizer {
 public:
  Minimizer(const Order& order, const ImageSpec& failing, const std::function<bool(const ImageSpec&)>& fails,
            MinimizeOptions options)
      : order_(order), fails_(fails), options_(options), best_(failing) {}

  Minimized run() {
    if (!accept({.cut = best_.cut})) {
      reduce([&](OpId op) { return order_.history().ops()[op].record; });
      reduce([](OpId op) { return op; });
    }
    if (best_.fill == Fill::garbage) {
      ImageSpec zero = best_;
      zero.fill = Fill::zero;
      accept(zero);
    }
    if (move_cut()) {
      reduce([](OpId op) { return op; });
    }
    return {best_, tests_, !out_of_tests_};
  }

 private:
  // Takes the spec as the new best if it is legal and fails.
  bool accept(const ImageSpec& spec) {
    if (spec == best_ || !order_.check(spec).ok()) {
      return false;
    }
    const auto known = verdicts_.find(to_string(spec));
    bool failed = known != verdicts_.end() && known->second;
    if (known == verdicts_.end()) {
      if (tests_ >= options_.tests_max) {
        out_of_tests_ = true;
        return false;
      }
      ++tests_;
      failed = verdicts_[to_string(spec)] = fails_(spec);
    }
    if (failed) {
      best_ = spec;
    }
    return failed;
  }

  template <typename KeyOf>
  std::vector<Element> elements(KeyOf key_of) const {
    std::map<std::uint32_t, Element> by_key;
    for (const OpId op : best_.dropped) {
      by_key[key_of(op)].push_back(op);
    }
    for (const Tear& tear : best_.torn) {
      by_key[key_of(tear.op)].push_back(tear.op);
    }
    std::vector<Element> all;
    for (auto& [key, element] : by_key) {
      all.push_back(std::move(element));
    }
    return all;
  }

  // Puts back runs of elements, halving the length of the run until single ones cannot be put back either.
  template <typename KeyOf>
  void reduce(KeyOf key_of) {
    std::size_t run = elements(key_of).size();
    while (run > 0 && !out_of_tests_) {
      bool progress = false;
      for (std::size_t at = 0; at < elements(key_of).size() && !out_of_tests_;) {
        if (put_back(elements(key_of), at, run)) {
          progress = true;
        } else {
          at += run;
        }
      }
      if (run == 1 && progress) {
        continue;
      }
      run = run == 1 ? 0 : (run + 1) / 2;
    }
  }

  bool put_back(const std::vector<Element>& all, std::size_t at, std::size_t run) {
    Element back;
    for (std::size_t i = at; i < std::min(all.size(), at + run); ++i) {
      back.insert(back.end(), all[i].begin(), all[i].end());
    }
    const auto is_back = [&](OpId op) { return std::find(back.begin(), back.end(), op) != back.end(); };
    ImageSpec next = best_;
    std::erase_if(next.dropped, is_back);
    std::erase_if(next.torn, [&](const Tear& tear) { return is_back(tear.op); });
    order_.close_by_dropping(&next);
    const bool smaller = next.dropped.size() + next.torn.size() < best_.dropped.size() + best_.torn.size();
    return smaller && accept(next);
  }

  // Bisects for an earlier cut that still fails; what was lost stays lost. Whether there was one.
  bool move_cut() {
    const std::uint64_t before = best_.cut;
    std::uint64_t low = 0;
    for (const OpId op : best_.dropped) {
      low = std::max<std::uint64_t>(low, order_.history().ops()[op].record + 1);
    }
    for (const Tear& tear : best_.torn) {
      low = std::max<std::uint64_t>(low, order_.history().ops()[tear.op].record + 1);
    }
    for (std::uint64_t high = best_.cut; low < high && !out_of_tests_;) {
      ImageSpec earlier = best_;
      earlier.cut = low + (high - low) / 2;
      if (accept(earlier)) {
        high = earlier.cut;
      } else {
        low = earlier.cut + 1;
      }
    }
    return best_.cut != before;
  }

  const Order& order_;
  const std::function<bool(const ImageSpec&)>& fails_;
  const MinimizeOptions options_;
  ImageSpec best_;
  std::map<std::string, bool> verdicts_;
  std::uint32_t tests_ = 0;
  bool out_of_tests_ = false;
};

// How much an operation that survived says: a rename makes things visible, an unlink takes the old ones away.
int weight(const History& history, OpId op) {
  if (history.record_of(op).informational) {
    return 0;  // nothing depends on it
  }
  if (!history.ops()[op].is_name()) {
    return 1;
  }
  switch (history.record_of(op).call) {
    case tap::StorageCall::rename:
      return 4;
    case tap::StorageCall::unlink:
      return 3;
    default:
      return 2;
  }
}

std::string describe_bytes(const Tear& tear) {
  std::string text;
  for (const PageRange& range : tear.kept) {
    text += fmt::format("{}{}..{}", text.empty() ? "" : ", ", range.begin, range.end - 1);
  }
  return text;
}

// A call of which something was lost: the first of its operations that was.
struct Loss {
  OpId op = 0;
  const Tear* tear = nullptr;  // of it, or null: all of it
};

std::vector<Loss> losses_of(const History& history, const ImageSpec& spec) {
  std::vector<Loss> all;
  for (const OpId op : spec.dropped) {
    all.push_back({op, nullptr});
  }
  for (const Tear& tear : spec.torn) {
    all.push_back({tear.op, &tear});
  }
  std::sort(all.begin(), all.end(), [](const Loss& a, const Loss& b) { return a.op < b.op; });
  const auto same_call = [&](const Loss& a, const Loss& b) {
    return history.ops()[a.op].record == history.ops()[b.op].record;
  };
  all.erase(std::unique(all.begin(), all.end(), same_call), all.end());
  return all;
}

// What came after the call of `lost` and is there, of a call that lost nothing: the weightiest, and of these
// the nearest.
std::optional<OpId> survivor_of(const History& history, const ImageSpec& spec,
                                const std::vector<Loss>& losses, OpId lost) {
  const auto is_lost = [&](OpId op) {
    return std::any_of(losses.begin(), losses.end(), [&](const Loss& loss) {
      return history.ops()[loss.op].record == history.ops()[op].record;
    });
  };
  std::optional<OpId> best;
  for (OpId op = history.group(history.ops()[lost].record).last; op < history.ops_before(spec.cut); ++op) {
    if (weight(history, op) > (best ? weight(history, *best) : 0) && !is_lost(op)) {
      best = op;
    }
  }
  return best;
}

// "A was lost", "A and B were lost", "A, B and 3 more were lost".
std::string describe(const History& history, const std::vector<Loss>& losses) {
  const auto torn = [](const Loss& loss) {
    return fmt::format("torn (only bytes {} of the page arrived)", describe_bytes(*loss.tear));
  };
  const Loss& first = losses.front();
  if (losses.size() == 1) {
    return fmt::format("{} was {}", describe(history, first.op),
                       first.tear != nullptr ? torn(first) : "lost");
  }
  constexpr std::size_t kNamed = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(losses.size(), kNamed); ++i) {
    const bool last = i + 1 == losses.size();
    text += i == 0 ? "" : last ? " and " : ", ";
    text += describe(history, losses[i].op) + (losses[i].tear != nullptr ? ", " + torn(losses[i]) + "," : "");
  }
  if (losses.size() > kNamed) {
    text += fmt::format(" and {} more", losses.size() - kNamed);
  }
  return text + " were lost";
}

}  // namespace

Minimized minimize(const Order& order, const ImageSpec& failing,
                   const std::function<bool(const ImageSpec&)>& fails, MinimizeOptions options) {
  return Minimizer(order, failing, fails, options).run();
}

std::string explain(const History& history, const ImageSpec& spec) {
  if (spec.dropped.empty() && spec.torn.empty()) {
    if (spec.cut == 0) {
      return "nothing was carried out, and nothing was lost";
    }
    return fmt::format("nothing was lost: the power failed after {}, and what follows it had not begun",
                       describe_call(history, spec.cut - 1));
  }
  const std::vector<Loss> losses = losses_of(history, spec);
  const OpId lost = losses.front().op;
  const std::string what = describe(history, losses);
  std::optional<OpId> survivor = survivor_of(history, spec, losses, losses.back().op);
  survivor = survivor ? survivor : survivor_of(history, spec, losses, lost);
  if (survivor) {
    return fmt::format("{} while {} survived", what, describe(history, *survivor));
  }
  const tap::TraceIndexes& before = history.record_of(lost).indexes;
  const tap::TraceIndexes& known = history.indexes_at(spec.cut);
  if (known.synced > before.synced) {
    return fmt::format("{}: it was acknowledged (synced index {}) but not durable", what, known.synced);
  }
  if (known.flushed > before.flushed) {
    return fmt::format("{}: the flush had returned (flushed index {}) but it was not durable", what,
                       known.flushed);
  }
  return what + ": nothing that came later survived either";
}

}  // namespace chaosgate::disk
