// Engine is the engine-neutral interface to an ordered key-value storage engine with named keyspaces.
//
// It is all that the rest of chaosgate knows about storage engines. No type, header, flag name or test
// helper of an engine may appear outside that engine's own folder; engines/leak_check.cmake fails on one.
//
// Keys and values are byte strings; every byte value is allowed, a value may be empty, and an empty value
// is not an absent one. Keys are ordered by memcmp, are not empty and have at most kKeyBytesMax bytes; a call
// that breaks this returns invalid_argument and changes nothing. Bounds (seek targets, range ends) are free:
// they may be empty or longer.
//
// Threading: one thread uses an Engine and everything it handed out. An engine may have threads of its own.
// Ownership: iterators and snapshots must go before the engine that made them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engines/write_batch.h"
#include "harness/base/status.h"

namespace chaosgate::engines {

inline constexpr std::size_t kKeyBytesMax = 500;  // LMDB's limit is 511

// What survives. Each level includes the ones before it.
enum class Durability : std::uint8_t {
  nothing,        // may be lost by any crash
  process_crash,  // survives SIGKILL
  power_cut,      // survives the loss of everything not yet durable
};

std::string_view to_string(Durability durability);

// What an engine configuration promises. The gate judges an engine by its contract, not by hope.
struct Contract {
  Durability commit = Durability::nothing;  // of a batch, once write() returned ok
  Durability flush = Durability::nothing;   // of all earlier batches, once flush() returned ok
  // After a power cut the directory still opens and holds a prefix of the batches.
  bool opens_after_power_cut = true;
  // A batch is all there or not at all, in all keyspaces together, and batches survive in order.
  bool atomic_batches = true;
  // Damage at rest is detected when it is read.
  bool checksums = false;
  // Bytes that were written are overwritten later, in some file.
  bool modifies_in_place = false;
  // Files, relative to the directory, that may change without a storage call (shared mappings) and hold
  // nothing that has to survive.
  std::vector<std::string> volatile_files;
};

struct SizeInfo {
  std::uint64_t bytes_on_disk = 0;  // of the files in the engine's directory
  std::uint64_t bytes_in_use = 0;   // of those, what holds live data, as the engine estimates it
};

// Who starts flushes and compactions.
enum class Maintenance : std::uint8_t {
  scheduled,  // only flush() and compact() do, and they return when the work is done
  // The engine's own threads also do, when they like. Buffers are best so small that a load of some hundred
  // KiB makes them begin several times.
  free_running,
};

std::string_view to_string(Maintenance maintenance);

// How much of an engine's default cost is kept.
enum class Tuning : std::uint8_t {
  // Smaller buffers, caches and files and fewer threads, for many cycles a second. Only amounts differ: what
  // is
  // written, synced, renamed and checked, and in which order, is that of stock.
  lean,
  stock,  // the engine's defaults
};

std::string_view to_string(Tuning tuning);

struct EngineOptions {
  // Names; KeyspaceId is the position here. At least one, none empty, none twice. A directory is opened with
  // the keyspaces that it was created with, in the same order.
  std::vector<std::string> keyspaces;
  Maintenance maintenance = Maintenance::scheduled;
  Tuning tuning = Tuning::lean;
  // False breaks the contract on purpose (planted fault flush-not-atomic): an engine that flushes keyspaces
  // separately then does so one after the other. Engines that cannot flush them separately ignore it.
  bool atomic_flush = true;
  // Opens the store without changing anything in its directory; what would change it fails. Only
  // configurations with opens_read_only can.
  bool read_only = false;
};

// What every engine refuses before it touches anything: a keyspace out of range, a key that is empty or too
// long. invalid_argument, or ok.
Status check_key(KeyspaceId keyspace, std::string_view key, std::size_t keyspace_count);
Status check_mutation(const WriteBatch::Mutation& mutation, std::size_t keyspace_count);

// A position in one keyspace, over the state at its creation. After any call that leaves valid() false,
// status() tells the end from an error.
class Iterator {
 public:
  virtual ~Iterator() = default;

