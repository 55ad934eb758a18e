// LevelDB as a plugin: one database, keyspaces by key prefix, batches by LevelDB's own WriteBatch.
//
// Configurations differ in when the log is synced: `leveldb` by flush() only, which is a synchronous write;
// `leveldb-sync` with every batch. LevelDB has no other flush: what is in the log is not written to a table
// before memory is full, the store is opened again or compacted.
//
// In scheduled mode nothing fills memory, and every call waits for LevelDB's background thread to be idle:
// its own compactions cannot be switched off, but they begin and end inside a call.
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/iterator.h>
#include <leveldb/options.h>
#include <leveldb/write_batch.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "engines/plugin/chaosgate_engine.h"

namespace {

namespace fs = std::filesystem;

constexpr char kNamesPrefix =
    '\xff';  // its one key holds the names of the keyspaces, each with a NUL behind it
constexpr std::uint32_t kKeyspacesMax = 255;
constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

leveldb::Slice to_slice(chaosgate_slice bytes) { return {bytes.data, bytes.size}; }
chaosgate_slice from_slice(const leveldb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

chaosgate_code fail(chaosgate_code code, const std::string& text, chaosgate_message* message) {
  std::snprintf(message->text, sizeof message->text, "%s", text.c_str());
  return code;
}

chaosgate_code from_leveldb(const leveldb::Status& status, chaosgate_message* message) {
  if (status.ok()) {
    return CHAOSGATE_OK;
  }
  if (status.IsNotFound()) {
    return CHAOSGATE_NOT_FOUND;
  }
  const chaosgate_code code = status.IsCorruption()          ? CHAOSGATE_CORRUPTION
                              : status.IsInvalidArgument()   ? CHAOSGATE_INVALID_ARGUMENT
                              : status.IsNotSupportedError() ? CHAOSGATE_NOT_SUPPORTED
                                                             : CHAOSGATE_IO_ERROR;
  return fail(code, status.ToString(), message);
}

std::string make_key(std::uint32_t keyspace, leveldb::Slice key) {
  return std::string(1, static_cast<char>(keyspace)).append(key.data(), key.size());
}

// The usual environment, which also knows whether background work is under way.
class WatchedEnv final : public leveldb::EnvWrapper {
 public:
  WatchedEnv() : EnvWrapper(leveldb::Env::Default()) {}

  void Schedule(void (*work)(void*), void* argument) override {
    ++pending_;
    target()->Schedule(run, new Work{this, work, argument});
  }

  // Work that schedules more does so before it ends, so the count does not reach 0 in between.
  void wait_until_idle() const {
    for (int pending = pending_; pending != 0; pending = pending_) {
      pending_.wait(pending);
    }
  }

 private:
  struct Work {
    WatchedEnv* env;
    void (*work)(void*);
    void* argument;
  };

  static void run(void* argument) {
    const std::unique_ptr<Work> work(static_cast<Work*>(argument));
    work->work(work->argument);
    --work->env->pending_;
    work->env->pending_.notify_all();
  }

  std::atomic<int> pending_ = 0;
};

// One for the process, never destroyed: background work touches it after the store that ordered it is gone.
WatchedEnv& watched_env() {
  static WatchedEnv* const env = new WatchedEnv;
  return *env;
}

}  // namespace

struct chaosgate_engine {
  WatchedEnv& env = watched_env();
  std::unique_ptr<leveldb::DB> db;
  std::string directory;
  std::uint32_t keyspace_count = 0;
  bool scheduled = true;
  bool lean = true;
  bool sync = false;
  std::string value;  // of the last get()

  // What ends every call.
  chaosgate_code done(const leveldb::Status& status, chaosgate_message* message) const {
    settle();
    return from_leveldb(status, message);
  }
  void settle() const {
    if (scheduled) {
      env.wait_until_idle();
    }
  }
};

struct chaosgate_iterator {
  chaosgate_engine* engine;
  std::unique_ptr<leveldb::Iterator> it;
  char prefix;

