#include "engines/lmdb/lmdb_engine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <lmdb.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "engines/directory.h"
#include "engines/lmdb/lmdb_read.h"
#include "engines/marker.h"
#include "harness/base/check.h"
#include "harness/base/file.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr const char* kDataFile = "data.mdb";
constexpr std::uint64_t kMetaBytes = 2 * 4096;  // the two meta pages at the head of the data file
constexpr const char* kLockFile = "lock.mdb";
constexpr const char* kCompactedFile = "data.mdb.compact";  // becomes data.mdb by rename

struct LmdbSettings {
  std::string family;
  fs::path directory;
  std::vector<std::string> keyspaces;
  bool sync_commits = true;
  bool read_only = false;
  std::uint64_t map_bytes = kLmdbMapBytes;
};

// The environment: the open file, its map and its named databases. Closes them when it goes.
class Environment {
 public:
  Environment() = default;
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    if (reader_ != nullptr) {
      mdb_txn_abort(reader_);
    }
    if (env_ != nullptr) {
      mdb_env_close(env_);
    }
  }

  Status open(const LmdbSettings& settings, bool create);

  MDB_env* env() const { return env_; }
  const std::vector<MDB_dbi>& databases() const { return databases_; }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value);

 private:
  Status open_databases(const LmdbSettings& settings, bool create);

  MDB_env* env_ = nullptr;
  MDB_txn* reader_ = nullptr;  // for get(): renewed and reset, which saves the reader slot's search
  std::vector<MDB_dbi> databases_;
};

Status Environment::open(const LmdbSettings& settings, bool create) {
  RETURN_IF_ERROR(from_lmdb(mdb_env_create(&env_), "create an environment"));
  RETURN_IF_ERROR(from_lmdb(mdb_env_set_mapsize(env_, settings.map_bytes), "set the map size"));
  RETURN_IF_ERROR(
      from_lmdb(mdb_env_set_maxdbs(env_, static_cast<MDB_dbi>(settings.keyspaces.size())), "set maxdbs"));
  // Iterators and snapshots live side by side on one thread, so a reader belongs to its transaction.
  // A read-only environment takes no lock: the lock file belongs to the store, and would be changed.
  const unsigned flags = MDB_NOTLS | (settings.sync_commits ? 0U : MDB_NOSYNC) |
                         (settings.read_only ? MDB_RDONLY | MDB_NOLOCK : 0U);
  const int code = mdb_env_open(env_, settings.directory.c_str(), flags, 0644);
  RETURN_IF_ERROR(from_lmdb(code, "open " + settings.directory.string()));
  if (!settings.read_only) {
    int dead_readers = 0;  // of processes that were killed; their slots would pin old pages
    RETURN_IF_ERROR(from_lmdb(mdb_reader_check(env_, &dead_readers), "look for dead readers"));
  }
  RETURN_IF_ERROR(open_databases(settings, create));
  RETURN_IF_ERROR(from_lmdb(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reader_), "begin a read transaction"));
  mdb_txn_reset(reader_);
  return {};
}

Status Environment::open_databases(const LmdbSettings& settings, bool create) {
  MDB_txn* txn = nullptr;
  RETURN_IF_ERROR(from_lmdb(mdb_txn_begin(env_, nullptr, create ? 0U : MDB_RDONLY, &txn), "begin"));
  for (const std::string& name : settings.keyspaces) {
    MDB_dbi database = 0;
    const int code = mdb_dbi_open(txn, name.c_str(), create ? MDB_CREATE : 0U, &database);
    if (code != MDB_SUCCESS) {
      mdb_txn_abort(txn);
      return code == MDB_NOTFOUND ? Status::corruption(fmt::format("{} has no keyspace \"{}\"",
                                                                   settings.directory.string(), name))
                                  : from_lmdb(code, "open keyspace " + name);
    }
    databases_.push_back(database);
  }
  return from_lmdb(mdb_txn_commit(txn), "commit the opening of the keyspaces");
}

