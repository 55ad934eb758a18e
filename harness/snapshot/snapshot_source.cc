#include "harness/snapshot/snapshot_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "harness/base/file.h"
#include "harness/snapshot/archive.h"
#include "harness/snapshot/key_value_stream.h"

namespace chaosgate::snapshot {

namespace fs = std::filesystem;

namespace {

constexpr const char* kBody = "a snapshot's body";

// A directory for one use: empty at first, gone at the end.
class Scratch {
 public:
  explicit Scratch(fs::path path) : path_(std::move(path)) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  Status make() const {
    std::error_code error;
    fs::remove_all(path_, error);
    if (!error) {
      fs::create_directory(path_, error);
    }
    return error ? Status::io_error("make " + path_.string(), error.value()) : Status();
  }
  const fs::path& path() const { return path_; }

 private:
  const fs::path path_;
};

Status write_archive(engines::Engine& engine, const fs::path& scratch, int fd) {
  const fs::path checkpoint = scratch / "checkpoint";
  RETURN_IF_ERROR(engine.checkpoint(checkpoint));
  return pack_directory(checkpoint, fd);
}

Status write_stream(engines::Engine& engine, std::size_t keyspaces, int fd) {
  KeyValueWriter writer(keyspaces, [&](std::string_view bytes) { return write_all(fd, bytes, kBody); });
  return write_key_values(*engine.snapshot(), keyspaces, writer);
}

}  // namespace

Status SnapshotSource::make(engines::Engine& engine, const engines::EngineConfig& config,
                            const SourceOptions& options, std::unique_ptr<SnapshotSource>* source) {
  const Scratch scratch(options.scratch);
  RETURN_IF_ERROR(scratch.make());
  std::unique_ptr<SnapshotSource> made(new SnapshotSource);
  const fs::path file = scratch.path() / "body";
  made->body_.reset(::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made->body_) {
    return Status::io_error("create " + file.string(), errno);
  }
  RETURN_IF_ERROR(options.body == BodyKind::archive
                      ? write_archive(engine, scratch.path(), made->body_.get())
                      : write_stream(engine, options.keyspaces, made->body_.get()));
  RETURN_IF_ERROR(made->finish(config, options));
  *source = std::move(made);
  return {};
}

// The body is there: what goes around it.
Status SnapshotSource::finish(const engines::EngineConfig& config, const SourceOptions& options) {
  struct stat info {};
  if (::fstat(body_.get(), &info) != 0) {
    return Status::io_error("stat a snapshot's body", errno);
  }
  body_bytes_ = static_cast<std::uint64_t>(info.st_size);
  header_.body = options.body;
  header_.family = config.family;
  header_.index = options.index;
  header_.term = options.term;
  header_.total_bytes = encode_header(header_).size() + body_bytes_ + kTrailerBytes;
  if (options.faults.short_snapshot) {
    header_.total_bytes = body_bytes_;
  }
  head_ = encode_header(header_);

  Sha256 digest;
  digest.add(head_);
  RETURN_IF_ERROR(for_each_block({body_.get(), 0, body_bytes_}, kBody, [&](const std::string& block) {
    digest.add(block);
    return Status();
  }));
  trailer_ = digest.finish();
  return {};
}

Status SnapshotSource::read(std::size_t bytes_max, std::string* chunk) {
  const std::uint64_t body_begin = head_.size();
  const std::uint64_t body_end = body_begin + body_bytes_;
  const std::uint64_t size = std::min<std::uint64_t>(bytes_max, header_.total_bytes - position_);
  chunk->clear();
  if (position_ < body_begin) {
    chunk->assign(head_, position_, size);
  }
  if (const std::uint64_t at = position_ + chunk->size(); at >= body_begin && at < body_end) {
    const std::size_t before = chunk->size();
    chunk->resize(before + std::min<std::uint64_t>(size - before, body_end - at));
    RETURN_IF_ERROR(
        read_exactly(body_.get(), at - body_begin, chunk->data() + before, chunk->size() - before, kBody));
  }
  if (const std::uint64_t at = position_ + chunk->size(); at >= body_end) {
    chunk->append(trailer_, at - body_end, size - chunk->size());
  }
  position_ += chunk->size();
  return {};
}

}  // namespace chaosgate::snapshot
