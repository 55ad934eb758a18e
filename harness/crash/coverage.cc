#include "harness/crash/coverage.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include "harness/crash/plan.h"
#include "harness/tap/decider.h"

namespace chaosgate::crash {
namespace {

constexpr std::array<std::string_view, 3> kPlaces = {"before", "after", "inside"};

bool ends_in_acknowledgement(std::string_view phase) {
  return phase == "flush" || phase == "apply" || phase == "log-append" || phase == "log-sync";
}

// Of `calls`, made in bursts: each call of a short burst as likely, and else an early one rather than a late
// one.
std::uint64_t draw_occurrence(std::uint64_t calls, std::uint64_t burst, const Rng& stream) {
  constexpr std::uint64_t kShortBurst = 8;
  burst = std::max<std::uint64_t>(burst, 1);
  const std::uint64_t bursts = std::max<std::uint64_t>(calls / burst, 1);
  const std::uint64_t before = stream.fork("error-burst").log_between(1, bursts) - 1;
  Rng within = stream.fork("error-occurrence");
  return before * burst + (burst <= kShortBurst ? within.between(1, burst) : within.log_between(1, burst));
}

// The `number`th error at such a call.
tap::StorageFault error_at(const Cell& cell, std::uint64_t occurrence, std::uint64_t number,
                           const Rng& stream) {
  tap::StorageFault fault;
  fault.action = tap::FaultAction::error;
  fault.site = {cell.file_class, cell.call, cell.phase, occurrence, 1};
  const bool is_sync = cell.call == tap::StorageCall::sync || cell.call == tap::StorageCall::datasync;
  const bool is_name = cell.call == tap::StorageCall::rename || cell.call == tap::StorageCall::unlink;
  if (is_sync && number % 3 != 2) {
    fault.action = tap::FaultAction::lost_sync;
    return fault;
  }
  fault.error = is_sync || is_name || number % 3 == 2 ? EIO : ENOSPC;
  // A disk that is full for a moment, for a while, and for long.
  Rng times = stream.fork("error-times");
  const std::size_t length = times.weighted({3, 3, 1});
  fault.site.times = length == 0 ? 1 : length == 1 ? times.between(2, 8) : kLastingErrors;
  return fault;
}

}  // namespace

std::string to_string(const Cell& cell) {
  return fmt::format("{} {}.{}/{}", kPlaces.at(static_cast<std::size_t>(cell.place)), cell.file_class,
                     tap::to_string(cell.call), cell.phase);
}

bool is_recovery_phase(std::string_view phase) {
  static const std::set<std::string_view> phases = {"open-log", "suffix-cut", "open-engine", "replay",
                                                    "checks"};
  return phases.contains(phase);
}

Cell cell_of(tap::FaultAction action, const tap::TraceRecord& record) {
  const Place place = action == tap::FaultAction::kill_before   ? Place::before
                      : action == tap::FaultAction::kill_inside ? Place::inside
                                                                : Place::after;
  return {place, record.file_class, record.call, record.phase};
}

void Coverage::saw(const std::vector<tap::TraceRecord>& records) {
  struct Seen {
    std::uint64_t calls = 0;
    std::uint64_t burst = 0;  // the most in one run of the phase
    bool of_engine = false;
    std::uint64_t run = 0;  // the last one with such a call
    std::uint64_t calls_of_run = 0;
  };
  std::map<Cell, Seen> counts;
  std::uint64_t run = 0;
  std::string_view phase;
  for (const tap::TraceRecord& record : records) {
    if (run == 0 || record.phase != phase) {
      ++run;
      phase = record.phase;
    }
    if (record.call == tap::StorageCall::refused || record.informational) {
      continue;
    }
    const bool of_engine = record.path == "engine" || record.path.starts_with("engine/");
    Cell cell{Place::before, record.file_class, record.call, record.phase};
    const auto count = [&] {
      Seen& seen = counts[cell];
      ++seen.calls;
      seen.calls_of_run = std::exchange(seen.run, run) == run ? seen.calls_of_run + 1 : 1;
      seen.burst = std::max(seen.burst, seen.calls_of_run);
      seen.of_engine = of_engine;
    };
    count();
    cell.place = Place::after;
    count();
    if (tap::bytes_of_pages(record, 1) != 0) {
      cell.place = Place::inside;
      count();
    }
  }
  for (const auto& [cell, seen] : counts) {
    const auto [at, added] = cells_.emplace(cell, Known{});
    at->second.calls = seen.calls;
    at->second.burst = std::max(at->second.burst, seen.burst);
    at->second.of_engine = seen.of_engine;
    if (added) {
      new_.push_back(to_string(cell));
    }
  }
}

void Coverage::hit(const Cell& cell) {
  const auto [at, added] = cells_.emplace(cell, Known{});
  if (added) {
    at->second.calls = 1;
    new_.push_back(to_string(cell));
  }
  ++at->second.hits;
}

std::optional<tap::StorageFault> Coverage::choose(std::uint64_t steer, bool recovery) {
  std::vector<std::pair<const Cell, Known>*> least;
  for (auto& entry : cells_) {
    if (is_recovery_phase(entry.first.phase) != recovery || entry.first.phase == "end") {
      continue;
    }
    if (!least.empty() && entry.second.hits < least.front()->second.hits) {
      least.clear();
    }
    if (least.empty() || entry.second.hits == least.front()->second.hits) {
      least.push_back(&entry);
    }
  }
  if (least.empty()) {
    return std::nullopt;
  }
  const Rng stream(steer);
  auto& [cell, known] = *least.at(stream.fork("cell").below(least.size()));
  ++known.hits;
  tap::StorageFault fault;
  fault.action = cell.place == Place::before  ? tap::FaultAction::kill_before
                 : cell.place == Place::after ? tap::FaultAction::kill_after
                                              : tap::FaultAction::kill_inside;
  fault.site = {cell.file_class, cell.call, cell.phase,
                stream.fork("occurrence").between(1, std::max<std::uint64_t>(known.calls, 1)), 1};
  return fault;
}

void Coverage::place(std::uint64_t steer, tap::StorageFault* error) const {
  if (error->action == tap::FaultAction::full || error->site.file_class != tap::kAnyClass) {
    return;
  }
  const auto fits = [&](const Cell& cell) {
    const bool of_kind = error->site.call ? cell.call == *error->site.call
                                          : cell.call == tap::StorageCall::sync ||
                                                cell.call == tap::StorageCall::datasync;  // lost-sync
    return cell.place == Place::before && of_kind && !is_recovery_phase(cell.phase) && cell.phase != "end";
  };
  std::vector<const std::pair<const Cell, Known>*> seen;
  for (const auto& entry : cells_) {
    if (fits(entry.first)) {
      seen.push_back(&entry);
    }
  }
  if (seen.empty()) {
    return;
  }
  const Rng stream(steer);
  const auto& [cell, known] = *seen.at(stream.fork("error-cell").below(seen.size()));
  error->site.file_class = cell.file_class;
  error->site.call = cell.call;
  error->site.phase = cell.phase;
  error->site.occurrence = draw_occurrence(known.calls, known.burst, stream);
}

std::optional<tap::StorageFault> Coverage::choose_error(std::uint64_t steer) {
  using tap::StorageCall;
  const auto weight = [](const Cell& cell) -> std::uint64_t {
    const std::uint64_t of_phase = ends_in_acknowledgement(cell.phase) ? 2 : 1;
    switch (cell.call) {
      case StorageCall::write:
      case StorageCall::sync:
      case StorageCall::datasync:
        return 3 * of_phase;
      case StorageCall::create:
      case StorageCall::rename:
      case StorageCall::unlink:
        return of_phase;
      default:
        return 0;
    }
  };
  const auto suits = [&](const Cell& cell) {
    return cell.place == Place::before && weight(cell) > 0 && !is_recovery_phase(cell.phase) &&
           cell.phase != "end";
  };
  const Rng stream(steer);
  const bool any_of_engine = std::any_of(cells_.begin(), cells_.end(), [&](const auto& entry) {
    return entry.second.of_engine && suits(entry.first);
  });
  const bool of_engine = any_of_engine && stream.fork("error-of-engine").chance(3, 4);
  std::vector<std::pair<const Cell, Known>*> least;
  double fewest = 0;
  for (auto& entry : cells_) {
    const auto& [cell, known] = entry;
    if (!suits(cell) || (any_of_engine && known.of_engine != of_engine)) {
      continue;
    }
    const double share = static_cast<double>(known.errors + 1) / static_cast<double>(weight(cell));
    if (least.empty() || share < fewest) {
      least.clear();
      fewest = share;
    }
    if (share == fewest) {
      least.push_back(&entry);
    }
  }
  if (least.empty()) {
    return std::nullopt;
  }
  auto& [cell, known] = *least.at(stream.fork("error-kind").below(least.size()));
  return error_at(cell, draw_occurrence(known.calls, known.burst, stream), known.errors++, stream);
}

std::vector<std::string> Coverage::take_new() { return std::exchange(new_, {}); }

}  // namespace chaosgate::crash