Status Environment::get(KeyspaceId keyspace, std::string_view key, std::string* value) {
  RETURN_IF_ERROR(check_key(keyspace, key, databases_.size()));
  RETURN_IF_ERROR(from_lmdb(mdb_txn_renew(reader_), "renew a read transaction"));
  MDB_val wanted = to_val(key);
  MDB_val found{};
  const int code = mdb_get(reader_, databases_[keyspace], &wanted, &found);
  if (code == MDB_SUCCESS) {
    value->assign(from_val(found));
  }
  mdb_txn_reset(reader_);
  return from_lmdb(code, "get");
}

// One write transaction: all of a batch or nothing.
class Writer {
 public:
  explicit Writer(const Environment& environment, std::uint64_t map_bytes)
      : environment_(environment), map_bytes_(map_bytes) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    if (txn_ != nullptr) {
      mdb_txn_abort(txn_);
    }
  }

  Status apply(const WriteBatch& batch) {
    RETURN_IF_ERROR(outcome(mdb_txn_begin(environment_.env(), nullptr, 0, &txn_), "begin"));
    RETURN_IF_ERROR(batch.for_each([&](const WriteBatch::Mutation& mutation) { return apply(mutation); }));
    return outcome(mdb_txn_commit(std::exchange(txn_, nullptr)), "commit");
  }

 private:
  Status apply(const WriteBatch::Mutation& mutation) {
    RETURN_IF_ERROR(check_mutation(mutation, environment_.databases().size()));
    const MDB_dbi database = environment_.databases()[mutation.keyspace];
    MDB_val key = to_val(mutation.key);
    MDB_val value = to_val(mutation.value);
    switch (mutation.kind) {
      case WriteBatch::Kind::put:
        return outcome(mdb_put(txn_, database, &key, &value, 0), "put");
      case WriteBatch::Kind::erase: {
        const int code = mdb_del(txn_, database, &key, nullptr);
        return code == MDB_NOTFOUND ? Status() : outcome(code, "delete");
      }
      case WriteBatch::Kind::erase_range:
        return erase_range(database, mutation.key, mutation.value);
    }
    return Status::invalid_argument("unknown kind of mutation");
  }

  Status erase_range(MDB_dbi database, std::string_view begin, std::string_view end) {
    MDB_cursor* cursor = nullptr;
    RETURN_IF_ERROR(outcome(mdb_cursor_open(txn_, database, &cursor), "open a cursor"));
    MDB_val key = to_val(begin);
    MDB_val value{};
    // LMDB takes no empty key, not even to search.
    int code = mdb_cursor_get(cursor, &key, &value, begin.empty() ? MDB_FIRST : MDB_SET_RANGE);
    while (code == MDB_SUCCESS && from_val(key) < end) {
      code = mdb_cursor_del(cursor, 0);
      if (code == MDB_SUCCESS) {
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);  // after a deletion: what moved into its place
      }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? Status() : outcome(code, "delete a range");
  }

  Status outcome(int code, std::string_view what) const {
    if (code == MDB_MAP_FULL) {
      return Status::io_error(fmt::format("{}: the map of {} MiB is full", what, map_bytes_ >> 20));
    }
    return from_lmdb(code, what);
  }

  const Environment& environment_;
  const std::uint64_t map_bytes_;
  MDB_txn* txn_ = nullptr;
};

class LmdbEngine final : public Engine {
 public:
  explicit LmdbEngine(LmdbSettings settings) : settings_(std::move(settings)) {}
  ~LmdbEngine() override { CHECK(open_readers_ == 0, "{} iterators or snapshots are open", open_readers_); }

  Status open(bool create) {
    if (!settings_.read_only) {
      RETURN_IF_ERROR(end_compaction());
    }
    return reopen(create);
  }

