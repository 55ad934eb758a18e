#include "oracle/invariant.h"

#include <fmt/format.h>

#include <array>
#include <iterator>

#include "harness/base/hash.h"

namespace chaosgate::oracle {
namespace {

constexpr std::array<std::string_view, kInvariantCount> kNames = {
    "log.acked",     "log.content",    "engine.opens", "index.not_ahead", "index.not_lost",
    "state.prefix",  "state.replayed", "state.stable", "state.writable",  "read.consistent",
    "replica.equal", "snapshot.whole", "error.honest", "space.bounded"};

std::string value_text(const std::optional<std::string>& value) {
  if (!value.has_value()) {
    return "absent";
  }
  constexpr std::size_t kShownMax = 24;
  const std::string_view all(*value);
  return fmt::format("{}{} ({} B, hash {:016x})", workloads::printable(all.substr(0, kShownMax)),
                     all.size() > kShownMax ? "..." : "", all.size(), hash64(all));
}

}  // namespace

std::string_view to_string(Invariant invariant) {
  const auto number = static_cast<std::size_t>(invariant);
  return number < kNames.size() ? kNames[number] : "unknown";
}

std::optional<Invariant> parse_invariant(std::string_view name) {
  for (std::size_t number = 0; number < kNames.size(); ++number) {
    if (kNames[number] == name) {
      return static_cast<Invariant>(number);
    }
  }
  return std::nullopt;
}

std::string describe(const Violation& violation) {
  std::string out = fmt::format("{}: {}", to_string(violation.invariant), violation.explanation);
  for (const KeyDifference& difference : violation.differences) {
    fmt::format_to(std::back_inserter(out), "\n  {}/{}\n    expected {}\n    found    {}",
                   to_string(difference.keyspace), workloads::printable(difference.key),
                   value_text(difference.expected), value_text(difference.actual));
  }
  if (violation.difference_count > violation.differences.size()) {
    fmt::format_to(std::back_inserter(out), "\n  and {} more",
                   violation.difference_count - violation.differences.size());
  }
  return out;
}

}  // namespace chaosgate::oracle
