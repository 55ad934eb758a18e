#include <algorithm>

#include "engines/conformance/differential.h"
#include "engines/conformance/store.h"
#include "harness/base/rng.h"

namespace chaosgate::engines {
namespace {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : rng_(Rng(seed).fork("differential")) {}

  Operation operation() {
    using Kind = Operation::Kind;
    static constexpr Kind kKinds[] = {Kind::write,    Kind::get,        Kind::walk,
                                      Kind::snapshot, Kind::flush,      Kind::compact,
                                      Kind::reopen,   Kind::checkpoint, Kind::integrity};
    Operation operation;
    operation.kind = kKinds[rng_.weighted({500, 300, 120, 30, 20, 8, 6, 4, 6})];
    operation.keyspace = keyspace();
    switch (operation.kind) {
      case Kind::write:
      case Kind::snapshot:
        for (std::uint64_t n = rng_.log_between(1, 40); n > 0; --n) {
          operation.edits.push_back(edit());
        }
        break;
      case Kind::get:
        operation.key = key();
        break;
      case Kind::walk:
        for (std::uint64_t n = rng_.between(1, 30); n > 0; --n) {
          operation.moves.push_back(move());
        }
        break;
      default:
        break;
    }
    return operation;
  }

 private:
  KeyspaceId keyspace() { return static_cast<KeyspaceId>(rng_.below(3)); }

  // Few enough keys to overwrite, and prefixes of each other.
  std::string key() {
    std::string key = std::to_string(rng_.below(rng_.chance(1, 2) ? 30 : 600));
    if (rng_.chance(1, 10)) {
      key.append(rng_.below(3), rng_.chance(1, 2) ? '\0' : '\xff');
    }
    return key;
  }

  Edit edit() {
    Edit edit;
    edit.keyspace = keyspace();
    edit.key = key();
    switch (rng_.weighted({70, 22, 8})) {
      case 0:
        rng_.append_bytes(&edit.value, rng_.chance(1, 10) ? 0 : rng_.log_between(1, 3000));
        break;
      case 1:
        edit.kind = WriteBatch::Kind::erase;
        break;
      default:
        edit.kind = WriteBatch::Kind::erase_range;
        edit.value = rng_.chance(1, 2) ? key() : edit.key + "5";
        if (edit.value < edit.key) {
          std::swap(edit.key, edit.value);
        }
    }
    return edit;
  }

  Move move() {
    using Kind = Move::Kind;
    static constexpr Kind kKinds[] = {Kind::first,         Kind::last, Kind::seek,
                                      Kind::seek_for_prev, Kind::next, Kind::prev};
    const Kind kind = kKinds[rng_.weighted({1, 1, 3, 3, 10, 10})];
    return {kind, key()};
  }

  Rng rng_;
};

std::string to_string(const Edit& edit) {
  switch (edit.kind) {
    case WriteBatch::Kind::put:
      return fmt::format("put {} \"{}\" {} bytes", edit.keyspace, printable(edit.key), edit.value.size());
    case WriteBatch::Kind::erase:
      return fmt::format("delete {} \"{}\"", edit.keyspace, printable(edit.key));
    case WriteBatch::Kind::erase_range:
      return fmt::format("delete-range {} \"{}\" \"{}\"", edit.keyspace, printable(edit.key),
                         printable(edit.value));
  }
  return "";
}

std::string to_string(const Move& move) {
  switch (move.kind) {
    case Move::Kind::first:
      return "seek-to-first";
    case Move::Kind::last:
      return "seek-to-last";
    case Move::Kind::seek:
      return fmt::format("seek \"{}\"", printable(move.target));
    case Move::Kind::seek_for_prev:
      return fmt::format("seek-for-prev \"{}\"", printable(move.target));
    case Move::Kind::next:
      return "next";
    case Move::Kind::prev:
      return "prev";
  }
  return "";
}

constexpr std::size_t kPartsShown = 8;        // of an operation
constexpr std::size_t kOperationsShown = 20;  // of a list

template <typename Part>
std::string list(const std::vector<Part>& parts) {
  std::string text;
  for (std::size_t i = 0; i < std::min(parts.size(), kPartsShown); ++i) {
    text += (text.empty() ? "" : ", ") + to_string(parts[i]);
  }
  return parts.size() <= kPartsShown ? text : text + fmt::format(" and {} more", parts.size() - kPartsShown);
}

// Leaves out runs of `list`'s elements, long ones first, as long as `fails` says that it still fails.
template <typename Element>
void leave_out(std::vector<Element>* list, const std::function<bool()>& fails) {
  for (std::size_t length = list->size(); length > 0; length /= 2) {
    for (std::size_t at = 0; at < list->size();) {
      const std::vector<Element> before = *list;
      const auto begin = list->begin() + static_cast<std::ptrdiff_t>(at);
      list->erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(length, list->size() - at)));
      if (!fails()) {
        *list = before;
        at += length;
      }
    }
  }
}

}  // namespace

std::string to_string(const Operation& operation) {
  using Kind = Operation::Kind;
  switch (operation.kind) {
    case Kind::write:
      return "write " + list(operation.edits);
    case Kind::get:
      return fmt::format("get {} \"{}\"", operation.keyspace, printable(operation.key));
    case Kind::walk:
      return fmt::format("iterate {} {}", operation.keyspace, list(operation.moves));
    case Kind::snapshot:
      return fmt::format("snapshot of {}, then write {}", operation.keyspace, list(operation.edits));
    case Kind::flush:
      return "flush";
    case Kind::compact:
      return "compact";
    case Kind::reopen:
      return "reopen";
    case Kind::checkpoint:
      return "checkpoint";
    case Kind::integrity:
      return "check-integrity";
  }
  return "";
}

std::vector<Operation> draw_operations(std::uint64_t seed, std::size_t count) {
  Draw draw(seed);
  std::vector<Operation> operations;
  for (std::size_t i = 0; i < count; ++i) {
    operations.push_back(draw.operation());
  }
  return operations;
}

std::vector<Operation> shrink_list(std::vector<Operation> operations, const Fails& fails,
                                   std::size_t tries_max) {
  std::size_t tries = 0;
  leave_out<Operation>(&operations, [&] { return tries++ < tries_max && fails(operations); });
  return operations;
}

std::vector<Operation> shrink_inside(std::vector<Operation> operations, const Fails& fails,
                                     std::size_t tries_max) {
  std::size_t tries = 0;
  const auto still_fails = [&] { return tries++ < tries_max && fails(operations); };
  for (auto at = operations.rbegin(); at != operations.rend() && tries < tries_max; ++at) {
    leave_out<Edit>(&at->edits, still_fails);
    leave_out<Move>(&at->moves, still_fails);
  }
  return operations;
}

std::string show(const std::vector<Operation>& operations) {
  const std::size_t hidden = operations.size() - std::min(operations.size(), kOperationsShown);
  std::string text = hidden == 0 ? "" : fmt::format("\n    {} more, and then", hidden);
  for (std::size_t i = hidden; i < operations.size(); ++i) {
    text += "\n    " + to_string(operations[i]);
  }
  return text;
}

}  // namespace chaosgate::engines
