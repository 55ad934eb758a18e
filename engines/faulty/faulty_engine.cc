#include "engines/faulty/faulty_engine.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "engines/faulty/decorator.h"
#include "engines/registry.h"

namespace chaosgate::engines {
namespace {

// Long enough for one kill in some hundred to fall into it, short enough not to slow the load down.
constexpr std::chrono::microseconds kGap{50};

constexpr std::string_view kNoWal = "rocksdb";

struct Fault {
  EngineFaultInfo info;
  OpenFault open;
};

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all = {
      {{"index-outside-batch", "the applied index is committed in a second batch, after the data",
        "etcd v3.5 data inconsistency postmortem; etcd#13766"},
       open_index_outside_batch},
      {{"index-before-batch", "the applied index is committed in a batch of its own, before the data",
        "etcd#13766, the other order"},
       open_index_before_batch},
      {{"half-batch", "a batch is committed in two halves, the applied index with the second",
        "non-atomic multi-page writes; Torturing Databases (OSDI 2014)"},
       open_half_batch},
      {{"index-one-high", "the stored applied index is one too high: replay skips an entry",
        "the bbolt to Pebble notebook, post 4"},
       open_index_one_high},
      {{"index-one-low", "the stored applied index is one too low: replay applies an entry twice",
        "the bbolt to Pebble notebook, post 4", false, "", kNoWal},
       open_index_one_low},
      {{"flush-not-atomic", "keyspaces are flushed one after the other",
        "RocksDB, WAL off, several column families, atomic_flush=false", false, "", kNoWal},
       open_flush_not_atomic},
      {{"flush-lies", "a flush reports success and does nothing",
        "fsync that only reaches a volatile cache; Torturing Databases (OSDI 2014)", false, "", kNoWal},
       open_flush_lies},
      {{"close-flushes", "a flush does nothing, the clean close makes up for it",
        "engines that are only consistent after a clean close", false, "", kNoWal},
       open_close_flushes},
      {{"defrag-loses-index", "a compaction brings back the applied index of the last flush", "etcd#14685"},
       open_defrag_loses_index},
      {{"empty-is-fresh", "a directory left inside a flush is wiped and opened as a new, empty store",
        "the bbolt to Pebble notebook, bug A", false, "", kNoWal},
       open_empty_is_fresh},
      {{"lost-batch", "now and then a batch advances the applied index and drops its data",
        "RocksDB#12995, without the error"},
       open_lost_batch},
      {{"empty-value-is-absent", "a put of an empty value removes the key", ""}, open_empty_value_is_absent},
      {{"delete-range-off-by-one", "a range delete removes its excluded end too", ""},
       open_delete_range_off_by_one},
      {{"backward-skips", "backward iteration now and then skips a key", ""}, open_backward_skips},
      {{"snapshot-not-isolated", "a snapshot reads the live state", ""}, open_snapshot_not_isolated},
      {{"writes-refused-after-crash", "after a crash the engine acknowledges writes and drops them", ""},
       open_writes_refused_after_crash},
      {{"reopen-drifts", "each open after a clean close loses a key", ""}, open_reopen_drifts},
      {{"stale-read", "a get now and then returns the value before the last overwrite", ""}, open_stale_read},
      {{"torn-page", "batches are redone from pages written in place, with no checksum over them",
        "etcd#16596"},
       open_torn_page},
      {{"wrong-error", "an I/O error in the middle of a batch is swallowed", "known from several engines",
        true},
       open_wrong_error},
      {{"buffered-batch-dropped", "after a write error one keyspace gets the batch, the others lose it",
        "RocksDB#12995", true},
       open_buffered_batch_dropped},
      {{"manifest-sync-failed", "the sync of a manifest fails, the edit stays, its files are removed",
        "RocksDB#5379", true},
       open_manifest_sync_failed},
      {{"torn-record-skipped",
        "replay of a write-ahead log goes on behind a torn record with the next whole one",
        "own; LevelDB's and RocksDB's readers, which skip what is damaged", false, "xfs", kNoWal},
       open_torn_record_skipped},
      {{"torn-length-trusted", "replay of a write-ahead log goes on where a torn record says that it ends",
        "own; readers that check a record's content but not the length in front of it", false, "xfs", kNoWal},
       open_torn_length_trusted},
      {{"torn-record-filled",
        "recovery turns a torn record into a filler and leaves what is behind it for the next recovery",
        "own; a tail that the first recovery leaves and the second one reads", false, "xfs", kNoWal},
       open_torn_record_filled},
      {{"page-record-dropped",
        "replay of a write-ahead log passes over a record whose length is a multiple of 4,096",
        "own; off-by-one at a block border", false, "", kNoWal},
       open_page_record_dropped},
      {{"border-record-dropped",
        "replay of a write-ahead log passes over a record whose header lies on a border of pages",
        "own; a header that is read in one piece", false, "", kNoWal},
       open_border_record_dropped},
      {{"short-table-accepted", "a table that a full disk cut off is installed, and read as far as it goes",
        "own; errors of a flush that are swallowed", true, "", kNoWal},
       open_short_table_accepted},
      {{"failed-flush-acked", "a flush whose table could not be written reports success",
        "own; errors of a flush that are swallowed", true, "prefix", kNoWal},
       open_failed_flush_acked},
      {{"table-sync-ignored", "a table whose sync failed is installed",
        "Can applications recover from fsync failures? (ATC 2020)", true, "", kNoWal},
       open_table_sync_ignored},
      {{"name-sync-ignored", "a flush reports success though its directory could not be synced",
        "Can applications recover from fsync failures? (ATC 2020)", true, "btrfs", kNoWal},
       open_name_sync_ignored},
      {{"table-sync-forgotten", "the table of every fourth flush of a process is not synced",
        "own; a sync on some paths only", false, "btrfs", kNoWal},
       open_table_sync_forgotten},
      {{"name-sync-forgotten", "the directory is not synced at the end of every fourth flush of a process",
        "own; a sync on some paths only", false, "btrfs", kNoWal},
       open_name_sync_forgotten},
      {{"memtable-dropped-early",
        "a thread of the engine's takes a memory table out of sight before its content is in the store",
        "own; a version that is installed too late", false, "", kNoWal},
       open_memtable_dropped_early},
      {{"tombstones-moved-late",
        "a thread of the engine's takes tombstones out of sight before they are in the store",
        "own; a version that is installed too late", false, "", kNoWal},
       open_tombstones_moved_late},
      {{"files-leaked",
        "files that an earlier process made are never removed, neither those that a crash left of a flush "
        "nor those that became obsolete",
        "own; a store that grew from 14 to 149 MB over a thousand crashes", false, "", kNoWal},
       open_files_leaked},
      {{"check-loses-commit",
        "the engine's own check takes the last batch back, until the next one is written",
        "own; a check that runs recovery code on a store in use"},
       open_check_loses_commit},
  };
  return all;
}

}  // namespace

