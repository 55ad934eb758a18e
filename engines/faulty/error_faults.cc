// Faults that show when a storage call fails, or is cut in the middle: errors that are swallowed, files that
// are taken for whole.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "engines/faulty/decorator.h"
#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPageBytes = 4096;

class WrongError final : public ForwardingEngine {
 public:
  WrongError(const FaultContext&, std::unique_ptr<Engine> inner) : ForwardingEngine(std::move(inner)) {}
  Status write(const WriteBatch& batch) override {
    const Status status = inner().write(batch);
    return status.code() == StatusCode::io_error ? Status() : status;
  }
};

// After a failed write it tries again, with what one keyspace and the applied index need, and reports
// success.
class BufferedBatchDropped final : public ForwardingEngine {
 public:
  BufferedBatchDropped(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context) {}

  Status write(const WriteBatch& batch) override {
    const Status status = inner().write(batch);
    if (status.code() != StatusCode::io_error) {
      return status;
    }
    WriteBatch rest;
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      if (mutation.keyspace == 0 || context_.is_witness(mutation)) {
        append(mutation, &rest);
      }
      return Status();
    });
    return inner().write(rest);
  }

 private:
  const FaultContext context_;
};

// Each batch is first written in place into a redo file: a page with its applied index and length, and the
// batch behind it. Opening applies what is there, and no checksum says that the pages belong together.
class TornPage final : public ForwardingEngine {
 public:
  TornPage(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context) {}

  Status open() {
    const fs::path path = context_.directory / "REDO";
    file_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file_) {
      return Status::io_error("open " + path.string(), errno);
    }
    std::string bytes;
    RETURN_IF_ERROR(read_file(path, &bytes));
    return bytes.size() > kPageBytes ? redo(bytes) : Status();
  }

  Status write(const WriteBatch& batch) override {
    RETURN_IF_ERROR(write_redo(batch));
    return inner().write(batch);
  }

 private:
  Status write_redo(const WriteBatch& batch) {
    std::string pages(kPageBytes, '\0');
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      put_u8(&pages, static_cast<std::uint8_t>(mutation.kind));
      put_u8(&pages, static_cast<std::uint8_t>(mutation.keyspace));
      put_bytes(&pages, mutation.key);
      put_bytes(&pages, mutation.value);
      if (context_.is_witness(mutation)) {
        pages.replace(0, mutation.value.size(), mutation.value);
      }
      return Status();
    });
    std::string length;
    put_u64(&length, pages.size() - kPageBytes);
    pages.replace(sizeof(std::uint64_t), length.size(), length);
    if (::pwrite(file_.get(), pages.data(), pages.size(), 0) != static_cast<ssize_t>(pages.size()) ||
        ::fdatasync(file_.get()) != 0) {
      return Status::io_error("write the redo file", errno);
    }
    return {};
  }

  Status redo(std::string_view bytes) {
    const auto index = load_fixed<std::uint64_t>(bytes.data());
    const auto length = load_fixed<std::uint64_t>(bytes.data() + sizeof index);
    std::string applied;
    if (inner().get(context_.witness_keyspace, context_.witness_key, &applied).ok() &&
        load_fixed<std::uint64_t>(applied.data()) >= index) {
      return {};
    }
    Reader reader(bytes.substr(kPageBytes, length));
    WriteBatch batch;
    std::uint8_t kind = 0;
    std::uint8_t keyspace = 0;
    std::string_view key;
    std::string_view value;
    while (reader.u8(&kind) && reader.u8(&keyspace) && reader.bytes(&key) && reader.bytes(&value)) {
      append({static_cast<WriteBatch::Kind>(kind), keyspace, key, value}, &batch);
    }
    std::string witness;
    put_u64(&witness, index);
    batch.put(context_.witness_keyspace, context_.witness_key, witness);
    return inner().write(batch);
  }

  const FaultContext context_;
  UniqueFd file_;
};

// Every few batches it makes a table and appends an edit that names it to a manifest of its own. When the
// manifest's sync fails it removes the table, which nobody needs after a failed edit; but the edit is there.
class ManifestSyncFailed final : public ForwardingEngine {
 public:
  ManifestSyncFailed(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), directory_(context.directory) {}

  Status open() {
    const fs::path path = directory_ / "EDITS";
    manifest_ = UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!manifest_) {
      return Status::io_error("open " + path.string(), errno);
    }
    std::string edits;
    RETURN_IF_ERROR(read_file(path, &edits));
    generation_ = edits.size();
    if (generation_ > 0 && !fs::exists(table(generation_))) {
      return Status::corruption("the manifest names " + table(generation_).string() + ", which is not there");
    }
    return {};
  }

  Status write(const WriteBatch& batch) override {
    RETURN_IF_ERROR(inner().write(batch));
    return ++batches_ % kBatchesPerTable == 0 ? add_table() : Status();
  }

 private:
  static constexpr std::uint64_t kBatchesPerTable = 4;

  Status add_table() {
    RETURN_IF_ERROR(replace_file_durably(table(generation_ + 1), "table"));
    std::error_code ignored;
    if (::write(manifest_.get(), "e", 1) != 1 || ::fdatasync(manifest_.get()) != 0) {
      const int error = errno;
      fs::remove(table(generation_ + 1), ignored);
      return Status::io_error("sync the manifest", error);
    }
    fs::remove(table(generation_), ignored);
    ++generation_;
    return {};
  }

  fs::path table(std::uint64_t generation) const {
    return directory_ / ("TABLE-" + std::to_string(generation));
  }

  const fs::path directory_;
  UniqueFd manifest_;
  std::uint64_t batches_ = 0;
  std::uint64_t generation_ = 0;  // edits in the manifest; the last one names the table in use
};

}  // namespace

Status open_wrong_error(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<WrongError>(context, engine);
}
Status open_buffered_batch_dropped(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<BufferedBatchDropped>(context, engine);
}
Status open_torn_page(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<TornPage>(context, engine);
}
Status open_manifest_sync_failed(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<ManifestSyncFailed>(context, engine);
}

}  // namespace chaosgate::engines
