// SnapshotReceiver takes a snapshot in pieces and says whether it arrived whole and may be installed here.
//
// The bytes go to an unnamed file: what is refused, or not finished when the process dies, leaves nothing.
// Nothing outside that file is touched, so the state that was there stays as it was. What may be installed is
// decided as early as the bytes allow: by the header, before the body comes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "engines/engine.h"
#include "harness/base/unique_fd.h"
#include "harness/snapshot/archive.h"
#include "harness/snapshot/sha256.h"
#include "harness/snapshot/snapshot_faults.h"
#include "harness/snapshot/snapshot_format.h"

namespace chaosgate::snapshot {

// A snapshot that arrived whole. Owns its bytes. Movable; not thread-safe.
class ReceivedSnapshot {
 public:
  ReceivedSnapshot() = default;
  ReceivedSnapshot(SnapshotHeader header, bool legacy, UniqueFd file, std::uint64_t body_begin,
                   std::uint64_t body_end)
      : header_(std::move(header)),
        legacy_(legacy),
        file_(std::move(file)),
        body_begin_(body_begin),
        body_end_(body_end) {}

  // Of a legacy snapshot only total_bytes and family mean something: its index is in the engine.
  const SnapshotHeader& header() const { return header_; }
  bool legacy() const { return legacy_; }

  // Makes the store in `directory`, which must not exist, with its marker; closed when it returns ok. Durable
  // is none of it; after a failure a part may be there. REQUIRES: `config` is the family that it was received
  // for.
  Status unpack(const engines::EngineConfig& config, const engines::EngineOptions& options,
                const std::filesystem::path& directory) const;

 private:
  Status unpack_archive(const engines::EngineConfig& config, const std::filesystem::path& directory) const;
  Status unpack_key_values(const engines::EngineConfig& config, const engines::EngineOptions& options,
                           const std::filesystem::path& directory) const;
  Status unpack_legacy(const engines::EngineConfig& config, const engines::EngineOptions& options,
                       const std::filesystem::path& directory) const;
  FileRange body() const { return {file_.get(), body_begin_, body_end_}; }

  SnapshotHeader header_;
  bool legacy_ = false;
  UniqueFd file_;
  std::uint64_t body_begin_ = 0;
  std::uint64_t body_end_ = 0;
};

// After a call that failed every call fails with the same Status. Not thread-safe.
class SnapshotReceiver {
 public:
  // `file`: where the bytes go; a name that is free but for what a process that died in here left.
  // `installed`: the last entry that the state here has, so that an older snapshot is refused. `config` must
  // outlive this.
  SnapshotReceiver(const engines::EngineConfig& config, std::filesystem::path file, std::uint64_t installed,
                   SnapshotFaults faults = {});

  // corruption for damage and for more bytes than announced; not_supported for a newer format;
  // invalid_argument for an archive of another engine family, a snapshot that is not newer than what is
  // installed, and a legacy one where the engine has none.
  Status feed(std::string_view bytes);
  // No more bytes come. corruption unless the snapshot is whole and its trailer is right.
  Status finish(ReceivedSnapshot* received);

 private:
  Status open();
  Status take_header();
  Status decide(const SnapshotHeader& header) const;
  Status take(std::string_view bytes);
  Status check_trailer();
  Status run(std::string_view bytes);

  const engines::EngineConfig& config_;
  const std::filesystem::path path_;
  const std::uint64_t installed_;
  const SnapshotFaults faults_;
  UniqueFd file_;
  std::string head_;  // until the header is complete
  enum class Stage : std::uint8_t { beginning, header, body, legacy } stage_ = Stage::beginning;
  SnapshotHeader header_;
  std::size_t header_bytes_ = 0;
  std::uint64_t received_ = 0;  // bytes in the file
  Sha256 digest_;               // of all that is not the trailer
  std::string trailer_;
  Status failed_;
};

}  // namespace chaosgate::snapshot
