#include "harness/tap/decider.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace chaosgate::tap {
namespace {

// How many bytes a short write counts; what goes past the page cache counts blocks. 0: it cannot be short.
std::uint64_t short_count(const TraceRecord& record, std::uint32_t permille) {
  if (record.call != StorageCall::write || record.requested <= 1) {
    return 0;
  }
  const std::uint64_t bytes = std::max<std::uint64_t>(record.requested * permille / 1000, 1);
  return record.direct ? bytes_to_page_border(record.offset, bytes) : bytes;
}

// What a file of this size takes of a disk that gives blocks.
std::uint64_t room_of(std::uint64_t size) { return (size + kPageBytes - 1) / kPageBytes * kPageBytes; }

// Can this fault happen to this call at all? Only such calls count as occurrences.
bool can_happen(const StorageFault& fault, const TraceRecord& record) {
  switch (fault.action) {
    case FaultAction::kill_inside:
      return bytes_of_pages(record, fault.pages) != 0;
    case FaultAction::short_count:
      return short_count(record, fault.permille) != 0;
    case FaultAction::lost_sync:
      return record.call == StorageCall::sync || record.call == StorageCall::datasync;
    case FaultAction::error:
      return can_return(record.call, fault.error, record.system_call);
    default:
      return record.call != StorageCall::refused;
  }
}

bool matches(const CallSite& site, const TraceRecord& record) {
  const bool of_class =
      site.file_class == kAnyClass ? !record.informational : site.file_class == record.file_class;
  return of_class && (!site.call || *site.call == record.call) &&
         (site.phase.empty() || site.phase == record.phase);
}

}  // namespace

std::uint64_t bytes_of_pages(const TraceRecord& record, std::uint64_t pages) {
  if (record.call != StorageCall::write || record.direct) {
    return 0;
  }
  const std::uint64_t border = (record.offset / kPageBytes + pages) * kPageBytes;
  return border < record.offset + record.requested ? border - record.offset : 0;
}

Decider::Decider(std::vector<StorageFault> faults) : faults_(std::move(faults)), seen_(faults_.size(), 0) {}

Decision Decider::decide(const TraceRecord& record) {
  Decision first;
  for (std::size_t i = 0; i < faults_.size(); ++i) {
    const StorageFault& fault = faults_[i];
    if (fault.action == FaultAction::full) {
      if (const std::optional<Decision> full = out_of_room(i, record); full && !first.fault) {
        first = *full;
      }
      continue;
    }
    if (!matches(fault.site, record) || !can_happen(fault, record)) {
      continue;
    }
    const std::uint64_t nth = ++seen_[i];
    const bool due = nth >= fault.site.occurrence && nth - fault.site.occurrence < fault.site.times;
    // A kill wins over an error at the same call.
    if (due && (!first.fault || (fault.is_kill() && !faults_[*first.fault].is_kill()))) {
      first = apply(i, record);
    }
  }
  return first;
}

Decision Decider::apply(std::size_t index, const TraceRecord& record) {
  const StorageFault& fault = faults_[index];
  Decision decision;
  decision.fault = index;
  decision.bytes = record.requested;
  switch (fault.action) {
    case FaultAction::kill_before:
      decision.act = Decision::Act::kill_before;
      break;
    case FaultAction::kill_after:
      decision.act = Decision::Act::kill_after;
      break;
    case FaultAction::kill_inside:
      decision.act = Decision::Act::kill_after;
      decision.bytes = bytes_of_pages(record, fault.pages);
      break;
    case FaultAction::short_count:
      decision.act = Decision::Act::cut_short;
      decision.bytes = short_count(record, fault.permille);
      break;
    case FaultAction::error:
      decision.act = Decision::Act::fail;
      decision.error = static_cast<int>(fault.error);
      break;
    case FaultAction::lost_sync:
      decision.act = Decision::Act::fail;
      decision.error = EIO;
      decision.loses_pages = true;
      break;
    case FaultAction::full:
      break;
  }
  return decision;
}

std::optional<Decision> Decider::out_of_room(std::size_t index, const TraceRecord& record) {
  const StorageFault& fault = faults_[index];
  const bool grows = record.call == StorageCall::write || record.call == StorageCall::allocate ||
                     record.call == StorageCall::create || record.call == StorageCall::mkdir;
  if (!grows || seen_[index] >= fault.refusals) {
    return std::nullopt;
  }
  const std::uint64_t end =
      record.call == StorageCall::write ? record.offset + record.requested : record.size_after;
  const std::uint64_t owned = room_of(record.size_before);
  const std::int64_t growth = end > owned ? static_cast<std::int64_t>(room_of(end) - owned) : 0;
  const std::int64_t room = static_cast<std::int64_t>(fault.bytes) - grown_;
  const bool names = record.call == StorageCall::create || record.call == StorageCall::mkdir;
  if (names ? room > 0 : growth <= room) {
    return std::nullopt;
  }
  Decision decision;
  decision.fault = index;
  // As a file system does: what the blocks take that are left is written and counted, the next call is
  // refused.
  const std::uint64_t blocks = static_cast<std::uint64_t>(std::max<std::int64_t>(room, 0)) / kPageBytes;
  const std::uint64_t end_max = owned + blocks * kPageBytes;
  if (record.call == StorageCall::write && end_max > record.offset) {
    decision.act = Decision::Act::cut_short;
    decision.bytes = end_max - record.offset;
    return decision;
  }
  ++seen_[index];
  decision.act = Decision::Act::fail;
  decision.error = ENOSPC;
  return decision;
}

void Decider::happened(const TraceRecord& record) {
  if (record.error == 0) {
    grown_ += static_cast<std::int64_t>(room_of(record.size_after)) -
              static_cast<std::int64_t>(room_of(record.size_before));
  }
}

bool Decider::needs_old_pages() const {
  return std::any_of(faults_.begin(), faults_.end(),
                     [](const StorageFault& fault) { return fault.action == FaultAction::lost_sync; });
}

}  // namespace chaosgate::tap
