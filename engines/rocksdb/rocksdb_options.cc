#include "engines/rocksdb/rocksdb_options.h"

#include <rocksdb/cache.h>
#include <rocksdb/table.h>

#include <limits>

namespace chaosgate::engines {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

// Nothing may start by itself, and nothing may wait for something that never starts.
void schedule_maintenance(rocksdb::Options* options) {
  options->disable_auto_compactions = true;
  // Memory is taken as it is used, so a buffer that never fills costs nothing.
  options->write_buffer_size = 256 * kMiB;
  options->max_total_wal_size = 16 * options->write_buffer_size;
  options->level0_slowdown_writes_trigger = std::numeric_limits<int>::max();
  options->level0_stop_writes_trigger = std::numeric_limits<int>::max();
  options->soft_pending_compaction_bytes_limit = 0;
  options->hard_pending_compaction_bytes_limit = 0;
  // One flush and one compaction at a time, each in one thread, and no thread that repeats a failed one: the
  // sequence of storage calls is then a function of the sequence of operations.
  options->max_background_jobs = 1;
  options->max_subcompactions = 1;
  options->max_bgerror_resume_count = 0;
}

// Small buffers and low triggers, so that a load of a few thousand operations meets many flushes and
// compactions, wherever the engine's threads happen to be.
void free_maintenance(rocksdb::Options* options) {
  options->write_buffer_size = 128 * kKiB;
  options->target_file_size_base = 256 * kKiB;
  options->max_bytes_for_level_base = 1 * kMiB;
  options->level0_file_num_compaction_trigger = 2;
  options->level0_slowdown_writes_trigger = 12;
  options->level0_stop_writes_trigger = 20;
}

// The same protocol for less time. No file, checksum or check that belongs to crash consistency goes.
void make_lean(rocksdb::Options* options) {
  options->manifest_preallocation_size = 4 * kKiB;  // 4 MiB by default, which tmpfs really zeroes
  options->allow_fallocate =
      false;  // a log is preallocated by the size of a write buffer: 70 MiB at each open
  options->max_file_opening_threads = 1;
  options->stats_dump_period_sec = 0;
  options->stats_persist_period_sec = 0;
  options->skip_stats_update_on_db_open = true;
  options->keep_log_file_num = 8;  // each open leaves an old one; a campaign opens thousands of times
  options->compression = rocksdb::kNoCompression;
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 32 * kKiB;
  table.block_cache = rocksdb::NewLRUCache(8 * kMiB, 0);
  options->table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
}

}  // namespace

rocksdb::Options rocksdb_options(const EngineOptions& options, bool write_ahead_log) {
  rocksdb::Options result;
  // Without a log, batches across keyspaces stay whole only if all of them are flushed as one.
  result.atomic_flush = !write_ahead_log && options.atomic_flush;
  // A close must not add durability, or the gate would test clean closes.
  result.avoid_flush_during_shutdown = true;
  if (options.maintenance == Maintenance::scheduled) {
    schedule_maintenance(&result);
  } else {
    free_maintenance(&result);
  }
  if (options.tuning == Tuning::lean) {
    make_lean(&result);
  }
  return result;
}

rocksdb::WriteOptions rocksdb_write_options(bool write_ahead_log) {
  rocksdb::WriteOptions result;
  result.disableWAL = !write_ahead_log;
  result.sync = write_ahead_log;
  return result;
}

rocksdb::ReadOptions rocksdb_read_options() {
  rocksdb::ReadOptions result;
  result.total_order_seek = true;
  result.verify_checksums = true;
  return result;
}

}  // namespace chaosgate::engines