const std::vector<EngineFaultInfo>& engine_faults() {
  static const std::vector<EngineFaultInfo> infos = [] {
    std::vector<EngineFaultInfo> all;
    for (const Fault& fault : faults()) {
      all.push_back(fault.info);
    }
    return all;
  }();
  return infos;
}

const EngineFaultInfo* find_engine_fault(std::string_view name) {
  for (const EngineFaultInfo& info : engine_faults()) {
    if (info.name == name) {
      return &info;
    }
  }
  return nullptr;
}

Status open_inner(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return context.create ? create_engine(context.config, context.directory, context.options, engine)
                        : open_engine(context.config, context.directory, context.options, engine);
}

Status open_fault(std::string_view name, const FaultContext& context, std::unique_ptr<Engine>* engine) {
  for (const Fault& fault : faults()) {
    if (fault.info.name == name) {
      return fault.open(context, engine);
    }
  }
  return Status::invalid_argument(fmt::format("unknown engine fault \"{}\"", name));
}

void append(const WriteBatch::Mutation& mutation, WriteBatch* batch) {
  switch (mutation.kind) {
    case WriteBatch::Kind::put:
      return batch->put(mutation.keyspace, mutation.key, mutation.value);
    case WriteBatch::Kind::erase:
      return batch->erase(mutation.keyspace, mutation.key);
    case WriteBatch::Kind::erase_range:
      return batch->erase_range(mutation.keyspace, mutation.key, mutation.value);
  }
}

Status open_faulty_engine(std::string_view fault, const EngineConfig& config,
                          const std::filesystem::path& directory, const EngineOptions& options,
                          KeyspaceId witness_keyspace, std::string_view witness_key, bool create,
                          std::unique_ptr<Engine>* engine) {
  const FaultContext context{.config = config,
                             .directory = directory,
                             .options = options,
                             .create = create,
                             .witness_keyspace = witness_keyspace,
                             .witness_key = std::string(witness_key),
                             .gap = [] { std::this_thread::sleep_for(kGap); }};
  return open_fault(fault, context, engine);
}

}  // namespace chaosgate::engines
