#include "harness/disk/image_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

namespace chaosgate::disk {
namespace {

// "3-7,9" for {3, 4, 5, 6, 7, 9}.
std::string print_list(const std::vector<OpId>& ops) {
  std::string text;
  for (std::size_t i = 0; i < ops.size();) {
    std::size_t last = i;
    while (last + 1 < ops.size() && ops[last + 1] == ops[last] + 1) {
      ++last;
    }
    text += fmt::format("{}{}", text.empty() ? "" : ",", ops[i]);
    if (last > i) {
      text += fmt::format("-{}", ops[last]);
    }
    i = last + 1;
  }
  return text;
}

std::string print_tears(const std::vector<Tear>& tears) {
  std::string text;
  for (const Tear& tear : tears) {
    text += fmt::format("{}{}:", text.empty() ? "" : ";", tear.op);
    for (std::size_t i = 0; i < tear.kept.size(); ++i) {
      text += fmt::format("{}{}-{}", i == 0 ? "" : ",", tear.kept[i].begin, tear.kept[i].end);
    }
  }
  return text;
}

// Reads the printed form from the front.
class Scanner {
 public:
  explicit Scanner(std::string_view rest) : rest_(rest) {}

  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) {
      return false;
    }
    rest_.remove_prefix(token.size());
    return true;
  }
  template <typename T>
  bool number(T* value) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), *value);
    if (error != std::errc()) {
      return false;
    }
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

bool scan_list(Scanner* scan, std::vector<OpId>* ops) {
  constexpr OpId kOpsMax = 1U << 22;  // writes of 16 GiB; bounds what a short line can make us allocate
  do {
    OpId first = 0;
    if (!scan->number(&first)) {
      return false;
    }
    OpId last = first;
    if (scan->take("-") && !scan->number(&last)) {
      return false;
    }
    if (last < first || last >= kOpsMax || (!ops->empty() && first <= ops->back())) {
      return false;
    }
    const std::size_t before = ops->size();
    ops->resize(before + (last - first) + 1);
    std::iota(ops->begin() + static_cast<std::ptrdiff_t>(before), ops->end(), first);
  } while (scan->take(","));
  return true;
}

bool scan_tears(Scanner* scan, std::vector<Tear>* tears) {
  do {
    Tear tear;
    if (!scan->number(&tear.op) || !scan->take(":")) {
      return false;
    }
    do {
      PageRange range;
      if (!scan->number(&range.begin) || !scan->take("-") || !scan->number(&range.end)) {
        return false;
      }
      tear.kept.push_back(range);
    } while (scan->take(","));
    tears->push_back(std::move(tear));
  } while (scan->take(";"));
  return true;
}

bool scan_spec(Scanner* scan, ImageSpec* spec) {
  if (!scan->take("cut=") || !scan->number(&spec->cut)) {
    return false;
  }
  if (scan->take(" dropped=") && !scan_list(scan, &spec->dropped)) {
    return false;
  }
  if (scan->take(" torn=") && !scan_tears(scan, &spec->torn)) {
    return false;
  }
  if (scan->take(" fill=garbage")) {
    spec->fill = Fill::garbage;
  }
  return scan->done();
}

// What is wrong with a tear, or "".
std::string_view tear_fault(const MicroOp& op, const Tear& tear) {
  if (op.kind != OpKind::write) {
    return "is not a write";
  }
  if (tear.kept.empty()) {
    return "keeps nothing: drop it";
  }
  const std::uint64_t page = round_down(op.begin, kPageBytes);
  std::uint64_t kept = 0;
  std::uint64_t from = op.begin - page;
  for (const PageRange& range : tear.kept) {
    if (range.begin < from || range.end <= range.begin || page + range.end > op.end) {
      return "keeps bytes out of order or out of its range";
    }
    kept += range.end - range.begin;
    from = range.end + 1U;  // touching ranges are one range
  }
  return kept == op.end - op.begin ? "keeps everything: do not tear it" : "";
}

}  // namespace

bool ImageSpec::drops(OpId op) const { return std::binary_search(dropped.begin(), dropped.end(), op); }

const Tear* ImageSpec::tear_of(OpId op) const {
  const auto found =
      std::lower_bound(torn.begin(), torn.end(), op, [](const Tear& tear, OpId id) { return tear.op < id; });
  return found != torn.end() && found->op == op ? &*found : nullptr;
}

SpecIndex::SpecIndex(const History& history, const ImageSpec& spec)
    : spec_(&spec), state_(history.ops_before(spec.cut), State::kept) {
  for (const OpId op : spec.dropped) {
    state_[op] = State::dropped;
  }
  for (const Tear& tear : spec.torn) {
    state_[tear.op] = State::torn;
  }
}

std::vector<ByteRange> kept_bytes(const MicroOp& op, const Tear* tear) {
  if (tear == nullptr) {
    return {{op.begin, op.end}};
  }
  const std::uint64_t page = round_down(op.begin, kPageBytes);
  std::vector<ByteRange> kept;
  for (const PageRange& range : tear->kept) {
    kept.push_back({page + range.begin, page + range.end});
  }
  return kept;
}

std::vector<ByteRange> missing_bytes(const MicroOp& op, const Tear* tear) {
  if (tear == nullptr) {
    return {{op.begin, op.end}};
  }
  std::vector<ByteRange> missing;
  std::uint64_t from = op.begin;
  for (const ByteRange& kept : kept_bytes(op, tear)) {
    if (from < kept.begin) {
      missing.push_back({from, kept.begin});
    }
    from = kept.end;
  }
  if (from < op.end) {
    missing.push_back({from, op.end});
  }
  return missing;
}

std::string to_string(const ImageSpec& spec) {
  std::string text = fmt::format("cut={}", spec.cut);
  if (!spec.dropped.empty()) {
    text += fmt::format(" dropped={}", print_list(spec.dropped));
  }
  if (!spec.torn.empty()) {
    text += fmt::format(" torn={}", print_tears(spec.torn));
  }
  if (spec.fill == Fill::garbage) {
    text += " fill=garbage";
  }
  return text;
}

Status parse_spec(std::string_view text, ImageSpec* spec) {
  Scanner scan(text);
  ImageSpec parsed;
  if (!scan_spec(&scan, &parsed)) {
    return Status::invalid_argument(fmt::format("not the description of a disk image: \"{}\"", text));
  }
  *spec = std::move(parsed);
  return {};
}

Status fits(const History& history, const ImageSpec& spec) {
  if (spec.cut > history.records().size()) {
    return Status::invalid_argument(
        fmt::format("cut {} of a trace of {} records", spec.cut, history.records().size()));
  }
  const OpId end = history.ops_before(spec.cut);
  if (std::adjacent_find(spec.dropped.begin(), spec.dropped.end(), std::greater_equal<>()) !=
          spec.dropped.end() ||
      (!spec.dropped.empty() && spec.dropped.back() >= end)) {
    return Status::invalid_argument(
        fmt::format("dropped operations must ascend and lie before cut {}, so below {}", spec.cut, end));
  }
  for (std::size_t i = 0; i < spec.torn.size(); ++i) {
    const OpId op = spec.torn[i].op;
    if ((i > 0 && op <= spec.torn[i - 1].op) || op >= end || spec.drops(op)) {
      return Status::invalid_argument(
          fmt::format("torn operations must ascend, lie before cut {} and not be dropped", spec.cut));
    }
    if (const std::string_view fault = tear_fault(history.ops()[op], spec.torn[i]); !fault.empty()) {
      return Status::invalid_argument(fmt::format("torn operation {} {}", op, fault));
    }
  }
  return {};
}

}  // namespace chaosgate::disk
