#include "engines/rocksdb/rocksdb_engine.h"

#include <rocksdb/db.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <system_error>
#include <utility>

#include "engines/directory.h"
#include "engines/marker.h"
#include "engines/rocksdb/rocksdb_options.h"
#include "harness/base/check.h"
#include "harness/base/file.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

// With the planted fault flush-not-atomic, the time between the flushes of two keyspaces.
constexpr useconds_t kTornFlushPauseUs = 500;

Status from_rocksdb(const rocksdb::Status& status) {
  if (status.ok()) {
    return {};
  }
  if (status.IsNotFound()) {
    return Status::not_found();
  }
  if (status.IsCorruption()) {
    return Status::corruption(status.ToString());
  }
  if (status.IsInvalidArgument()) {
    return Status::invalid_argument(status.ToString());
  }
  if (status.IsNotSupported()) {
    return Status::not_supported(status.ToString());
  }
  return Status::io_error(status.ToString());
}

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

class RocksIterator final : public Iterator {
 public:
  explicit RocksIterator(rocksdb::Iterator* iterator) : iterator_(iterator) {}

  bool valid() const override { return iterator_->Valid(); }
  void seek_to_first() override { iterator_->SeekToFirst(); }
  void seek_to_last() override { iterator_->SeekToLast(); }
  void seek(std::string_view target) override { iterator_->Seek(slice(target)); }
  void seek_for_prev(std::string_view target) override { iterator_->SeekForPrev(slice(target)); }
  void next() override { iterator_->Next(); }
  void prev() override { iterator_->Prev(); }
  std::string_view key() const override { return view(iterator_->key()); }
  std::string_view value() const override { return view(iterator_->value()); }
  Status status() const override { return from_rocksdb(iterator_->status()); }

 private:
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// The open database with its column families, shared by the engine and its snapshots for reading.
class Store {
 public:
  Store(rocksdb::DB* db, std::vector<rocksdb::ColumnFamilyHandle*> handles)
      : db_(db), handles_(std::move(handles)) {}
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
    }
    db_->Close().PermitUncheckedError();  // closing promises nothing
  }

  rocksdb::DB* db() const { return db_.get(); }
  // The last handle is the default column family, which holds nothing.
  std::size_t keyspace_count() const { return handles_.size() - 1; }
  std::vector<rocksdb::ColumnFamilyHandle*> keyspaces() const {
    return {handles_.begin(), handles_.end() - 1};
  }
  rocksdb::ColumnFamilyHandle* keyspace(KeyspaceId id) const {
    CHECK(id < keyspace_count(), "keyspace {} of {}", id, keyspace_count());
    return handles_[id];
  }

  Status get(const rocksdb::ReadOptions& options, KeyspaceId id, std::string_view key,
             std::string* value) const {
    RETURN_IF_ERROR(check_key(id, key, keyspace_count()));
    return from_rocksdb(db_->Get(options, keyspace(id), slice(key), value));
  }
  std::unique_ptr<Iterator> iterator(const rocksdb::ReadOptions& options, KeyspaceId id) const {
    return std::make_unique<RocksIterator>(db_->NewIterator(options, keyspace(id)));
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

class RocksSnapshot final : public Snapshot {
 public:
  explicit RocksSnapshot(const Store* store) : store_(store), read_(rocksdb_read_options()) {
    read_.snapshot = store_->db()->GetSnapshot();
  }
  RocksSnapshot(const RocksSnapshot&) = delete;
  RocksSnapshot& operator=(const RocksSnapshot&) = delete;
  ~RocksSnapshot() override { store_->db()->ReleaseSnapshot(read_.snapshot); }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    return store_->get(read_, keyspace, key, value);
  }
  // Pins what it needs at creation, so it may outlive the snapshot.
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    return store_->iterator(read_, keyspace);
  }

 private:
  const Store* store_;
  rocksdb::ReadOptions read_;
};

class RocksEngine final : public Engine {
 public:
  RocksEngine(const EngineConfig& config, fs::path directory, const EngineOptions& options,
              std::unique_ptr<Store> store)
      : marker_{config.family, options.keyspaces},
        directory_(std::move(directory)),
        scheduled_(options.maintenance == Maintenance::scheduled),
        read_only_(options.read_only),
        torn_flush_(config.contract.commit == Durability::nothing && !options.atomic_flush),
        write_(rocksdb_write_options(config.contract.commit != Durability::nothing)),
        read_(rocksdb_read_options()),
        store_(std::move(store)) {}

