// The LMDB family: a copy-on-write B+ tree in one memory-mapped file, whose keyspaces are named databases.
//
// Configurations: `lmdb` (every batch is one synced transaction) and `lmdb-nosync` (MDB_NOSYNC: the kernel
// writes when it likes, flush() syncs; after a power cut the file may be damaged, as LMDB documents). They
// open each other's directories. EngineOptions::maintenance and tuning have no effect: LMDB has no background
// thread and nothing to tune here. Nothing else of LMDB leaves this folder.
#pragma once

#include <cstdint>
#include <vector>

#include "engines/engine.h"

namespace chaosgate::engines {

// The most a store can grow to. The file is only as long as its data; this is address space.
inline constexpr std::uint64_t kLmdbMapBytes = std::uint64_t{4} << 30;

// The map for a store whose file has so many bytes: at least the default, and room to grow. A store that
// fills its map goes on when it is opened anew.
constexpr std::uint64_t lmdb_map_bytes(std::uint64_t file_bytes) {
  return file_bytes > kLmdbMapBytes / 4 ? 4 * file_bytes : kLmdbMapBytes;
}

std::vector<EngineConfig> lmdb_configs();

// What EngineConfig::open does, with another limit: so that a test can fill a map.
Status open_lmdb(const EngineConfig& config, const std::filesystem::path& directory,
                 const EngineOptions& options, bool create, std::uint64_t map_bytes,
                 std::unique_ptr<Engine>* engine);

}  // namespace chaosgate::engines
