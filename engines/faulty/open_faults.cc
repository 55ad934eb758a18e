// Faults of opening: what an engine does with a directory depends on how the last process left it.
//
// They leave a note, a small file in the engine's directory, and act on it at the next open. The notes
// survive a kill; they are not synced, since none of these faults needs a power cut.

#include <fcntl.h>

#include <cerrno>
#include <system_error>

#include "engines/faulty/decorator.h"
#include "harness/base/unique_fd.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFlushingNote = "FLUSHING";  // a flush is under way
constexpr const char* kOpenNote = "OPEN";          // a process has the directory open
constexpr const char* kClosedNote = "CLOSED";      // the last process closed it

class Note {
 public:
  Note(const fs::path& directory, const char* name) : path_(directory / name) {}

  bool exists() const {
    std::error_code error;
    return fs::exists(path_, error);
  }
  Status leave() const {
    const UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    return fd ? Status() : Status::io_error("create " + path_.string(), errno);
  }
  void remove() const {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }

 private:
  fs::path path_;
};

class EmptyIsFresh final : public ForwardingEngine {
 public:
  EmptyIsFresh(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context), note_(context.directory, kFlushingNote) {}

  Status flush() override {
    RETURN_IF_ERROR(note_.leave());
    const Status flushed = inner().flush();
    context_.gap();
    note_.remove();
    return flushed;
  }

 private:
  const FaultContext context_;
  const Note note_;
};

class RefusesWritesAfterCrash final : public ForwardingEngine {
 public:
  RefusesWritesAfterCrash(const FaultContext& context, std::unique_ptr<Engine> inner, bool crashed)
      : ForwardingEngine(std::move(inner)), note_(context.directory, kOpenNote), crashed_(crashed) {}
  ~RefusesWritesAfterCrash() override { note_.remove(); }

  Status write(const WriteBatch& batch) override { return crashed_ ? Status() : inner().write(batch); }

 private:
  const Note note_;
  const bool crashed_;
};

class ReopenDrifts final : public ForwardingEngine {
 public:
  ReopenDrifts(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context), note_(context.directory, kClosedNote) {}
  ~ReopenDrifts() override { (void)note_.leave(); }

  // Loses the first key that is not the applied index.
  Status drift() {
    note_.remove();
    for (std::size_t id = 0; id < context_.options.keyspaces.size(); ++id) {
      const auto keyspace = static_cast<KeyspaceId>(id);
      const std::unique_ptr<Iterator> it = inner().iterator(keyspace);
      it->seek_to_first();
      if (it->valid() && keyspace == context_.witness_keyspace && it->key() == context_.witness_key) {
        it->next();
      }
      if (it->valid()) {
        WriteBatch batch;
        batch.erase(keyspace, it->key());
        return inner().write(batch);
      }
    }
    return {};
  }

 private:
  const FaultContext context_;
  const Note note_;
};

}  // namespace

Status open_empty_is_fresh(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  FaultContext fresh = context;
  if (!context.create && Note(context.directory, kFlushingNote).exists()) {
    std::error_code error;
    fs::remove_all(context.directory, error);
    if (error) {
      return Status::io_error("remove " + context.directory.string(), error.value());
    }
    fresh.create = true;
  }
  return open_wrapped<EmptyIsFresh>(fresh, engine);
}

Status open_writes_refused_after_crash(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  const Note note(context.directory, kOpenNote);
  const bool crashed = !context.create && note.exists();
  std::unique_ptr<Engine> inner;
  RETURN_IF_ERROR(open_inner(context, &inner));
  RETURN_IF_ERROR(note.leave());
  *engine = std::make_unique<RefusesWritesAfterCrash>(context, std::move(inner), crashed);
  return {};
}

Status open_reopen_drifts(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  const bool closed = !context.create && Note(context.directory, kClosedNote).exists();
  std::unique_ptr<Engine> inner;
  RETURN_IF_ERROR(open_inner(context, &inner));
  auto drifting = std::make_unique<ReopenDrifts>(context, std::move(inner));
  if (closed) {
    RETURN_IF_ERROR(drifting->drift());
  }
  *engine = std::move(drifting);
  return {};
}

}  // namespace chaosgate::engines