  Status write(const WriteBatch& batch) override {
    RETURN_IF_ERROR(check_writable());
    return Writer(*environment_, settings_.map_bytes).apply(batch);
  }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    RETURN_IF_ERROR(broken_);
    return environment_->get(keyspace, key, value);
  }

  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    if (!broken_.ok()) {
      return make_failed_iterator(broken_);
    }
    CHECK(keyspace < environment_->databases().size(), "keyspace {}", keyspace);
    return make_lmdb_iterator(begin_read(), environment_->databases()[keyspace]);
  }

  std::unique_ptr<Snapshot> snapshot() override {
    return broken_.ok() ? make_lmdb_snapshot(begin_read(), environment_->databases())
                        : make_failed_snapshot(broken_);
  }

  Status flush() override {
    RETURN_IF_ERROR(check_writable());
    if (settings_.sync_commits) {
      return {};  // every commit already did it
    }
    return from_lmdb(mdb_env_sync(environment_->env(), 1), "sync");
  }

  Status compact() override;
  Status checkpoint(const fs::path& directory) override;
  Status size(SizeInfo* info) override;
  Status check_integrity() override;

 private:
  Status check_writable() const {
    RETURN_IF_ERROR(broken_);
    return settings_.read_only ? Status::not_supported("the store is open for reading only") : Status();
  }

  // What a process that was killed during compact() may have left: a copy, which never was part of the store,
  // or a name that is not durable yet, and commits to the file are not safe before it is.
  Status end_compaction() {
    const fs::path leftover = settings_.directory / kCompactedFile;
    std::error_code error;
    if (fs::exists(leftover, error) && !fs::remove(leftover, error)) {
      return Status::io_error("remove " + leftover.string(), error.value());
    }
    return sync_directory(settings_.directory);
  }

  Status reopen(bool create) {
    environment_ = std::make_unique<Environment>();
    broken_ = environment_->open(settings_, create);
    return broken_;
  }

  std::shared_ptr<const ReadTransaction> begin_read() {
    return std::make_shared<const ReadTransaction>(environment_->env(), &open_readers_);
  }

  // Writes a copy of the current state, durable but for its name. A failed copy leaves no file.
  Status copy_to(const fs::path& file, unsigned flags) {
    const Status copied = write_copy(file, flags);
    if (!copied.ok()) {
      std::error_code ignored;
      fs::remove(file, ignored);
    }
    return copied;
  }

  Status write_copy(const fs::path& file, unsigned flags) {
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) {
      return Status::io_error("create " + file.string(), errno);
    }
    RETURN_IF_ERROR(
        from_lmdb(mdb_env_copyfd2(environment_->env(), fd.get(), flags), "copy to " + file.string()));
    if (::fsync(fd.get()) != 0) {
      return Status::io_error("fsync " + file.string(), errno);
    }
    return {};
  }

  Status check_keyspace(MDB_txn* txn, std::size_t keyspace);

  const LmdbSettings settings_;
  int open_readers_ = 0;
  std::unique_ptr<Environment> environment_;
  Status broken_;  // why the engine can no longer be used
};

// LMDB cannot shrink its file in place. A crash at any point leaves either the old file, perhaps with a
// leftover beside it, or the new one.
Status LmdbEngine::compact() {
  CHECK(open_readers_ == 0, "{} iterators or snapshots are open", open_readers_);
  RETURN_IF_ERROR(check_writable());
  const fs::path data = settings_.directory / kDataFile;
  const fs::path compacted = settings_.directory / kCompactedFile;
  RETURN_IF_ERROR(copy_to(compacted, MDB_CP_COMPACT));

  environment_.reset();
  std::error_code error;
  fs::rename(compacted, data, error);
  if (!error) {
    // Commits to the new file are not safe before its name is. After a failed sync nobody knows which of the
    // two files a power cut would leave, so the engine takes no more of them.
    broken_ = sync_directory(settings_.directory);
    RETURN_IF_ERROR(broken_);
  }
  RETURN_IF_ERROR(reopen(false));
  return error ? Status::io_error("rename " + compacted.string(), error.value()) : Status();
}

