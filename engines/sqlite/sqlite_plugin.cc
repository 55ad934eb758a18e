// SQLite as a plugin: one database file, a table WITHOUT ROWID for each keyspace, a transaction for each
// batch.
//
// Configurations are pairs of journal mode and synchronous level, named so. What they promise follows
// SQLite's documentation of PRAGMA synchronous: NORMAL may lose the last transactions in a power cut and,
// with a rollback journal, damage the file; FULL and EXTRA are durable. flush() commits one more transaction
// with synchronous=EXTRA, which makes everything before it durable in every mode.
//
// Scheduled maintenance: no automatic checkpoints of the write-ahead log; flush() makes one. SQLite has no
// threads. Both tunings are the same: its defaults are lean.
#include <sqlite3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engines/plugin/chaosgate_engine.h"
#include "engines/sqlite/cursor.h"
#include "engines/sqlite/database.h"

namespace fs = std::filesystem;
using chaosgate::sqlite::Copies;
using chaosgate::sqlite::Cursor;
using chaosgate::sqlite::Database;
using chaosgate::sqlite::Error;
using chaosgate::sqlite::Statement;
using chaosgate::sqlite::table_name;

namespace {

constexpr const char* kDataFile = "store.db";
constexpr int kFreeRunningCheckpointPages = 64;  // often, when SQLite decides

struct Mode {
  const char* journal;
  const char* synchronous;
};
constexpr Mode kModes[] = {
    {"DELETE", "NORMAL"}, {"DELETE", "FULL"}, {"DELETE", "EXTRA"}, {"WAL", "NORMAL"}, {"WAL", "FULL"}};

std::string_view view(chaosgate_slice bytes) { return {bytes.data, bytes.size}; }

// The statements of one keyspace.
struct Keyspace {
  Statement put, erase, erase_range, get;
};

}  // namespace

struct chaosgate_engine {
  chaosgate_engine(const std::string& path, bool create) : db(path, create) {}

  Database db;
  Mode mode{};
  std::vector<Keyspace> keyspaces;
  Statement begin, commit, flush;
  std::set<chaosgate_iterator*> iterators;
  std::set<chaosgate_snapshot*> snapshots;
  std::string value;  // of the last get()

  bool wal() const { return std::string_view(mode.journal) == "WAL"; }
};

struct chaosgate_iterator {
  chaosgate_engine* engine;
  Cursor cursor;
};

struct chaosgate_snapshot {
  chaosgate_engine* engine;
  std::vector<std::shared_ptr<const chaosgate::sqlite::Pairs>> copies;  // by keyspace; empty while it is live
  std::string value;
};

namespace {

// Runs the body of a function of the ABI; what it throws becomes a code.
template <typename Body>
chaosgate_code guarded(chaosgate_message* message, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    std::snprintf(message->text, sizeof message->text, "%s", error.what());
    return error.code();
  } catch (const std::exception& error) {
    std::snprintf(message->text, sizeof message->text, "%s", error.what());
    return CHAOSGATE_IO_ERROR;
  }
}

void park_readers(const chaosgate_engine& engine) {
  for (chaosgate_iterator* iterator : engine.iterators) {
    iterator->cursor.park();
  }
}

void freeze_readers(chaosgate_engine* engine) {
  Copies copies(engine->db);
  for (chaosgate_iterator* iterator : engine->iterators) {
    iterator->cursor.freeze(copies);
  }
  for (chaosgate_snapshot* snapshot : engine->snapshots) {
    for (std::uint32_t id = static_cast<std::uint32_t>(snapshot->copies.size());
         id < engine->keyspaces.size(); ++id) {
      snapshot->copies.push_back(copies.of(id));
    }
  }
}

void make_tables(const Database& db, const chaosgate_open_options& options) {
  db.run("BEGIN");
  db.run("CREATE TABLE keyspaces(id INTEGER PRIMARY KEY, name BLOB NOT NULL)");
  db.run("CREATE TABLE flushes(id INTEGER PRIMARY KEY, count INTEGER NOT NULL)");
  db.run("INSERT INTO flushes VALUES(0, 0)");
  Statement name(db.get(), "INSERT INTO keyspaces VALUES(?1, ?2)");
  for (std::size_t i = 0; i < options.keyspace_count; ++i) {
    name.bind(1, static_cast<sqlite3_int64>(i)).bind(2, view(options.keyspaces[i])).run();
    db.run("CREATE TABLE " + table_name(static_cast<std::uint32_t>(i)) +
           "(k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL) WITHOUT ROWID");
  }
  db.run("COMMIT");
}