  Status write(const WriteBatch& batch) override {
    RETURN_IF_ERROR(check_writable());
    batch_.Clear();
    RETURN_IF_ERROR(batch.for_each([&](const WriteBatch::Mutation& mutation) { return add(mutation); }));
    return from_rocksdb(store_->db()->Write(write_, &batch_));
  }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    return store_->get(read_, keyspace, key, value);
  }
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    return store_->iterator(read_, keyspace);
  }
  std::unique_ptr<Snapshot> snapshot() override { return std::make_unique<RocksSnapshot>(store_.get()); }

  Status flush() override {
    RETURN_IF_ERROR(check_writable());
    rocksdb::FlushOptions options;
    options.wait = true;
    options.allow_write_stall = true;  // no other writer exists that a stall could hurt
    if (!torn_flush_) {
      RETURN_IF_ERROR(from_rocksdb(store_->db()->Flush(options, store_->keyspaces())));
      return settle();
    }
    for (rocksdb::ColumnFamilyHandle* keyspace : store_->keyspaces()) {
      RETURN_IF_ERROR(from_rocksdb(store_->db()->Flush(options, keyspace)));
      ::usleep(kTornFlushPauseUs);
    }
    return settle();
  }

  Status compact() override {
    RETURN_IF_ERROR(check_writable());
    for (rocksdb::ColumnFamilyHandle* keyspace : store_->keyspaces()) {
      RETURN_IF_ERROR(from_rocksdb(
          store_->db()->CompactRange(rocksdb::CompactRangeOptions(), keyspace, nullptr, nullptr)));
    }
    return settle();
  }

  Status checkpoint(const fs::path& directory) override {
    const fs::path place = without_trailing_slash(directory);
    rocksdb::Checkpoint* created = nullptr;
    RETURN_IF_ERROR(from_rocksdb(rocksdb::Checkpoint::Create(store_->db(), &created)));
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(created);
    RETURN_IF_ERROR(from_rocksdb(checkpoint->CreateCheckpoint(place.string())));
    RETURN_IF_ERROR(settle());
    RETURN_IF_ERROR(sync_tree(place));
    RETURN_IF_ERROR(write_marker(place, marker_));
    return sync_directory(parent_directory(place));
  }

  Status size(SizeInfo* info) override {
    RETURN_IF_ERROR(directory_bytes(directory_, &info->bytes_on_disk));
    info->bytes_in_use = 0;
    for (rocksdb::ColumnFamilyHandle* keyspace : store_->keyspaces()) {
      std::uint64_t live = 0;
      if (!store_->db()->GetIntProperty(keyspace, rocksdb::DB::Properties::kEstimateLiveDataSize, &live)) {
        return Status::io_error("RocksDB does not say how much live data it holds");
      }
      info->bytes_in_use += live;
    }
    return {};
  }

  Status check_integrity() override {
    RETURN_IF_ERROR(from_rocksdb(store_->db()->VerifyChecksum(read_)));
    for (std::size_t id = 0; id < store_->keyspace_count(); ++id) {
      RETURN_IF_ERROR(check_order(static_cast<KeyspaceId>(id)));
    }
    return {};
  }

 private:
  // RocksDB itself refuses writes to a store opened for reading, but not every flush of what a log held.
  Status check_writable() const {
    return read_only_ ? Status::not_supported("the store is open for reading only") : Status();
  }

  Status add(const WriteBatch::Mutation& mutation) {
    RETURN_IF_ERROR(check_mutation(mutation, store_->keyspace_count()));
    rocksdb::ColumnFamilyHandle* keyspace = store_->keyspace(mutation.keyspace);
    const rocksdb::Slice key = slice(mutation.key);
    const rocksdb::Slice value = slice(mutation.value);
    switch (mutation.kind) {
      case WriteBatch::Kind::put:
        return from_rocksdb(batch_.Put(keyspace, key, value));
      case WriteBatch::Kind::erase:
        return from_rocksdb(batch_.Delete(keyspace, key));
      case WriteBatch::Kind::erase_range:
        return key == value ? Status() : from_rocksdb(batch_.DeleteRange(keyspace, key, value));
    }
    return Status::invalid_argument("unknown kind of mutation");
  }

  // Flush and compaction report success before their thread has removed the files they replaced. In scheduled
  // mode those removals must not run into the storage calls of the next operation: wait until the threads
  // are idle.
  Status settle() {
    if (!scheduled_) {
      return {};
    }
    RETURN_IF_ERROR(from_rocksdb(store_->db()->PauseBackgroundWork()));
    return from_rocksdb(store_->db()->ContinueBackgroundWork());
  }

  // VerifyChecksum reads tables one by one; this reads them merged, and memory too.
  Status check_order(KeyspaceId keyspace) {
    const std::unique_ptr<Iterator> it = store_->iterator(read_, keyspace);
    std::string previous;
    for (it->seek_to_first(); it->valid(); it->next()) {
      if (it->key() <= previous) {
        return Status::corruption("keys of " + store_->keyspace(keyspace)->GetName() + " are out of order");
      }
      previous = it->key();
    }
    return it->status();
  }

  const Marker marker_;
  const fs::path directory_;
  const bool scheduled_;
  const bool read_only_;
  const bool torn_flush_;
  const rocksdb::WriteOptions write_;
  const rocksdb::ReadOptions read_;
  std::unique_ptr<Store> store_;
  rocksdb::WriteBatch batch_;  // kept for its memory
};