Status LmdbEngine::checkpoint(const fs::path& directory) {
  RETURN_IF_ERROR(broken_);
  const fs::path place = without_trailing_slash(directory);
  std::error_code error;
  if (!fs::create_directory(place, error)) {
    return Status::io_error("create " + place.string(), error ? error.value() : EEXIST);
  }
  RETURN_IF_ERROR(copy_to(place / kDataFile, 0));
  // The marker comes last: without it nobody opens an unfinished copy.
  RETURN_IF_ERROR(write_marker(place, {settings_.family, settings_.keyspaces}));
  return sync_directory(parent_directory(place));
}

Status LmdbEngine::size(SizeInfo* info) {
  RETURN_IF_ERROR(broken_);
  RETURN_IF_ERROR(directory_bytes(settings_.directory, &info->bytes_on_disk));
  MDB_stat stat{};
  RETURN_IF_ERROR(from_lmdb(mdb_env_stat(environment_->env(), &stat), "stat"));
  const auto pages = [](const MDB_stat& s) {
    return std::uint64_t{s.ms_branch_pages} + s.ms_leaf_pages + s.ms_overflow_pages;
  };
  std::uint64_t used = 2 + pages(stat);  // two meta pages
  const std::shared_ptr<const ReadTransaction> read = begin_read();
  RETURN_IF_ERROR(read->status());
  for (const MDB_dbi database : environment_->databases()) {
    RETURN_IF_ERROR(from_lmdb(mdb_stat(read->txn(), database, &stat), "stat"));
    used += pages(stat);
  }
  info->bytes_in_use = used * stat.ms_psize;
  return {};
}

Status LmdbEngine::check_integrity() {
  RETURN_IF_ERROR(broken_);
  const std::shared_ptr<const ReadTransaction> read = begin_read();
  RETURN_IF_ERROR(read->status());
  for (std::size_t keyspace = 0; keyspace < settings_.keyspaces.size(); ++keyspace) {
    RETURN_IF_ERROR(check_keyspace(read->txn(), keyspace));
  }
  return {};
}

// LMDB has no checksums: what can be checked is that the tree can be walked, that its keys ascend, and that
// it has as many entries as it says.
Status LmdbEngine::check_keyspace(MDB_txn* txn, std::size_t keyspace) {
  const std::string& name = settings_.keyspaces[keyspace];
  const MDB_dbi database = environment_->databases()[keyspace];
  MDB_stat stat{};
  RETURN_IF_ERROR(from_lmdb(mdb_stat(txn, database, &stat), "stat " + name));
  MDB_cursor* opened = nullptr;
  RETURN_IF_ERROR(from_lmdb(mdb_cursor_open(txn, database, &opened), "open a cursor"));
  const std::unique_ptr<MDB_cursor, decltype(&mdb_cursor_close)> cursor(opened, mdb_cursor_close);

  std::uint64_t entries = 0;
  std::string previous;
  MDB_val key{};
  MDB_val value{};
  int code = mdb_cursor_get(opened, &key, &value, MDB_FIRST);
  for (; code == MDB_SUCCESS; code = mdb_cursor_get(opened, &key, &value, MDB_NEXT)) {
    if (from_val(key) <= previous) {
      return Status::corruption("keys of " + name + " are out of order");
    }
    previous = from_val(key);
    ++entries;
  }
  if (code != MDB_NOTFOUND) {
    return from_lmdb(code, "walk " + name);
  }
  if (entries != stat.ms_entries) {
    return Status::corruption(
        fmt::format("{} has {} entries, its root says {}", name, entries, stat.ms_entries));
  }
  return {};
}

