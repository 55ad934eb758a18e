// The source of a migration: held against writers while it is read, and never changed.
//
// Nothing is written into its directory, no lock file either: SourceHold takes read locks on the files that
// are there. An engine that cannot open a store without changing it (EngineConfig::opens_read_only) reads a
// copy: files that are never changed in place are linked, all others copied.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engines/engine.h"
#include "harness/base/status.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::migrate {

// Read locks on every file of a store that may change, as long as the object lives. Engines lock what they
// have open by fcntl(2) or flock(2), each in its way:
//   RocksDB, LevelDB, Pebble   a write lock on the file LOCK, by fcntl
//   LMDB                       a read lock on lock.mdb, by fcntl
//   bbolt                      an exclusive lock on its file, by flock
//   SQLite                     locks on its file during a transaction, in WAL mode on the -shm file always
// Any of them means that the source is in use. Our own keep RocksDB, LevelDB, Pebble and bbolt from opening
// it, and SQLite from writing; LMDB they do not, so check_unchanged() has the last word.
class SourceHold {
 public:
  // invalid_argument "... is in use" when any process has one of the files locked.
  Status take(const engines::EngineConfig& config, const std::filesystem::path& directory);
  // Whether every file is as it was. invalid_argument names the first that is not.
  Status check_unchanged() const;

 private:
  using Stamp = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t>;  // inode, size, mtime

  Status stamp(std::map<std::string, Stamp>* stamps) const;

  std::filesystem::path directory_;
  std::map<std::string, Stamp> stamps_;  // by path relative to it
  std::vector<UniqueFd> locks_;
};

// A private copy of a store, removed with the object.
class SourceCopy {
 public:
  SourceCopy() = default;
  SourceCopy(const SourceCopy&) = delete;
  SourceCopy& operator=(const SourceCopy&) = delete;
  ~SourceCopy();

  // Copies `from` to `place`, which may hold what a killed exporter left. invalid_argument when another
  // process is at it or there is not enough room. REQUIRES: `from` is held.
  Status make(const engines::EngineConfig& config, const std::filesystem::path& from,
              const std::filesystem::path& place);

 private:
  std::filesystem::path place_;
  UniqueFd lock_;
};

// The engine directory that `given` means: itself, or `engine/` in a replica's data directory.
// invalid_argument when neither has a marker.
Status find_store(const std::filesystem::path& given, std::filesystem::path* store);

// invalid_argument when the file system of `place`, which need not exist, has less than `needed` bytes left.
Status require_room(const std::filesystem::path& place, std::uint64_t needed, std::uint64_t* free_bytes);

}  // namespace chaosgate::migrate
