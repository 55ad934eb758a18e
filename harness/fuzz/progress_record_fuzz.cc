// A migration's progress record: what was read is written and read again as the same.
#include "harness/migrate/progress_record.h"

#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/scratch_file.h"
#include "harness/fuzz/sealed.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  migrate::ProgressRecord begun;
  begun.source_engine = "bbolt";
  begun.target_engine = "rocksdb";
  migrate::ProgressRecord moving = begun;
  moving.state = migrate::ProgressState::moving;
  moving.source.keyspaces = {{"key", {12, 0x1234}, 800, "a", "z"}, {"meta", {0, 0}, 0, "", ""}};
  moving.source.has_applied_index = true;
  moving.source.applied_index = 77;
  moving.durable = {{5, "k"}, {0, ""}};
  return {migrate::encode_record(begun), migrate::encode_record(moving)};
}

void repair(Rng& /*rng*/, std::string* bytes) { seal(migrate::kProgressMagic, bytes); }

Status read(std::string_view bytes, migrate::ProgressRecord* record) {
  write_scratch(migrate::kProgressFile, bytes);
  return migrate::read_record(scratch_directory(), record);
}

Reach run(std::string_view bytes) {
  migrate::ProgressRecord record;
  if (!read(bytes, &record).ok()) {
    CHECK(record == migrate::ProgressRecord(), "a record that was refused left something");
    return is_sealed(bytes, migrate::kProgressMagic) ? Reach::verified : Reach::refused;
  }
  CHECK(record.durable.size() == record.source.keyspaces.size());
  CHECK(!migrate::to_string(record.state).empty());
  migrate::ProgressRecord again;
  const Status status = read(migrate::encode_record(record), &again);
  CHECK(status.ok() && again == record, "{}", status.message());
  return Reach::accepted;
}

}  // namespace

Target target() { return {"progress_record", seeds, repair, run}; }

}  // namespace chaosgate::fuzz
