#include "harness/snapshot/snapshot_receiver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "engines/marker.h"
#include "engines/registry.h"
#include "harness/base/file.h"
#include "harness/snapshot/key_value_stream.h"

namespace chaosgate::snapshot {

namespace fs = std::filesystem;

namespace {

constexpr const char* kReceived = "a received snapshot";

Status make_directory(const fs::path& directory) {
  std::error_code error;
  if (!fs::create_directory(directory, error)) {
    return Status::io_error("create " + directory.string(), error ? error.value() : EEXIST);
  }
  return {};
}

}  // namespace

Status ReceivedSnapshot::unpack(const engines::EngineConfig& config, const engines::EngineOptions& options,
                                const fs::path& directory) const {
  if (legacy_) {
    return unpack_legacy(config, options, directory);
  }
  return header_.body == BodyKind::archive ? unpack_archive(config, directory)
                                           : unpack_key_values(config, options, directory);
}

Status ReceivedSnapshot::unpack_archive(const engines::EngineConfig& config,
                                        const fs::path& directory) const {
  RETURN_IF_ERROR(make_directory(directory));
  RETURN_IF_ERROR(unpack_directory(body(), directory));
  engines::Marker marker;
  const Status marked = engines::read_marker(directory, &marker);
  if (marked.is_not_found() ||
      (marked.ok() && (marker.family != config.family || !config.has_store(directory)))) {
    return Status::corruption(
        fmt::format("the archive of the snapshot does not hold a {} store", config.family));
  }
  return marked;
}

Status ReceivedSnapshot::unpack_key_values(const engines::EngineConfig& config,
                                           const engines::EngineOptions& options,
                                           const fs::path& directory) const {
  std::unique_ptr<engines::Engine> engine;
  RETURN_IF_ERROR(engines::create_engine(config, directory, options, &engine));
  KeyValueLoader loader(*engine);
  KeyValueReader reader(options.keyspaces.size(),
                        [&](engines::KeyspaceId keyspace, std::string_view key, std::string_view value) {
                          return loader.add(keyspace, key, value);
                        });
  RETURN_IF_ERROR(
      for_each_block(body(), kReceived, [&](const std::string& block) { return reader.feed(block); }));
  RETURN_IF_ERROR(reader.finish());
  RETURN_IF_ERROR(loader.finish());
  return engine->flush();
}

Status ReceivedSnapshot::unpack_legacy(const engines::EngineConfig& config,
                                       const engines::EngineOptions& options,
                                       const fs::path& directory) const {
  RETURN_IF_ERROR(make_directory(directory));
  const fs::path file = directory / config.single_file;
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) {
    return Status::io_error("create " + file.string(), errno);
  }
  RETURN_IF_ERROR(for_each_block(body(), kReceived, [&](const std::string& block) {
    return write_all(fd.get(), block, file.string());
  }));
  RETURN_IF_ERROR(config.check_single_file(file));
  return engines::write_marker(directory, {config.family, options.keyspaces});
}

SnapshotReceiver::SnapshotReceiver(const engines::EngineConfig& config, fs::path file,
                                   std::uint64_t installed, SnapshotFaults faults)
    : config_(config), path_(std::move(file)), installed_(installed), faults_(faults) {}

// The file loses its name at once: it lives as long as its descriptor.
Status SnapshotReceiver::open() {
  file_.reset(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file_) {
    return Status::io_error("create " + path_.string(), errno);
  }
  return ::unlink(path_.c_str()) == 0 ? Status() : Status::io_error("unlink " + path_.string(), errno);
}

Status SnapshotReceiver::decide(const SnapshotHeader& header) const {
  if (header.body == BodyKind::archive && header.family != config_.family) {
    return Status::invalid_argument(
        fmt::format("the snapshot is an archive of a {} store, this replica has a {} store", header.family,
                    config_.family));
  }
  if (header.index <= installed_) {
    return Status::invalid_argument(fmt::format(
        "the snapshot is stale: it ends at entry {}, entry {} is installed here", header.index, installed_));
  }
  return {};
}