void check_names(const Database& db, const chaosgate_open_options& options) {
  Statement names(db.get(), "SELECT name FROM keyspaces ORDER BY id");
  std::size_t count = 0;
  for (; names.step(); ++count) {
    if (count == options.keyspace_count || names.blob(0) != view(options.keyspaces[count])) {
      throw Error(SQLITE_CORRUPT, "the store has other keyspaces");
    }
  }
  if (count != options.keyspace_count) {
    throw Error(SQLITE_CORRUPT, "the store has fewer keyspaces");
  }
}

void configure(const chaosgate_engine& engine, bool scheduled) {
  const std::string journal = engine.db.text(std::string("PRAGMA journal_mode=") + engine.mode.journal);
  if (sqlite3_stricmp(journal.c_str(), engine.mode.journal) != 0) {
    throw Error(SQLITE_ERROR, "the journal mode is " + journal + " instead of " + engine.mode.journal);
  }
  engine.db.run(std::string("PRAGMA synchronous=") + engine.mode.synchronous);
  engine.db.run("PRAGMA temp_store=MEMORY");  // else VACUUM works in a directory that is not the store's
  engine.db.run("PRAGMA wal_autocheckpoint=" + std::to_string(scheduled ? 0 : kFreeRunningCheckpointPages));
  // A close must not make durable what was not.
  sqlite3_db_config(engine.db.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

void prepare(chaosgate_engine* engine, std::size_t keyspace_count) {
  sqlite3* db = engine->db.get();
  for (std::uint32_t id = 0; id < keyspace_count; ++id) {
    const std::string table = table_name(id);
    engine->keyspaces.push_back({Statement(db, "INSERT OR REPLACE INTO " + table + " VALUES(?1, ?2)"),
                                 Statement(db, "DELETE FROM " + table + " WHERE k = ?1"),
                                 Statement(db, "DELETE FROM " + table + " WHERE k >= ?1 AND k < ?2"),
                                 Statement(db, "SELECT v FROM " + table + " WHERE k = ?1")});
  }
  engine->begin = Statement(db, "BEGIN IMMEDIATE");
  engine->commit = Statement(db, "COMMIT");
  engine->flush = Statement(db, "UPDATE flushes SET count = count + 1");
}

chaosgate_code open_store(chaosgate_open_options options, chaosgate_engine** engine,
                          chaosgate_message* message) {
  return guarded(message, [&] {
    const std::string path = std::string(options.directory.data) + "/" + kDataFile;
    auto opened = std::make_unique<chaosgate_engine>(path, options.create != 0);
    opened->mode = kModes[options.configuration];
    configure(*opened, options.scheduled != 0);
    if (options.create != 0) {
      make_tables(opened->db, options);
    }
    check_names(opened->db, options);
    prepare(opened.get(), options.keyspace_count);
    *engine = opened.release();
    return CHAOSGATE_OK;
  });
}

int has_store(std::uint32_t /*configuration*/, chaosgate_slice directory) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(fs::path(directory.data) / kDataFile, error);
  return !error && size > 0 ? 1 : 0;
}

void close_store(chaosgate_engine* engine) { delete engine; }

void apply(Keyspace& keyspace, const chaosgate_mutation& mutation) {
  switch (mutation.kind) {
    case CHAOSGATE_PUT:
      return keyspace.put.bind(1, view(mutation.key)).bind(2, view(mutation.value)).run();
    case CHAOSGATE_DELETE:
      return keyspace.erase.bind(1, view(mutation.key)).run();
    case CHAOSGATE_DELETE_RANGE:
      return keyspace.erase_range.bind(1, view(mutation.key)).bind(2, view(mutation.value)).run();
  }
}

chaosgate_code write_batch(chaosgate_engine* engine, chaosgate_batch batch, chaosgate_message* message) {
  return guarded(message, [&] {
    freeze_readers(engine);
    engine->begin.run();
    try {
      for (std::size_t i = 0; i < batch.count; ++i) {
        apply(engine->keyspaces[batch.mutations[i].keyspace], batch.mutations[i]);
      }
      engine->commit.run();
    } catch (...) {
      sqlite3_exec(engine->db.get(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
    return CHAOSGATE_OK;
  });
}

chaosgate_code get(chaosgate_engine* engine, std::uint32_t keyspace, chaosgate_slice key,
                   chaosgate_slice* value, chaosgate_message* message) {
  return guarded(message, [&] {
    Statement& query = engine->keyspaces[keyspace].get;
    const bool found = query.bind(1, view(key)).step();
    if (found) {
      engine->value = query.blob(0);
      *value = {engine->value.data(), engine->value.size()};
    }
    query.reset();
    return found ? CHAOSGATE_OK : CHAOSGATE_NOT_FOUND;
  });
}

chaosgate_iterator* make_iterator(chaosgate_engine* engine, std::uint32_t keyspace,
                                  std::shared_ptr<const chaosgate::sqlite::Pairs> pairs) {
  auto* iterator = new chaosgate_iterator{engine, Cursor(engine->db, keyspace, std::move(pairs))};
  engine->iterators.insert(iterator);
  return iterator;
}

chaosgate_code new_iterator(chaosgate_engine* engine, std::uint32_t keyspace, chaosgate_iterator** iterator,
                            chaosgate_message* /*message*/) {
  *iterator = make_iterator(engine, keyspace, nullptr);
  return CHAOSGATE_OK;
}

template <typename Move>
chaosgate_code move(chaosgate_iterator* iterator, chaosgate_position* position, chaosgate_message* message,
                    Move&& make) {
  return guarded(message, [&] {
    Cursor& cursor = iterator->cursor;
    make(cursor);
    position->valid = cursor.valid() ? 1 : 0;
    position->key = {cursor.key().data(), cursor.key().size()};
    position->value = {cursor.value().data(), cursor.value().size()};
    return CHAOSGATE_OK;
  });
}

chaosgate_code seek_first(chaosgate_iterator* iterator, chaosgate_position* position,
                          chaosgate_message* message) {
  return move(iterator, position, message, [](Cursor& cursor) { cursor.seek_first(); });
}

chaosgate_code seek_last(chaosgate_iterator* iterator, chaosgate_position* position,
                         chaosgate_message* message) {
  return move(iterator, position, message, [](Cursor& cursor) { cursor.seek_last(); });
}

chaosgate_code seek(chaosgate_iterator* iterator, chaosgate_slice target, chaosgate_position* position,
                    chaosgate_message* message) {
  return move(iterator, position, message, [&](Cursor& cursor) { cursor.seek(view(target)); });
}

chaosgate_code seek_for_prev(chaosgate_iterator* iterator, chaosgate_slice target,
                             chaosgate_position* position, chaosgate_message* message) {
  return move(iterator, position, message, [&](Cursor& cursor) { cursor.seek_for_prev(view(target)); });
}

chaosgate_code next(chaosgate_iterator* iterator, chaosgate_position* position, chaosgate_message* message) {
  return move(iterator, position, message, [](Cursor& cursor) { cursor.next(); });
}

chaosgate_code prev(chaosgate_iterator* iterator, chaosgate_position* position, chaosgate_message* message) {
  return move(iterator, position, message, [](Cursor& cursor) { cursor.prev(); });
}

void free_iterator(chaosgate_iterator* iterator) {
  iterator->engine->iterators.erase(iterator);
  delete iterator;
}

chaosgate_code new_snapshot(chaosgate_engine* engine, chaosgate_snapshot** snapshot,
                            chaosgate_message* /*message*/) {
  *snapshot = new chaosgate_snapshot{engine, {}, {}};
  engine->snapshots.insert(*snapshot);
  return CHAOSGATE_OK;
}

chaosgate_code snapshot_iterator(chaosgate_snapshot* snapshot, std::uint32_t keyspace,
                                 chaosgate_iterator** iterator, chaosgate_message* /*message*/) {
  const bool live = snapshot->copies.empty();
  *iterator = make_iterator(snapshot->engine, keyspace, live ? nullptr : snapshot->copies[keyspace]);
  return CHAOSGATE_OK;
}

chaosgate_code snapshot_get(chaosgate_snapshot* snapshot, std::uint32_t keyspace, chaosgate_slice key,
                            chaosgate_slice* value, chaosgate_message* message) {
  return guarded(message, [&] {
    Cursor cursor(snapshot->engine->db, keyspace,
                  snapshot->copies.empty() ? nullptr : snapshot->copies[keyspace]);
    cursor.seek(view(key));
    if (!cursor.valid() || cursor.key() != view(key)) {
      return CHAOSGATE_NOT_FOUND;
    }
    snapshot->value = cursor.value();
    *value = {snapshot->value.data(), snapshot->value.size()};
    return CHAOSGATE_OK;
  });
}

void free_snapshot(chaosgate_snapshot* snapshot) {
  snapshot->engine->snapshots.erase(snapshot);
  delete snapshot;
}

void checkpoint_wal(const chaosgate_engine& engine, int how) {
  if (engine.wal()) {
    chaosgate::sqlite::check(engine.db.get(),
                             sqlite3_wal_checkpoint_v2(engine.db.get(), nullptr, how, nullptr, nullptr),
                             "checkpoint of the write-ahead log");
  }
}

chaosgate_code flush(chaosgate_engine* engine, chaosgate_message* message) {
  return guarded(message, [&] {
    park_readers(*engine);
    engine->db.run("PRAGMA synchronous=EXTRA");
    engine->flush.run();
    checkpoint_wal(*engine, SQLITE_CHECKPOINT_PASSIVE);
    engine->db.run(std::string("PRAGMA synchronous=") + engine->mode.synchronous);
    return CHAOSGATE_OK;
  });
}

chaosgate_code compact(chaosgate_engine* engine, chaosgate_message* message) {
  return guarded(message, [&] {
    engine->db.run("VACUUM");
    checkpoint_wal(*engine, SQLITE_CHECKPOINT_TRUNCATE);
    return CHAOSGATE_OK;
  });
}

chaosgate_code checkpoint(chaosgate_engine* engine, chaosgate_slice directory, chaosgate_message* message) {
  return guarded(message, [&] {
    park_readers(*engine);
    fs::create_directory(directory.data);
    const std::string path = std::string(directory.data) + "/" + kDataFile;
    Statement copy(engine->db.get(), "VACUUM INTO CAST(?1 AS TEXT)");
    copy.bind(1, path).run();
    return CHAOSGATE_OK;
  });
}

chaosgate_code bytes_in_use(chaosgate_engine* engine, std::uint64_t* bytes, chaosgate_message* message) {
  return guarded(message, [&] {
    const sqlite3_int64 pages =
        engine->db.number("PRAGMA page_count") - engine->db.number("PRAGMA freelist_count");
    *bytes = static_cast<std::uint64_t>(pages * engine->db.number("PRAGMA page_size"));
    return CHAOSGATE_OK;
  });
}

chaosgate_code check_integrity(chaosgate_engine* engine, chaosgate_message* message) {
  return guarded(message, [&] {
    const std::string found = engine->db.text("PRAGMA integrity_check");
    if (found != "ok") {
      throw Error(SQLITE_CORRUPT, found);
    }
    return CHAOSGATE_OK;
  });
}

const char* const kVolatileFiles[] = {"store.db-shm"};  // the index of the log, made anew by recovery

const chaosgate_file_class kFileClasses[] = {
    {"data", kDataFile, 0, 0, 0},     {"journal", "store.db-journal", 0, 0, 0},
    {"wal", "store.db-wal", 0, 0, 0}, {"wal-index", "store.db-shm", 0, 0, 0},
    {"marker", "ENGINE*", 0, 0, 0},   {"other", "*", 0, 0, 0},
};

chaosgate_configuration configuration(const char* name, const char* summary, chaosgate_durability commit,
                                      bool opens_after_power_cut, bool wal) {
  chaosgate_configuration result{};
  result.name = name;
  result.family = "sqlite";
  result.summary = summary;
  result.contract.commit = commit;
  result.contract.flush = CHAOSGATE_SURVIVES_POWER_CUT;
  result.contract.opens_after_power_cut = opens_after_power_cut ? 1 : 0;
  result.contract.atomic_batches = 1;
  result.contract.modifies_in_place = 1;
  result.contract.volatile_files = kVolatileFiles;
  result.contract.volatile_file_count = wal ? 1 : 0;
  result.file_classes = kFileClasses;
  result.file_class_count = std::size(kFileClasses);
  return result;
}

// In the order of kModes.
const chaosgate_configuration kConfigurations[] = {
    configuration("sqlite-delete-normal", "B-tree, rollback journal, synchronous=NORMAL",
                  CHAOSGATE_SURVIVES_PROCESS_CRASH, false, false),
    configuration("sqlite-delete-full", "B-tree, rollback journal, synchronous=FULL",
                  CHAOSGATE_SURVIVES_POWER_CUT, true, false),
    configuration("sqlite-delete-extra", "B-tree, rollback journal, synchronous=EXTRA",
                  CHAOSGATE_SURVIVES_POWER_CUT, true, false),
    configuration("sqlite-wal-normal", "B-tree, write-ahead log, synchronous=NORMAL",
                  CHAOSGATE_SURVIVES_PROCESS_CRASH, true, true),
    configuration("sqlite-wal-full", "B-tree, write-ahead log, synchronous=FULL",
                  CHAOSGATE_SURVIVES_POWER_CUT, true, true),
};
static_assert(std::size(kConfigurations) == std::size(kModes));

}  // namespace

extern "C" const chaosgate_plugin* chaosgate_engine_plugin() {
  static const chaosgate_plugin plugin = {
      CHAOSGATE_ENGINE_ABI_VERSION,
      sizeof(chaosgate_plugin),
      "sqlite",
      sqlite3_libversion(),
      kConfigurations,
      std::size(kConfigurations),
      {open_store,    has_store,    close_store,  write_batch,       get,           new_iterator,
       seek_first,    seek_last,    seek,         seek_for_prev,     next,          prev,
       free_iterator, new_snapshot, snapshot_get, snapshot_iterator, free_snapshot, flush,
       compact,       checkpoint,   bytes_in_use, check_integrity},
  };
  return &plugin;
}
