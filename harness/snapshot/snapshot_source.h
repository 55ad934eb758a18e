// SnapshotSource is a snapshot that is being sent: made from an open engine at once, read in pieces
// afterwards.
//
// It holds the bytes in an unnamed file of its own, so the engine may change or go while it is read, and
// nothing is left on the disk when it goes, or when the process dies. Not thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "engines/engine.h"
#include "harness/base/unique_fd.h"
#include "harness/snapshot/sha256.h"
#include "harness/snapshot/snapshot_faults.h"
#include "harness/snapshot/snapshot_format.h"

namespace chaosgate::snapshot {

struct SourceOptions {
  BodyKind body = BodyKind::archive;
  // Of the last entry that the engine has applied.
  std::uint64_t index = 0;
  std::uint64_t term = 0;
  std::size_t keyspaces = 0;  // that the engine was opened with
  // A directory for files that are gone when make() returns. It is made anew: what was there, of a process
  // that died in make(), is removed. For an archive REQUIRES: on the engine's file system.
  std::filesystem::path scratch;
  SnapshotFaults faults;
};

class SnapshotSource {
 public:
  // REQUIRES: `engine` was opened with `config` and is not written to meanwhile; for the snapshot to survive
  // its own promise, it has been flushed.
  static Status make(engines::Engine& engine, const engines::EngineConfig& config,
                     const SourceOptions& options, std::unique_ptr<SnapshotSource>* source);

  const SnapshotHeader& header() const { return header_; }

  // The next bytes, at most `bytes_max` and at least one; empty at the end, which comes when
  // header().total_bytes were given. REQUIRES: bytes_max > 0.
  Status read(std::size_t bytes_max, std::string* chunk);
  // Begins again.
  void rewind() { position_ = 0; }

 private:
  SnapshotSource() = default;

  Status finish(const engines::EngineConfig& config, const SourceOptions& options);

  SnapshotHeader header_;
  std::string head_;  // encoded
  UniqueFd body_;
  std::uint64_t body_bytes_ = 0;
  std::string trailer_;
  std::uint64_t position_ = 0;  // in the snapshot
};

}  // namespace chaosgate::snapshot
