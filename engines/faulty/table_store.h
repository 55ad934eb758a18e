// TableStore is a small store of our own, with what real ones have and a decorator cannot break: a
// write-ahead log that is replayed, tables that a flush writes, and files that become obsolete. Correct but
// for the mistakes that it is told to make. Internal to engines/faulty.
//
//   directory := CURRENT  NNNNNN.sst  NNNNNN.log
//   CURRENT   := number u64        of the table and the log that are valid; replaced by rename
//   sst       := record            the whole state as one record
//   log       := record*           the batches since, one record each, not synced
//   record    := magic u32 | length u32 | checksum u64 | mutation*      a log's first record is at 0
//   mutation  := kind u8 | keyspace u8 | key bytes | value bytes        bytes := length u32, octets
//   A record whose body begins with 0xff is a filler, and says nothing.
//
// Contract: a commit survives nothing (a kill leaves it, since the log is in the page cache), a flush
// survives a power cut, and what a power cut leaves is a prefix of the batches. State and tables are small: a
// flush writes everything. Threading and ownership are those of Engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engines/engine.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::engines {

// Each is the mechanism of one planted fault.
struct TableStoreMistakes {
  bool skips_torn_record = false;   // replay goes on behind a damaged record with the next whole one
  bool trusts_torn_length = false;  // replay goes on where a damaged record says that it ends
  bool fills_torn_record = false;   // recovery makes the damaged record a filler and leaves what is behind it
  bool drops_page_record = false;   // replay passes over records whose length is a multiple of 4,096
  bool drops_border_record = false;  // replay passes over records whose header lies on a border of pages
  // A table that a full disk cut off is installed, and read as far as it goes.
  bool accepts_short_table = false;
  bool acks_failed_flush = false;         // a flush whose table could not be written reports success
  bool ignores_sync_errors = false;       // a table whose sync failed is installed
  bool ignores_name_sync_errors = false;  // ... or a CURRENT whose directory could not be synced
  bool forgets_table_syncs = false;       // one table in kForgets is not synced
  bool forgets_name_syncs = false;        // one CURRENT in kForgets gets its name without a sync
  bool leaves_files = false;              // what was there when it was opened is never removed

  // Counted in each process.
  static constexpr std::uint64_t kForgets = 4;
};

class TableStore final : public Engine {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;
  using State = std::vector<Map>;

  // Makes a new store in `directory`, which must not exist, or opens one.
  static Status open(const std::filesystem::path& directory, std::size_t keyspaces, bool create,
                     const TableStoreMistakes& mistakes, std::unique_ptr<Engine>* engine);

  Status write(const WriteBatch& batch) override;
  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override;
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override;
  std::unique_ptr<Snapshot> snapshot() override;
  Status flush() override;
  Status compact() override { return flush(); }
  Status checkpoint(const std::filesystem::path& directory) override;
  Status size(SizeInfo* info) override;
  Status check_integrity() override { return {}; }

 private:
  TableStore(std::filesystem::path directory, std::size_t keyspaces, const TableStoreMistakes& mistakes);

  Status load();
  Status load_table();
  Status replay_log();
  Status apply(std::string_view body);
  Status open_log(std::size_t end, bool cut);
  Status write_table(const std::filesystem::path& path) const;
  Status install(std::uint64_t number);
  Status name_current(std::uint64_t number) const;
  bool forgets_now() const { return flushes_ % TableStoreMistakes::kForgets == 0; }
  std::filesystem::path file(std::uint64_t number, std::string_view extension) const;
  std::uint64_t next_number() const;
  void remove_obsolete() const;
  State& own();

  const std::filesystem::path directory_;
  const TableStoreMistakes mistakes_;
  std::shared_ptr<State> state_;  // shared with snapshots and iterators, and copied before it changes
  std::uint64_t number_ = 0;      // what CURRENT says
  bool inherited_ = false;        // its files are older than this process
  std::uint64_t flushes_ = 0;     // of this process
  UniqueFd log_;
};

}  // namespace chaosgate::engines
