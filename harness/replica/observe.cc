#include "harness/replica/observe.h"

#include <fmt/format.h>

#include <vector>

#include "harness/base/coding.h"
#include "harness/base/rng.h"
#include "harness/replica/batch_state.h"

namespace chaosgate::replica {
namespace {

using workloads::Keyspace;
using workloads::ReadKind;
using workloads::SectionKind;

// A key of the keyspace, or one beside it that is probably absent; empty when the keyspace is.
std::string sample_target(engines::Iterator& iterator, Rng& rng) {
  std::string target;
  rng.append_bytes(&target, rng.between(1, 4));
  iterator.seek(target);
  if (!iterator.valid()) {
    iterator.seek_to_last();
  }
  if (iterator.valid()) {
    target = iterator.key();
  }
  switch (rng.weighted({4, 1, 1})) {
    case 1:
      if (target.size() < engines::kKeyBytesMax) {
        target += '\0';  // just after
      }
      break;
    case 2:
      if (target.size() > 1) {
        target.pop_back();  // just before
      }
      break;
    default:
      break;
  }
  return target;
}

Status take_room(std::uint64_t bytes, std::uint64_t* room_bytes) {
  if (bytes > *room_bytes) {
    return Status::corruption("reading does not end: the store gives more bytes than were ever written");
  }
  *room_bytes -= bytes;
  return {};
}

}  // namespace

Status observe_keyspace(engines::Iterator& iterator, bool backward, workloads::ObservationWriter& writer,
                        std::uint64_t* room_bytes, std::uint64_t* live_bytes) {
  std::string before;
  bool first = true;
  for (backward ? iterator.seek_to_last() : iterator.seek_to_first(); iterator.valid();
       backward ? iterator.prev() : iterator.next()) {
    const std::string_view key = iterator.key();
    const std::string_view value = iterator.value();
    constexpr std::uint64_t kFrameBytes = 1 + 4 + 4;
    RETURN_IF_ERROR(take_room(kFrameBytes + key.size() + value.size(), room_bytes));
    writer.key_value(key, value);
    *live_bytes += key.size() + value.size();
    if (!first && (backward ? key >= before : key <= before)) {
      break;  // in a circle, perhaps
    }
    first = false;
    before = key;
  }
  RETURN_IF_ERROR(iterator.status());
  writer.end_keyspace();
  return {};
}

void Observer::finish_section() {
  recorder_.observation_bytes.store(writer_.end(), std::memory_order_release);
}

Status Observer::log(Replica& replica) {
  log::Log& log = replica.log();
  writer_.begin(SectionKind::log);
  writer_.u64(log.first_index());
  writer_.u64(log.last_index());
  writer_.u64(log.recovery().torn_bytes);
  writer_.u64(log.recovery().torn_after);
  writer_.u64(log.recovery().removed_files);
  if (log.first_index() <= log.last_index()) {
    RETURN_IF_ERROR(log.read(log.first_index(), log.last_index(), [&](const log::Entry& entry) -> Status {
      writer_.u64(entry.term);
      writer_.u64(workloads::entry_hash(static_cast<std::uint8_t>(entry.type), entry.payload));
      return {};
    }));
  }
  finish_section();
  return {};
}

Status Observer::state(Replica& replica, SectionKind kind) {
  const bool backward = kind == SectionKind::state_backward;
  writer_.begin(kind);
  std::string value;
  const Status witness = replica.engine().get(kMetaKeyspace, kWitnessKey, &value);
  if (!witness.ok() && !witness.is_not_found()) {
    return witness;
  }
  writer_.u64(value.size() == sizeof(std::uint64_t) ? load_fixed<std::uint64_t>(value.data()) : 0);
  writer_.u64(replica.durable_index());
  std::uint64_t room = kSectionBytesMax;
  live_bytes_ = 0;
  for (std::size_t i = 0; i < workloads::kKeyspaceCount; ++i) {
    const auto iterator = replica.engine().iterator(static_cast<engines::KeyspaceId>(i));
    RETURN_IF_ERROR(observe_keyspace(*iterator, backward, writer_, &room, &live_bytes_));
  }
  finish_section();
  return {};
}

Status Observer::reads(Replica& replica, std::uint32_t count, std::uint64_t seed) {
  Rng rng = Rng(seed).fork("reads");
  const auto snapshot = replica.engine().snapshot();
  std::vector<std::unique_ptr<engines::Iterator>> iterators;
  for (std::size_t i = 0; i < workloads::kKeyspaceCount; ++i) {
    iterators.push_back(replica.engine().iterator(static_cast<engines::KeyspaceId>(i)));
  }
  writer_.begin(SectionKind::reads);
  std::uint64_t room = kSectionBytesMax;
  std::string value;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto keyspace = static_cast<Keyspace>(rng.below(workloads::kKeyspaceCount));
    engines::Iterator& iterator = *iterators.at(id(keyspace));
    const std::string target = sample_target(iterator, rng);
    const auto kind = static_cast<ReadKind>(1 + i % 4);
    writer_.u8(static_cast<std::uint8_t>(kind));
    writer_.u8(static_cast<std::uint8_t>(keyspace));
    writer_.bytes(target);
    if (kind == ReadKind::get || kind == ReadKind::snapshot_get) {
      const Status status = kind == ReadKind::get ? replica.engine().get(id(keyspace), target, &value)
                                                  : snapshot->get(id(keyspace), target, &value);
      if (!status.ok() && !status.is_not_found()) {
        return status;
      }
      RETURN_IF_ERROR(take_room(target.size() + value.size(), &room));
      writer_.u8(status.ok() ? 1 : 0);
      writer_.bytes(status.ok() ? std::string_view(target) : std::string_view());
      writer_.bytes(status.ok() ? std::string_view(value) : std::string_view());
    } else {
      if (kind == ReadKind::seek) {
        iterator.seek(target);
      } else {
        iterator.seek_for_prev(target);
      }
      RETURN_IF_ERROR(iterator.status());
      const bool found = iterator.valid();
      RETURN_IF_ERROR(take_room(found ? iterator.key().size() + iterator.value().size() : 0, &room));
      writer_.u8(found ? 1 : 0);
      writer_.bytes(found ? iterator.key() : std::string_view());
      writer_.bytes(found ? iterator.value() : std::string_view());
    }
  }
  finish_section();
  return {};
}