Status open_store(const EngineConfig& config, const fs::path& directory, const EngineOptions& options,
                  bool create, std::unique_ptr<Engine>* engine) {
  rocksdb::Options db_options = rocksdb_options(options, config.contract.commit != Durability::nothing);
  db_options.create_if_missing = create;
  db_options.error_if_exists = create;
  db_options.create_missing_column_families = create;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const std::string& name : options.keyspaces) {
    if (name == rocksdb::kDefaultColumnFamilyName) {
      return Status::invalid_argument("the keyspace name \"" + name + "\" is RocksDB's own");
    }
    families.emplace_back(name, db_options);
  }
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, db_options);

  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const rocksdb::Status opened =
      options.read_only
          ? rocksdb::DB::OpenForReadOnly(db_options, directory.string(), families, &handles, &db)
          : rocksdb::DB::Open(db_options, directory.string(), families, &handles, &db);
  if (opened.IsNotFound()) {
    return Status::corruption(opened.ToString());  // a part of the store, not a key
  }
  RETURN_IF_ERROR(from_rocksdb(opened));
  *engine = std::make_unique<RocksEngine>(config, directory, options,
                                          std::make_unique<Store>(db, std::move(handles)));
  return {};
}

bool has_store(const fs::path& directory) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(directory / "CURRENT", error);
  return !error && size > 0;
}

EngineConfig base_config() {
  EngineConfig config;
  config.family = "rocksdb";
  config.version = rocksdb::GetRocksVersionAsString();
  config.contract.flush = Durability::power_cut;
  config.contract.checksums = true;
  config.file_classes = {
      {"wal", "*.log"},           {"sst", "*.sst", 0, false, true},
      {"manifest", "MANIFEST-*"}, {"options", "OPTIONS-*"},
      {"info", "LOG*", 0, true},  {"lock", "LOCK"},
      {"identity", "IDENTITY"},   {"identity", "000000.dbtmp"},  // becomes IDENTITY by rename
      {"current", "CURRENT*"},    {"current", "*.dbtmp"},        // becomes CURRENT by rename
      {"marker", "ENGINE*"},      {"other", "*"}};
  config.opens_read_only = true;
  config.open = open_store;
  config.has_store = has_store;
  return config;
}

}  // namespace

std::vector<EngineConfig> rocksdb_configs() {
  EngineConfig without_log = base_config();
  without_log.name = "rocksdb";
  without_log.summary = "LSM tree, write-ahead log off, atomic flush of all keyspaces";
  without_log.contract.commit = Durability::nothing;

  EngineConfig with_log = base_config();
  with_log.name = "rocksdb-wal";
  with_log.summary = "LSM tree, write-ahead log on, every batch synced";
  with_log.contract.commit = Durability::power_cut;
  return {without_log, with_log};
}

}  // namespace chaosgate::engines