  bool inside() const { return it->Valid() && it->key()[0] == prefix; }
  chaosgate_code stand(chaosgate_position* position, chaosgate_message* message) const {
    position->valid = inside() ? 1 : 0;
    if (inside()) {
      leveldb::Slice key = it->key();
      key.remove_prefix(1);
      position->key = from_slice(key);
      position->value = from_slice(it->value());
    }
    return engine->done(it->status(), message);
  }
  // To the last key that is not greater than `target`, prefix included.
  void seek_for_prev(const std::string& target) const {
    it->Seek(target);
    if (!it->Valid()) {
      it->SeekToLast();
    } else if (it->key() != leveldb::Slice(target)) {
      it->Prev();
    }
  }
};

struct chaosgate_snapshot {
  chaosgate_engine* engine;
  const leveldb::Snapshot* snapshot;
  std::string value;
};

namespace {

leveldb::ReadOptions read_options(const leveldb::Snapshot* snapshot = nullptr) {
  leveldb::ReadOptions options;
  options.verify_checksums = true;
  options.snapshot = snapshot;
  return options;
}

leveldb::Options make_options(chaosgate_engine* engine, bool create) {
  leveldb::Options options;
  options.env = &engine->env;
  options.create_if_missing = create;
  options.error_if_exists = create;
  // Memory is taken as it is used. When LevelDB may do as it likes, it should do so often.
  options.write_buffer_size = engine->scheduled ? 256 * kMiB : 64 * kKiB;
  if (!engine->scheduled) {
    options.max_file_size = 1 * kMiB;
  }
  if (engine->lean) {
    options.compression = leveldb::kNoCompression;
    options.block_size = 32 * kKiB;
  }
  return options;
}

std::string join_names(const chaosgate_open_options& options) {
  std::string names;
  for (std::size_t i = 0; i < options.keyspace_count; ++i) {
    names.append(options.keyspaces[i].data, options.keyspaces[i].size).push_back('\0');
  }
  return names;
}

leveldb::Status check_names(const chaosgate_engine& engine, const std::string& names, bool create) {
  const std::string key(1, kNamesPrefix);
  if (create) {
    leveldb::WriteOptions synced;
    synced.sync = true;
    return engine.db->Put(synced, key, names);
  }
  std::string found;
  const leveldb::Status status = engine.db->Get(read_options(), key, &found);
  if (status.IsNotFound() || (status.ok() && found != names)) {
    return leveldb::Status::Corruption("the store has other keyspaces");
  }
  return status;
}

chaosgate_code open_store(chaosgate_open_options options, chaosgate_engine** engine,
                          chaosgate_message* message) {
  if (options.keyspace_count > kKeyspacesMax) {
    return fail(CHAOSGATE_INVALID_ARGUMENT, "too many keyspaces", message);
  }
  auto opened = std::make_unique<chaosgate_engine>();
  opened->directory = options.directory.data;
  opened->keyspace_count = static_cast<std::uint32_t>(options.keyspace_count);
  opened->scheduled = options.scheduled != 0;
  opened->lean = options.lean != 0;
  opened->sync = options.configuration == 1;
  leveldb::DB* db = nullptr;
  leveldb::Status status =
      leveldb::DB::Open(make_options(opened.get(), options.create != 0), opened->directory, &db);
  opened->db.reset(db);
  if (status.ok()) {
    opened->settle();
    status = check_names(*opened, join_names(options), options.create != 0);
  }
  if (status.ok()) {
    *engine = opened.release();
  }
  return from_leveldb(status, message);
}

int has_store(std::uint32_t /*configuration*/, chaosgate_slice directory) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(fs::path(directory.data) / "CURRENT", error);
  return !error && size > 0 ? 1 : 0;
}

void close_store(chaosgate_engine* engine) { delete engine; }

// Deletes of all keys in a range: those in the store, and those that the batch itself put.
leveldb::Status add_range(const chaosgate_engine& engine, const std::string& begin, const std::string& end,
                          std::set<std::string>* put, leveldb::WriteBatch* batch) {
  const std::unique_ptr<leveldb::Iterator> it(engine.db->NewIterator(read_options()));
  for (it->Seek(begin); it->Valid() && it->key().compare(end) < 0; it->Next()) {
    batch->Delete(it->key());
  }
  const auto first = put->lower_bound(begin);
  const auto last = put->lower_bound(end);
  for (auto at = first; at != last; ++at) {
    batch->Delete(*at);
  }
  put->erase(first, last);
  return it->status();
}

chaosgate_code write_batch(chaosgate_engine* engine, chaosgate_batch mutations, chaosgate_message* message) {
  leveldb::WriteBatch batch;
  std::set<std::string> put;
  for (std::size_t i = 0; i < mutations.count; ++i) {
    const chaosgate_mutation& mutation = mutations.mutations[i];
    std::string key = make_key(mutation.keyspace, to_slice(mutation.key));
    switch (mutation.kind) {
      case CHAOSGATE_PUT:
        batch.Put(key, to_slice(mutation.value));
        put.insert(std::move(key));
        break;
      case CHAOSGATE_DELETE:
        batch.Delete(key);
        break;
      case CHAOSGATE_DELETE_RANGE: {
        const std::string end = make_key(mutation.keyspace, to_slice(mutation.value));
        if (const leveldb::Status status = add_range(*engine, key, end, &put, &batch); !status.ok()) {
          return engine->done(status, message);
        }
      }
    }
  }
  leveldb::WriteOptions options;
  options.sync = engine->sync;
  return engine->done(engine->db->Write(options, &batch), message);
}

chaosgate_code get(chaosgate_engine* engine, std::uint32_t keyspace, chaosgate_slice key,
                   chaosgate_slice* value, chaosgate_message* message) {
  const leveldb::Status status =
      engine->db->Get(read_options(), make_key(keyspace, to_slice(key)), &engine->value);
  *value = {engine->value.data(), engine->value.size()};
  return engine->done(status, message);
}

chaosgate_iterator* make_iterator(chaosgate_engine* engine, const leveldb::Snapshot* snapshot,
                                  std::uint32_t keyspace) {
  return new chaosgate_iterator{
      engine, std::unique_ptr<leveldb::Iterator>(engine->db->NewIterator(read_options(snapshot))),
      static_cast<char>(keyspace)};
}

chaosgate_code new_iterator(chaosgate_engine* engine, std::uint32_t keyspace, chaosgate_iterator** iterator,
                            chaosgate_message* /*message*/) {
  *iterator = make_iterator(engine, nullptr, keyspace);
  return CHAOSGATE_OK;
}

chaosgate_code seek(chaosgate_iterator* iterator, chaosgate_slice target, chaosgate_position* position,
                    chaosgate_message* message) {
  iterator->it->Seek(make_key(static_cast<unsigned char>(iterator->prefix), to_slice(target)));
  return iterator->stand(position, message);
}

chaosgate_code seek_first(chaosgate_iterator* iterator, chaosgate_position* position,
                          chaosgate_message* message) {
  return seek(iterator, {}, position, message);
}

chaosgate_code seek_last(chaosgate_iterator* iterator, chaosgate_position* position,
                         chaosgate_message* message) {
  // No key is only the next prefix: a key has at least one byte behind it, or is kNamesPrefix.
  iterator->it->Seek(std::string(1, static_cast<char>(iterator->prefix + 1)));
  iterator->it->Prev();  // there is always kNamesPrefix behind
  return iterator->stand(position, message);
}

chaosgate_code seek_for_prev(chaosgate_iterator* iterator, chaosgate_slice target,
                             chaosgate_position* position, chaosgate_message* message) {
  iterator->seek_for_prev(make_key(static_cast<unsigned char>(iterator->prefix), to_slice(target)));
  return iterator->stand(position, message);
}

chaosgate_code next(chaosgate_iterator* iterator, chaosgate_position* position, chaosgate_message* message) {
  iterator->it->Next();
  return iterator->stand(position, message);
}

chaosgate_code prev(chaosgate_iterator* iterator, chaosgate_position* position, chaosgate_message* message) {
  iterator->it->Prev();
  return iterator->stand(position, message);
}

void free_iterator(chaosgate_iterator* iterator) { delete iterator; }

chaosgate_code new_snapshot(chaosgate_engine* engine, chaosgate_snapshot** snapshot,
                            chaosgate_message* /*message*/) {
  *snapshot = new chaosgate_snapshot{engine, engine->db->GetSnapshot(), {}};
  return CHAOSGATE_OK;
}

chaosgate_code snapshot_get(chaosgate_snapshot* snapshot, std::uint32_t keyspace, chaosgate_slice key,
                            chaosgate_slice* value, chaosgate_message* message) {
  const leveldb::Status status = snapshot->engine->db->Get(
      read_options(snapshot->snapshot), make_key(keyspace, to_slice(key)), &snapshot->value);
  *value = {snapshot->value.data(), snapshot->value.size()};
  return snapshot->engine->done(status, message);
}

chaosgate_code snapshot_iterator(chaosgate_snapshot* snapshot, std::uint32_t keyspace,
                                 chaosgate_iterator** iterator, chaosgate_message* /*message*/) {
  *iterator = make_iterator(snapshot->engine, snapshot->snapshot, keyspace);
  return CHAOSGATE_OK;
}

void free_snapshot(chaosgate_snapshot* snapshot) {
  snapshot->engine->db->ReleaseSnapshot(snapshot->snapshot);
  delete snapshot;
}

chaosgate_code flush(chaosgate_engine* engine, chaosgate_message* message) {
  // A synchronous write makes the log durable with all writes before it (LevelDB's doc/index.md).
  leveldb::WriteOptions synced;
  synced.sync = true;
  leveldb::WriteBatch nothing;
  return engine->done(engine->db->Write(synced, &nothing), message);
}

chaosgate_code compact(chaosgate_engine* engine, chaosgate_message* /*message*/) {
  engine->db->CompactRange(nullptr, nullptr);
  engine->settle();
  return CHAOSGATE_OK;
}

// LevelDB has no checkpoint of its own: a new database is written from a snapshot.
chaosgate_code checkpoint(chaosgate_engine* engine, chaosgate_slice directory, chaosgate_message* message) {
  chaosgate_engine copy;
  leveldb::DB* db = nullptr;
  leveldb::Status status = leveldb::DB::Open(make_options(&copy, true), directory.data, &db);
  copy.db.reset(db);
  const std::unique_ptr<leveldb::Iterator> it(engine->db->NewIterator(read_options()));
  for (it->SeekToFirst(); status.ok() && it->Valid(); it->Next()) {
    status = copy.db->Put(leveldb::WriteOptions(), it->key(), it->value());
  }
  copy.settle();
  return engine->done(status.ok() ? it->status() : status, message);
}

chaosgate_code bytes_in_use(chaosgate_engine* engine, std::uint64_t* bytes, chaosgate_message* message) {
  const leveldb::Range all(leveldb::Slice("", 0), leveldb::Slice("\xff\xff", 2));
  engine->db->GetApproximateSizes(&all, 1, bytes);
  // What is in no table yet is in the log.
  std::error_code error;
  for (fs::directory_iterator it(engine->directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".log") {
      *bytes += it->file_size(error);
    }
  }
  return error ? fail(CHAOSGATE_IO_ERROR, error.message(), message) : CHAOSGATE_OK;
}

chaosgate_code check_integrity(chaosgate_engine* engine, chaosgate_message* message) {
  const std::unique_ptr<leveldb::Iterator> it(engine->db->NewIterator(read_options()));
  std::string previous;
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (it->key().compare(previous) <= 0) {
      return fail(CHAOSGATE_CORRUPTION, "keys are out of order", message);
    }
    previous = it->key().ToString();
  }
  return engine->done(it->status(), message);
}