void Observer::check_section(SectionKind kind, const Status& status) {
  writer_.begin(kind);
  writer_.u8(status.ok() ? 1 : 0);
  writer_.bytes(status.ok() ? std::string_view() : std::string_view(status.message()));
  finish_section();
}

Status Observer::probe(Replica& replica, std::uint64_t value) {
  engines::Engine& engine = replica.engine();
  std::string written;
  put_u64(&written, value);
  std::string before;
  std::string seen;
  Status isolated;
  const bool was_there = engine.get(kMetaKeyspace, kProbeKey, &before).ok();
  const Status writable = [&]() -> Status {
    const auto snapshot = engine.snapshot();
    engines::WriteBatch batch;
    batch.put(kMetaKeyspace, kProbeKey, written);
    RETURN_IF_ERROR(engine.write(batch));
    RETURN_IF_ERROR(engine.get(kMetaKeyspace, kProbeKey, &seen));
    if (seen != written) {
      return Status::corruption("a new write was taken but an older value came back");
    }
    const bool in_snapshot = snapshot->get(kMetaKeyspace, kProbeKey, &seen).ok();
    if (in_snapshot != was_there || (in_snapshot && seen != before)) {
      isolated = Status::corruption("a snapshot shows a write that came after it");
    }
    return {};
  }();
  check_section(SectionKind::probe, writable);
  check_section(SectionKind::isolation, isolated);
  return {};
}

Status Observer::space(const Replica& replica) {
  Space taken;
  RETURN_IF_ERROR(replica.space(&taken));
  writer_.begin(SectionKind::space);
  writer_.u64(taken.files);
  writer_.u64(taken.bytes);
  writer_.u64(live_bytes_);
  finish_section();
  return {};
}

Status Observer::integrity(Replica& replica) {
  check_section(SectionKind::integrity, replica.engine().check_integrity());
  return {};
}

}  // namespace chaosgate::replica
