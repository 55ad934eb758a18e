#include "workloads/observation.h"

#include <fmt/format.h>

#include <cstring>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/hash.h"

namespace chaosgate::workloads {
namespace {

constexpr std::size_t kSectionHeaderBytes = 4 + 4 + 8;

bool parse_log(Reader reader, LogObservation* log) {
  if (!reader.u64(&log->first) || !reader.u64(&log->last) || !reader.u64(&log->torn_bytes) ||
      !reader.u64(&log->torn_after) || !reader.u64(&log->removed_files)) {
    return false;
  }
  constexpr std::size_t kPairBytes = 2 * sizeof(std::uint64_t);
  static_assert(sizeof(LogObservation::EntryId) == kPairBytes);
  const std::string_view pairs = reader.rest();
  // An empty log has first == last + 1; unsigned arithmetic gives 0 entries then.
  if (log->first == 0 || pairs.size() % kPairBytes != 0 ||
      log->last - log->first + 1 != pairs.size() / kPairBytes) {
    return false;
  }
  log->entries.resize(pairs.size() / kPairBytes);
  if (!pairs.empty()) {
    std::memcpy(log->entries.data(), pairs.data(), pairs.size());
  }
  return true;
}

bool parse_state(Reader reader, std::optional<StateObservation>* state) {
  StateObservation parsed;
  if (state->has_value() || !reader.u64(&parsed.witness) || !reader.u64(&parsed.durable_index)) {
    return false;
  }
  parsed.keyspaces = reader.rest();
  *state = parsed;
  return true;
}

bool parse_read(Reader* reader, ReadObservation* read) {
  std::uint8_t kind = 0;
  std::uint8_t keyspace = 0;
  std::uint8_t found = 0;
  if (!reader->u8(&kind) || !reader->u8(&keyspace) || !reader->bytes(&read->target) || !reader->u8(&found) ||
      !reader->bytes(&read->key) || !reader->bytes(&read->value)) {
    return false;
  }
  if (kind < static_cast<std::uint8_t>(ReadKind::get) ||
      kind > static_cast<std::uint8_t>(ReadKind::snapshot_get) || keyspace >= kKeyspaceCount || found > 1) {
    return false;
  }
  read->kind = static_cast<ReadKind>(kind);
  read->keyspace = static_cast<Keyspace>(keyspace);
  read->found = found == 1;
  return true;
}

bool parse_reads(Reader reader, Observations* observations) {
  if (observations->has_reads) {
    return false;
  }
  observations->has_reads = true;
  while (!reader.empty()) {
    ReadObservation read{};
    if (!parse_read(&reader, &read)) {
      return false;
    }
    observations->reads.push_back(read);
  }
  return true;
}

bool parse_check(Reader reader, std::optional<CheckObservation>* check) {
  CheckObservation parsed;
  std::uint8_t ok = 0;
  if (check->has_value() || !reader.u8(&ok) || ok > 1 || !reader.bytes(&parsed.message) || !reader.empty()) {
    return false;
  }
  parsed.ok = ok == 1;
  *check = parsed;
  return true;
}

bool parse_space(Reader reader, std::optional<SpaceObservation>* space) {
  SpaceObservation parsed;
  if (space->has_value() || !reader.u64(&parsed.files) || !reader.u64(&parsed.bytes) ||
      !reader.u64(&parsed.live_bytes) || !reader.empty()) {
    return false;
  }
  *space = parsed;
  return true;
}

bool parse_body(SectionKind kind, std::string_view body, Observations* observations) {
  const Reader reader(body);
  switch (kind) {
    case SectionKind::log:
      return !observations->log.has_value() && parse_log(reader, &observations->log.emplace());
    case SectionKind::state_before:
      return parse_state(reader, &observations->before);
    case SectionKind::state_after:
      return parse_state(reader, &observations->after);
    case SectionKind::state_reopened:
      return parse_state(reader, &observations->reopened);
    case SectionKind::state_backward:
      return parse_state(reader, &observations->backward);
    case SectionKind::reads:
      return parse_reads(reader, observations);
    case SectionKind::probe:
      return parse_check(reader, &observations->probe);
    case SectionKind::integrity:
      return parse_check(reader, &observations->integrity);
    case SectionKind::isolation:
      return parse_check(reader, &observations->isolation);
    case SectionKind::state_reached:
      observations->reached.reset();
      return parse_state(reader, &observations->reached);
    case SectionKind::state_probed:
      return parse_state(reader, &observations->probed);
    case SectionKind::space:
      return parse_space(reader, &observations->space);
  }
  return false;
}

}  // namespace

std::string_view to_string(SectionKind kind) {
  switch (kind) {
    case SectionKind::log:
      return "log";
    case SectionKind::state_before:
      return "state_before";
    case SectionKind::state_after:
      return "state_after";
    case SectionKind::state_reopened:
      return "state_reopened";
    case SectionKind::state_backward:
      return "state_backward";
    case SectionKind::reads:
      return "reads";
    case SectionKind::probe:
      return "probe";
    case SectionKind::integrity:
      return "integrity";
    case SectionKind::isolation:
      return "isolation";
    case SectionKind::state_reached:
      return "state_reached";
    case SectionKind::state_probed:
      return "state_probed";
    case SectionKind::space:
      return "space";
  }
  return "unknown";
}

std::string_view to_string(ReadKind kind) {
  switch (kind) {
    case ReadKind::get:
      return "get";
    case ReadKind::seek:
      return "seek";
    case ReadKind::seek_for_prev:
      return "seek_for_prev";
    case ReadKind::snapshot_get:
      return "snapshot_get";
  }
  return "unknown";
}

std::uint64_t entry_hash(std::uint8_t type, std::string_view payload) {
  // XXH3 with a seed is slower on long inputs than one multiplication behind it.
  return hash64(payload) ^ (type * 0x9e3779b97f4a7c15ULL);
}

void ObservationWriter::raw(const void* from, std::size_t size) {
  if (size > capacity_ - used_) {
    throw EnvironmentError(fmt::format("the observation buffer of {} bytes is full", capacity_));
  }
  if (size > 0) {
    std::memcpy(buffer_ + used_, from, size);
  }
  used_ += size;
}

void ObservationWriter::begin(SectionKind kind) {
  section_at_ = used_;
  u32(static_cast<std::uint32_t>(kind));
  u32(0);
  u64(0);  // end() knows
}

void ObservationWriter::bytes(std::string_view value) {
  u32(static_cast<std::uint32_t>(value.size()));
  raw(value.data(), value.size());
}

void ObservationWriter::key_value(std::string_view key, std::string_view value) {
  u8(1);
  u32(static_cast<std::uint32_t>(key.size()));
  u32(static_cast<std::uint32_t>(value.size()));
  raw(key.data(), key.size());
  raw(value.data(), value.size());
}

std::size_t ObservationWriter::end() {
  CHECK(used_ >= section_at_ + kSectionHeaderBytes, "end() without begin()");
  const std::uint64_t length = used_ - section_at_ - kSectionHeaderBytes;
  std::memcpy(buffer_ + section_at_ + 8, &length, sizeof length);
  section_at_ = used_;
  return used_;
}

StateCursor::Item StateCursor::next(std::string_view* key, std::string_view* value) {
  std::uint8_t mark = 0;
  if (!reader_.u8(&mark) || mark > 1) {
    return Item::damaged;
  }
  if (mark == 0) {
    return Item::end_of_keyspace;
  }
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bytes = 0;
  if (!reader_.u32(&key_bytes) || !reader_.u32(&value_bytes) || !reader_.raw(key_bytes, key) ||
      !reader_.raw(value_bytes, value)) {
    return Item::damaged;
  }
  return Item::key_value;
}

Status parse(std::string_view buffer, Observations* observations) {
  *observations = {};
  Reader reader(buffer);
  while (!reader.empty()) {
    const std::size_t at = buffer.size() - reader.rest().size();
    std::uint32_t kind = 0;
    std::uint32_t zero = 0;
    std::uint64_t length = 0;
    std::string_view body;
    if (!reader.u32(&kind) || !reader.u32(&zero) || !reader.u64(&length) || zero != 0 ||
        !reader.raw(length, &body)) {
      return Status::corruption(fmt::format("observations: no section header at byte {}", at));
    }
    const auto section = static_cast<SectionKind>(kind);
    if (!parse_body(section, body, observations)) {
      return Status::corruption(
          fmt::format("observations: section {} (kind {}) at byte {} is damaged or comes twice",
                      to_string(section), kind, at));
    }
  }
  return {};
}

}  // namespace chaosgate::workloads
