// The observation buffer, which an engine with a wild pointer may have written into: what is read of it lies
// inside it, and a state is walked to its end.
#include "workloads/observation.h"

#include <cstring>

#include "harness/base/check.h"
#include "harness/fuzz/fuzz.h"

namespace chaosgate::fuzz {
namespace {

using workloads::ObservationWriter;
using workloads::SectionKind;

constexpr std::size_t kHeadBytes = 16;  // of a section
constexpr std::size_t kLogBytes = 40;   // of a log section, without its entries
constexpr std::size_t kPairBytes = 16;  // of an entry

void write_log(ObservationWriter& writer, std::uint64_t entries) {
  writer.begin(SectionKind::log);
  for (const std::uint64_t number : {std::uint64_t{3}, 2 + entries, std::uint64_t{17}, std::uint64_t{4}}) {
    writer.u64(number);
  }
  writer.u64(0);
  for (std::uint64_t i = 0; i < 2 * entries; ++i) {
    writer.u64(i);
  }
  writer.end();
}

void write_state(ObservationWriter& writer, SectionKind kind) {
  writer.begin(kind);
  writer.u64(7);
  writer.u64(5);
  for (std::size_t id = 0; id < workloads::kKeyspaceCount; ++id) {
    writer.key_value("key-1", "one");
    writer.key_value("key-2", "");
    writer.end_keyspace();
  }
  writer.end();
}

void write_reads(ObservationWriter& writer) {
  writer.begin(SectionKind::reads);
  for (std::uint8_t kind = 1; kind <= 4; ++kind) {
    writer.u8(kind);
    writer.u8(0);
    writer.bytes("key-1");
    writer.u8(1);
    writer.bytes("key-1");
    writer.bytes("one");
  }
  writer.end();
}

std::string written(void (*write)(ObservationWriter&, std::size_t*)) {
  std::string buffer(4096, '\0');
  ObservationWriter writer(buffer.data(), buffer.size());
  std::size_t used = 0;
  write(writer, &used);
  buffer.resize(used);
  return buffer;
}

std::vector<std::string> seeds() {
  const auto little = [](ObservationWriter& writer, std::size_t* used) {
    write_log(writer, 0);
    writer.begin(SectionKind::probe);
    writer.u8(1);
    writer.bytes("");
    *used = writer.end();
  };
  const auto all = [](ObservationWriter& writer, std::size_t* used) {
    write_log(writer, 3);
    for (const SectionKind kind :
         {SectionKind::state_before, SectionKind::state_after, SectionKind::state_reopened,
          SectionKind::state_backward, SectionKind::state_reached, SectionKind::state_probed}) {
      write_state(writer, kind);
    }
    write_reads(writer);
    for (const SectionKind kind : {SectionKind::probe, SectionKind::integrity, SectionKind::isolation}) {
      writer.begin(kind);
      writer.u8(kind == SectionKind::probe ? 1 : 0);
      writer.bytes("a message");
      writer.end();
    }
    writer.begin(SectionKind::space);
    for (const std::uint64_t number : {7, 70'000, 9'000}) {
      writer.u64(number);
    }
    *used = writer.end();
  };
  return {"", written(little), written(all)};
}

template <typename T>
void store(std::string* bytes, std::size_t at, T value) {
  std::memcpy(bytes->data() + at, &value, sizeof value);
}

// Lengths of sections that reach too far, and the number of a log's entries.
void repair(Rng& rng, std::string* bytes) {
  for (std::size_t at = 0; bytes->size() - at >= kHeadBytes;) {
    const std::size_t room = bytes->size() - at - kHeadBytes;
    store(bytes, at + 4, std::uint32_t{0});
    auto length = load_fixed<std::uint64_t>(bytes->data() + at + 8);
    if (length > room) {
      length = rng.below(room + 1);
      store(bytes, at + 8, length);
    }
    if (load_fixed<std::uint32_t>(bytes->data() + at) == 1 && length >= kLogBytes && !rng.chance(1, 16)) {
      length -= (length - kLogBytes) % kPairBytes;
      store(bytes, at + 8, length);
      const auto first = load_fixed<std::uint64_t>(bytes->data() + at + kHeadBytes);
      store(bytes, at + kHeadBytes + 8, first + (length - kLogBytes) / kPairBytes - 1);
    }
    at += kHeadBytes + length;
  }
}

void check_inside(std::string_view bytes, std::string_view part) {
  CHECK(part.empty() ||
        (part.data() >= bytes.data() && part.data() + part.size() <= bytes.data() + bytes.size()));
}

// As the driver walks a state: until damage, or all keyspaces ended.
void walk(std::string_view bytes, const workloads::StateObservation& state) {
  workloads::StateCursor cursor(state.keyspaces);
  std::string_view key;
  std::string_view value;
  for (std::size_t ended = 0; ended < workloads::kKeyspaceCount;) {
    switch (cursor.next(&key, &value)) {
      case workloads::StateCursor::Item::damaged:
        return;
      case workloads::StateCursor::Item::end_of_keyspace:
        ++ended;
        break;
      case workloads::StateCursor::Item::key_value:
        check_inside(bytes, key);
        check_inside(bytes, value);
        break;
    }
  }
}

void check_seen(std::string_view bytes, const workloads::Observations& seen) {
  for (const auto& state :
       {seen.before, seen.after, seen.reopened, seen.backward, seen.probed, seen.reached}) {
    if (state) {
      walk(bytes, *state);
    }
  }
  for (const workloads::ReadObservation& read : seen.reads) {
    check_inside(bytes, read.target);
    check_inside(bytes, read.key);
    check_inside(bytes, read.value);
    CHECK(workloads::to_string(read.kind) != "unknown");
    CHECK(static_cast<std::size_t>(read.keyspace) < workloads::kKeyspaceCount);
  }
  for (const auto& check : {seen.probe, seen.integrity, seen.isolation}) {
    if (check) {
      check_inside(bytes, check->message);
    }
  }
}

Reach run(std::string_view bytes) {
  workloads::Observations seen;
  const bool ok = workloads::parse(bytes, &seen).ok();
  check_seen(bytes, seen);
  if (ok && seen.log) {
    CHECK(seen.log->last - seen.log->first + 1 == seen.log->entries.size());
  }
  const bool some = seen.log || seen.before || seen.after || seen.reached || seen.has_reads || seen.probe;
  return ok ? Reach::accepted : some ? Reach::verified : Reach::refused;
}

}  // namespace

Target target() { return {"observation", seeds, repair, run}; }

}  // namespace chaosgate::fuzz
