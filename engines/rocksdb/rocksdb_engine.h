// The RocksDB family: an LSM tree whose keyspaces are column families.
//
// Configurations: `rocksdb` (write-ahead log off; what is not flushed is lost by any crash, and a flush
// covers all keyspaces atomically) and `rocksdb-wal` (write-ahead log on, every batch synced). They open each
// other's directories after a clean close. Nothing else of RocksDB leaves this folder.
#pragma once

#include <vector>

#include "engines/engine.h"

namespace chaosgate::engines {

std::vector<EngineConfig> rocksdb_configs();

}  // namespace chaosgate::engines
