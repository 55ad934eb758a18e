// How chaosgate's choices (contract, maintenance, tuning) become RocksDB options. Pure functions.
#pragma once

#include <rocksdb/options.h>

#include "engines/engine.h"

namespace chaosgate::engines {

// One set of options for the database and each of its column families.
rocksdb::Options rocksdb_options(const EngineOptions& options, bool write_ahead_log);

// How a batch is written: synced through the log, or without a log at all.
rocksdb::WriteOptions rocksdb_write_options(bool write_ahead_log);

// How everything is read: in total order, with checksums.
rocksdb::ReadOptions rocksdb_read_options();

}  // namespace chaosgate::engines