  virtual bool valid() const = 0;
  virtual void seek_to_first() = 0;
  virtual void seek_to_last() = 0;
  virtual void seek(std::string_view target) = 0;           // first key >= target
  virtual void seek_for_prev(std::string_view target) = 0;  // last key <= target
  virtual void next() = 0;                                  // REQUIRES: valid()
  virtual void prev() = 0;                                  // REQUIRES: valid()
  // The views are good until the iterator moves. REQUIRES: valid()
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  virtual Status status() const = 0;
};

// A view of the whole engine, all keyspaces together, that later writes do not change.
class Snapshot {
 public:
  virtual ~Snapshot() = default;

  // not_found when the key is absent.
  virtual Status get(KeyspaceId keyspace, std::string_view key, std::string* value) = 0;
  virtual std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) = 0;
};

// What an engine shows when it was opened counts as committed: all of it is by then as durable as
// Contract::commit says. What a kill left in the page cache alone must be synced before a commit that
// survives a power cut may be shown.
class Engine {
 public:
  // Closes without a promise: what was not durable may or may not become so.
  virtual ~Engine() = default;

  // Applies the batch atomically, in order: a later operation of the batch wins over an earlier one.
  virtual Status write(const WriteBatch& batch) = 0;
  virtual Status get(KeyspaceId keyspace, std::string_view key, std::string* value) = 0;
  virtual std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) = 0;
  virtual std::unique_ptr<Snapshot> snapshot() = 0;

  // Makes every batch written so far as durable as Contract::flush says.
  virtual Status flush() = 0;
  // Rewrites the store to reclaim space, in all keyspaces. No snapshot or iterator may be open.
  virtual Status compact() = 0;
  // Writes a complete copy of the current state into `directory`, which must not exist. The copy opens as a
  // directory of the same engine (it gets a marker too).
  virtual Status checkpoint(const std::filesystem::path& directory) = 0;

  virtual Status size(SizeInfo* info) = 0;
  // Reads everything and applies the engine's own checks.
  virtual Status check_integrity() = 0;
};

// Where a storage call or a file belongs, for crash points and reports: first match wins.
struct FileClass {
  std::string name;     // "sst", "manifest", "data", ...
  std::string pattern;  // fnmatch(3) on the path relative to the engine's directory
  // Only writes that end at or below this offset belong to the class; 0: every call.
  std::uint64_t bytes_end = 0;
  // For people (an engine's own journal of messages): nothing depends on it, and its calls may differ from
  // run to run. They are seen, but no crash point counts them.
  bool informational = false;
  bool immutable = false;  // once written, such a file is never changed in place, only removed
};

// An engine configuration that can be opened by name.
struct EngineConfig {
  std::string name;     // "rocksdb-wal"
  std::string family;   // "rocksdb": which configurations may open each other's directories
  std::string summary;  // one line
  std::string version;  // of the library
  Contract contract;
  std::vector<FileClass> file_classes;
  bool opens_read_only = false;  // knows EngineOptions::read_only
  // Opens the store in an existing directory, or makes a new one in an empty directory. Called through
  // open_engine() only, which decides which of the two is right.
  std::function<Status(const EngineConfig& config, const std::filesystem::path& directory,
                       const EngineOptions& options, bool create, std::unique_ptr<Engine>* engine)>
      open;
  // True when the directory holds a store of this family; looks only, never creates.
  std::function<bool(const std::filesystem::path& directory)> has_store;
  // The name of the one file that a store of this family consists of; empty when it is not so. A copy of that
  // file alone is a store.
  std::string single_file;
  // Whether such a copy arrived whole: to be asked before it is opened, since an engine that maps its file
  // would not find out alive. Looks only. REQUIRES: single_file is not empty.
  std::function<Status(const std::filesystem::path& file)> check_single_file;
};

}  // namespace chaosgate::engines
