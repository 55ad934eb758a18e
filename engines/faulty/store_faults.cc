// Faults of where bytes lie and of what lies between an engine's own steps: a write-ahead log that is read
// too boldly, tables that are not whole, a moment in which a memory table is in neither place, files that
// nobody removes. All but one are mistakes of a small store of our own, see table_store.h.

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "engines/faulty/decorator.h"
#include "engines/faulty/table_store.h"

namespace chaosgate::engines {
namespace {

Status open_store(const FaultContext& context, const TableStoreMistakes& mistakes,
                  std::unique_ptr<Engine>* engine) {
  return TableStore::open(context.directory, context.options.keyspaces.size(), context.create, mistakes,
                          engine);
}

// A memory table in front of the engine. With free-running maintenance a thread of its own moves it into the
// engine when it is large enough: all of it, or its tombstones alone, is taken out of sight before it is
// written. A reader in between finds neither, or what a tombstone hid.
template <bool kTombstonesOnly>
class MovesMemtableBadly final : public ForwardingEngine {
 public:
  MovesMemtableBadly(const FaultContext& context, std::unique_ptr<Engine> inner)
      : ForwardingEngine(std::move(inner)), context_(context) {
    if (context_.options.maintenance == Maintenance::free_running) {
      thread_ = std::thread([this] { move_when_large(); });
    }
  }
  ~MovesMemtableBadly() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  Status write(const WriteBatch& batch) override {
    std::unique_lock lock(mutex_);
    bool has_range = false;
    RETURN_IF_ERROR(batch.for_each([&](const WriteBatch::Mutation& mutation) {
      has_range = has_range || mutation.kind == WriteBatch::Kind::erase_range;
      return check_mutation(mutation, context_.options.keyspaces.size());
    }));
    if (has_range) {
      RETURN_IF_ERROR(empty_table(lock));
      return inner().write(batch);
    }
    (void)batch.for_each([&](const WriteBatch::Mutation& mutation) {
      append(mutation, &pending_);
      table_[{mutation.keyspace, std::string(mutation.key)}] =
          mutation.kind == WriteBatch::Kind::put ? std::optional<std::string>(mutation.value) : std::nullopt;
      return Status();
    });
    changed_.notify_all();
    return failed_;
  }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    const std::lock_guard lock(mutex_);
    const auto found = table_.find({keyspace, std::string(key)});
    if (found == table_.end()) {
      return inner().get(keyspace, key, value);
    }
    if (!found->second) {
      return Status::not_found();
    }
    *value = *found->second;
    return {};
  }

  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    std::unique_lock lock(mutex_);
    failed_ = empty_table(lock);
    return inner().iterator(keyspace);
  }
  std::unique_ptr<Snapshot> snapshot() override {
    std::unique_lock lock(mutex_);
    failed_ = empty_table(lock);
    return inner().snapshot();
  }
  Status flush() override {
    std::unique_lock lock(mutex_);
    RETURN_IF_ERROR(empty_table(lock));
    return inner().flush();
  }
  Status compact() override {
    std::unique_lock lock(mutex_);
    RETURN_IF_ERROR(empty_table(lock));
    return inner().compact();
  }
  Status checkpoint(const std::filesystem::path& directory) override {
    std::unique_lock lock(mutex_);
    RETURN_IF_ERROR(empty_table(lock));
    return inner().checkpoint(directory);
  }

 private:
  static constexpr std::size_t kTableKeysMax = 64;

  WriteBatch take() {
    table_.clear();
    return std::exchange(pending_, {});
  }

  // Puts that stay in sight are no mistake: the engine comes to say the same.
  WriteBatch take_out_of_sight() {
    std::erase_if(table_, [](const auto& entry) { return !kTombstonesOnly || !entry.second; });
    return std::exchange(pending_, {});
  }

  // Moves the table while nobody looks. REQUIRES: `lock` is held.
  Status empty_table(std::unique_lock<std::mutex>& lock) {
    changed_.wait(lock, [&] { return !moving_; });
    RETURN_IF_ERROR(failed_);
    return pending_.empty() ? Status() : inner().write(take());
  }

  void move_when_large() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return closing_ || (table_.size() >= kTableKeysMax && !pending_.empty()); });
      if (closing_) {
        return;
      }
      moving_ = true;
      const WriteBatch batch = take_out_of_sight();
      lock.unlock();
      std::this_thread::yield();
      lock.lock();
      const Status written = inner().write(batch);
      failed_ = failed_.ok() ? written : failed_;
      moving_ = false;
      changed_.notify_all();
    }
  }

  const FaultContext context_;
  std::mutex mutex_;  // guards what follows, and the engine
  std::condition_variable changed_;
  std::map<std::pair<KeyspaceId, std::string>, std::optional<std::string>> table_;  // nullopt: erased
  WriteBatch pending_;                                                              // what the table holds
  bool moving_ = false;
  bool closing_ = false;
  Status failed_;
  std::thread thread_;
};

}  // namespace

Status open_torn_record_skipped(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.skips_torn_record = true}, engine);
}
Status open_page_record_dropped(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.drops_page_record = true}, engine);
}
Status open_short_table_accepted(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.accepts_short_table = true}, engine);
}
Status open_table_sync_ignored(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.ignores_sync_errors = true}, engine);
}
Status open_torn_length_trusted(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.trusts_torn_length = true}, engine);
}
Status open_torn_record_filled(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.fills_torn_record = true}, engine);
}
Status open_border_record_dropped(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.drops_border_record = true}, engine);
}
Status open_failed_flush_acked(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.acks_failed_flush = true}, engine);
}
Status open_name_sync_ignored(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.ignores_name_sync_errors = true}, engine);
}
Status open_table_sync_forgotten(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.forgets_table_syncs = true}, engine);
}
Status open_name_sync_forgotten(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.forgets_name_syncs = true}, engine);
}
Status open_files_leaked(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_store(context, {.leaves_files = true}, engine);
}
Status open_memtable_dropped_early(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<MovesMemtableBadly<false>>(context, engine);
}
Status open_tombstones_moved_late(const FaultContext& context, std::unique_ptr<Engine>* engine) {
  return open_wrapped<MovesMemtableBadly<true>>(context, engine);
}

}  // namespace chaosgate::engines