// Tables are not immutable: a recovery gives the number of an unfinished one away again, and truncates it.
const chaosgate_file_class kFileClasses[] = {
    {"wal", "*.log", 0, 0, 0},           {"table", "*.ldb", 0, 0, 0},     {"table", "*.sst", 0, 0, 0},
    {"manifest", "MANIFEST-*", 0, 0, 0}, {"info", "LOG*", 0, 1, 0},       {"lock", "LOCK", 0, 0, 0},
    {"current", "CURRENT", 0, 0, 0},     {"current", "*.dbtmp", 0, 0, 0},  // becomes CURRENT by rename
    {"marker", "ENGINE*", 0, 0, 0},      {"other", "*", 0, 0, 0},
};

// No checksums at rest: a damaged record in the log ends the log, or is skipped, without an error, unless
// paranoid_checks is set, which it is not by default.
chaosgate_configuration configuration(const char* name, const char* summary, chaosgate_durability commit) {
  chaosgate_configuration result{};
  result.name = name;
  result.family = "leveldb";
  result.summary = summary;
  result.contract.commit = commit;
  result.contract.flush = CHAOSGATE_SURVIVES_POWER_CUT;
  result.contract.opens_after_power_cut = 1;
  result.contract.atomic_batches = 1;
  result.file_classes = kFileClasses;
  result.file_class_count = std::size(kFileClasses);
  return result;
}

const chaosgate_configuration kConfigurations[] = {
    configuration("leveldb", "LSM tree, log synced by flush only (a synchronous write)",
                  CHAOSGATE_SURVIVES_PROCESS_CRASH),
    configuration("leveldb-sync", "LSM tree, log synced with every batch", CHAOSGATE_SURVIVES_POWER_CUT),
};

std::string version() {
  return std::to_string(leveldb::kMajorVersion) + "." + std::to_string(leveldb::kMinorVersion);
}

}  // namespace

extern "C" const chaosgate_plugin* chaosgate_engine_plugin() {
  static const std::string library_version = version();
  static const chaosgate_plugin plugin = {
      CHAOSGATE_ENGINE_ABI_VERSION,
      sizeof(chaosgate_plugin),
      "leveldb",
      library_version.c_str(),
      kConfigurations,
      std::size(kConfigurations),
      {open_store,    has_store,    close_store,  write_batch,       get,           new_iterator,
       seek_first,    seek_last,    seek,         seek_for_prev,     next,          prev,
       free_iterator, new_snapshot, snapshot_get, snapshot_iterator, free_snapshot, flush,
       compact,       checkpoint,   bytes_in_use, check_integrity},
  };
  return &plugin;
}