// Looks at head_ when it has grown, and moves on when it says enough.
Status SnapshotReceiver::take_header() {
  if (stage_ == Stage::beginning && head_.size() >= kSnapshotMagic.size()) {
    stage_ = head_.starts_with(kSnapshotMagic) ? Stage::header : Stage::legacy;
  }
  if (stage_ == Stage::legacy) {
    if (config_.single_file.empty()) {
      return Status::corruption(fmt::format("the snapshot does not begin with \"{}\"", kSnapshotMagic));
    }
    return take(std::exchange(head_, {}));
  }
  if (stage_ == Stage::beginning || head_.size() < kHeaderPrefixBytes) {
    return {};
  }
  RETURN_IF_ERROR(header_bytes(head_, &header_bytes_));
  if (head_.size() < header_bytes_) {
    return {};
  }
  const std::string head = std::exchange(head_, {});
  RETURN_IF_ERROR(decode_header(std::string_view(head).substr(0, header_bytes_), &header_));
  RETURN_IF_ERROR(decide(header_));
  stage_ = Stage::body;
  return take(head);
}

// Puts bytes behind those that are in the file.
Status SnapshotReceiver::take(std::string_view bytes) {
  if (stage_ == Stage::body && bytes.size() > header_.total_bytes - received_) {
    return Status::corruption(
        fmt::format("the snapshot is longer than the {} bytes that it announces", header_.total_bytes));
  }
  RETURN_IF_ERROR(write_all(file_.get(), bytes, kReceived));
  if (stage_ == Stage::body) {
    const std::uint64_t trailer_begin = header_.total_bytes - kTrailerBytes;
    const std::uint64_t before = received_ < trailer_begin ? trailer_begin - received_ : 0;
    digest_.add(bytes.substr(0, before));
    trailer_.append(bytes.substr(std::min<std::uint64_t>(before, bytes.size())));
  }
  received_ += bytes.size();
  return {};
}

Status SnapshotReceiver::run(std::string_view bytes) {
  if (!file_) {
    RETURN_IF_ERROR(open());
  }
  if (stage_ == Stage::body || stage_ == Stage::legacy) {
    return take(bytes);
  }
  head_.append(bytes);
  return take_header();
}

Status SnapshotReceiver::feed(std::string_view bytes) {
  RETURN_IF_ERROR(failed_);
  failed_ = run(bytes);
  return failed_;
}

Status SnapshotReceiver::check_trailer() {
  if (stage_ != Stage::body) {
    return Status::corruption(
        fmt::format("the snapshot is short: it ends in its header, after {} bytes", head_.size()));
  }
  if (received_ < header_.total_bytes) {
    return Status::corruption(fmt::format("the snapshot is short: it announces {} bytes, {} arrived",
                                          header_.total_bytes, received_));
  }
  if (!faults_.trailer_ignored && digest_.finish() != trailer_) {
    return Status::corruption("the snapshot is damaged: its SHA-256 does not match its trailer");
  }
  return {};
}

Status SnapshotReceiver::finish(ReceivedSnapshot* received) {
  RETURN_IF_ERROR(failed_);
  const bool legacy = stage_ == Stage::legacy;
  if (!legacy) {
    failed_ = check_trailer();
    RETURN_IF_ERROR(failed_);
  } else {
    header_ = {.total_bytes = received_, .family = config_.family};
  }
  const std::uint64_t body_begin = legacy ? 0 : header_bytes_;
  const std::uint64_t body_end = legacy ? received_ : received_ - kTrailerBytes;
  *received = ReceivedSnapshot(header_, legacy, std::move(file_), body_begin, body_end);
  failed_ = Status::invalid_argument("the snapshot was handed over");
  return {};
}

}  // namespace chaosgate::snapshot