Status open_store(const EngineConfig& config, const fs::path& directory, const EngineOptions& options,
                  bool create, std::unique_ptr<Engine>* engine) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(directory / kDataFile, error);
  return open_lmdb(config, directory, options, create, lmdb_map_bytes(error ? 0 : size), engine);
}

// mdb_env_open() takes an empty data file for a new environment, so that is not a store.
bool has_store(const fs::path& directory) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(directory / kDataFile, error);
  return !error && size > 0;
}

// A copy has every page up to the last one in use. The file of a store need not: pages that one transaction
// took and gave back are never written, so this is not a check of stores.
Status check_copy(const fs::path& file) {
  MDB_env* opened = nullptr;
  RETURN_IF_ERROR(from_lmdb(mdb_env_create(&opened), "create an environment"));
  const std::unique_ptr<MDB_env, decltype(&mdb_env_close)> env(opened, mdb_env_close);
  RETURN_IF_ERROR(from_lmdb(mdb_env_set_mapsize(opened, kLmdbMapBytes), "set the map size"));
  RETURN_IF_ERROR(from_lmdb(mdb_env_open(opened, file.c_str(), MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0),
                            "open " + file.string()));
  MDB_envinfo info{};
  MDB_stat stat{};
  RETURN_IF_ERROR(from_lmdb(mdb_env_info(opened, &info), "info"));
  RETURN_IF_ERROR(from_lmdb(mdb_env_stat(opened, &stat), "stat"));
  std::error_code error;
  const std::uintmax_t size = fs::file_size(file, error);
  if (error) {
    return Status::io_error("stat " + file.string(), error.value());
  }
  const std::uint64_t expected = (std::uint64_t{info.me_last_pgno} + 1) * stat.ms_psize;
  return size >= expected ? Status()
                          : Status::corruption(fmt::format("{} is truncated: expected {} bytes, found {}",
                                                           file.string(), expected, size));
}

EngineConfig base_config() {
  EngineConfig config;
  config.family = "lmdb";
  config.version = fmt::format("{}.{}.{}", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
  config.contract.flush = Durability::power_cut;
  config.contract.checksums = false;
  config.contract.modifies_in_place = true;
  config.contract.volatile_files = {kLockFile};
  config.file_classes = {{"meta", kDataFile, kMetaBytes}, {"data", kDataFile},
                         {"copy", kCompactedFile},        {"lock", kLockFile},
                         {"marker", "ENGINE*"},           {"other", "*"}};
  config.opens_read_only = true;
  config.open = open_store;
  config.has_store = has_store;
  config.single_file = kDataFile;
  config.check_single_file = check_copy;
  return config;
}

}  // namespace

Status open_lmdb(const EngineConfig& config, const fs::path& directory, const EngineOptions& options,
                 bool create, std::uint64_t map_bytes, std::unique_ptr<Engine>* engine) {
  LmdbSettings settings;
  settings.family = config.family;
  settings.directory = directory;
  settings.keyspaces = options.keyspaces;
  settings.sync_commits = config.contract.commit == Durability::power_cut;
  settings.read_only = options.read_only;
  settings.map_bytes = map_bytes;
  auto opened = std::make_unique<LmdbEngine>(std::move(settings));
  RETURN_IF_ERROR(opened->open(create));
  *engine = std::move(opened);
  return {};
}

std::vector<EngineConfig> lmdb_configs() {
  EngineConfig synced = base_config();
  synced.name = "lmdb";
  synced.summary = "copy-on-write B+ tree, every batch synced";
  synced.contract.commit = Durability::power_cut;

  EngineConfig unsynced = base_config();
  unsynced.name = "lmdb-nosync";
  unsynced.summary = "copy-on-write B+ tree, synced by flush only; a power cut may damage it";
  unsynced.contract.commit = Durability::process_crash;
  unsynced.contract.opens_after_power_cut = false;
  return {synced, unsynced};
}

}  // namespace chaosgate::engines
