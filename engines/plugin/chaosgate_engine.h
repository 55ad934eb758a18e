// The C ABI of a storage engine plugin for chaosgate: what a shared object offers so that it can be tested.
//
// A plugin is a shared object with one exported symbol, the function chaosgate_engine_plugin(), which returns
// a description of the plugin and a table of functions. It is loaded into worker processes only, which are
// killed at any moment; it is never unloaded. engines/plugin/template/ is a small one that works.
//
// The rules, for every function of the table:
//   Threads    one thread calls; the engine may have threads of its own, and starts none before open().
//   Errors     are codes; a function that fails may write why, as text on one line, into `message`. No C++
//              exception may leave a function, and none may end the process.
//   Memory     belongs to the side that made it. What the caller passes in (paths, batches, targets) is good
//              during the call. What the plugin hands out (values, positions) is good as long as said here;
//              objects (engine, iterator, snapshot) live until the call that ends them.
//   Data       a key has between 1 and CHAOSGATE_KEY_BYTES_MAX bytes, a value may be empty and is then not an
//              absent one; every byte value is allowed in both. Keys are in the order of memcmp. chaosgate
//              checks keys and keyspaces before it calls. Bounds (seek targets, ends of ranges) may be empty
//              or longer than a key.
//   Output     standard output and error go to a file that a failure keeps; print only what helps there.
//
// This header is C99 and C++.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The version of everything in this header. A plugin of another version is refused.
#define CHAOSGATE_ENGINE_ABI_VERSION 1u

#define CHAOSGATE_KEY_BYTES_MAX 500
#define CHAOSGATE_MESSAGE_BYTES 512

#define CHAOSGATE_EXPORT __attribute__((visibility("default")))

// ---- Results ----

typedef enum chaosgate_code {
  CHAOSGATE_OK = 0,
  CHAOSGATE_NOT_FOUND = 1,         // get(): there is no such key; a normal answer
  CHAOSGATE_CORRUPTION = 2,        // stored bytes contradict themselves, or a part of the store is missing
  CHAOSGATE_IO_ERROR = 3,          // a system call failed, or any other failure
  CHAOSGATE_INVALID_ARGUMENT = 4,  // the call cannot be right, and changed nothing
  CHAOSGATE_NOT_SUPPORTED = 5,     // this configuration cannot do it
} chaosgate_code;

// Where a function says why it failed: NUL-terminated, cut off when longer. Empty when the caller passes it.
typedef struct chaosgate_message {
  char text[CHAOSGATE_MESSAGE_BYTES];
} chaosgate_message;

// ---- Data ----

// Bytes that somebody else owns. `data` may be null when `size` is 0. Only of a path is data[size] 0.
typedef struct chaosgate_slice {
  const char* data;
  size_t size;
} chaosgate_slice;

typedef enum chaosgate_mutation_kind {
  CHAOSGATE_PUT = 0,
  CHAOSGATE_DELETE = 1,        // of a key that need not exist
  CHAOSGATE_DELETE_RANGE = 2,  // of the keys in [key, value); an empty range does nothing
} chaosgate_mutation_kind;

typedef struct chaosgate_mutation {
  chaosgate_mutation_kind kind;
  uint32_t keyspace;      // position in chaosgate_open_options.keyspaces
  chaosgate_slice key;    // DELETE_RANGE: the begin
  chaosgate_slice value;  // PUT: the value; DELETE_RANGE: the end, excluded, not less than the begin
} chaosgate_mutation;

// To be applied atomically and in order: a later mutation wins over an earlier one. May have none.
typedef struct chaosgate_batch {
  const chaosgate_mutation* mutations;
  size_t count;
} chaosgate_batch;

// Where an iterator stands.
typedef struct chaosgate_position {
  int valid;              // 0: before the first or after the last key; the rest means nothing then
  chaosgate_slice key;    // good until the iterator moves or is freed
  chaosgate_slice value;  // the same
} chaosgate_position;

// ---- What the plugin makes; chaosgate only passes them around ----

typedef struct chaosgate_engine chaosgate_engine;      // an open store
typedef struct chaosgate_iterator chaosgate_iterator;  // a position in one keyspace
typedef struct chaosgate_snapshot chaosgate_snapshot;  // a view of all keyspaces

// ---- Opening ----

typedef struct chaosgate_open_options {
  uint32_t configuration;     // position in chaosgate_plugin.configurations
  chaosgate_slice directory;  // a path; the directory exists, and holds a file named ENGINE of chaosgate's
  int create;                 // 1: it is empty, make a new store; 0: open the store in it, never make one
  // Names, at least one, all different, none empty. A store is opened with those it was created with, in the
  // same order, so that a position means the same keyspace for ever; other names are an error, never new
  // keyspaces.
  const chaosgate_slice* keyspaces;
  size_t keyspace_count;
  // 1: nothing is flushed or compacted but by flush() and compact(), and they return when the work is done,
  // so that equal calls make equal system calls. 0: the engine's threads flush and compact when they like,
  // too; with buffers so small that a load of some hundred KiB makes them begin several times, where the
  // engine has such a setting. An engine does as much of this as it can.
  int scheduled;
  // 1: smaller buffers, caches and files and fewer threads, for many openings a second. Only amounts differ:
  // what is written, synced, renamed and checked, and in which order, stays. 0: the engine's defaults.
  int lean;
} chaosgate_open_options;

// ---- The contract: what the plugin promises, and is judged by ----

// Each level includes the ones before it.
typedef enum chaosgate_durability {
  CHAOSGATE_SURVIVES_NOTHING = 0,
  CHAOSGATE_SURVIVES_PROCESS_CRASH = 1,  // SIGKILL: what the kernel was given is there
  CHAOSGATE_SURVIVES_POWER_CUT = 2,      // only what was synced is sure to be there
} chaosgate_durability;

typedef struct chaosgate_contract {
  chaosgate_durability commit;  // what a batch survives, once write() returned OK
  // What all batches before survive, once flush() returned OK: at least a process crash, and at least what
  // commit does.
  chaosgate_durability flush;
  // 1: after a power cut the store opens and holds a prefix of the batches. 0: a power cut may damage it;
  // commit must then be less than POWER_CUT.
  int opens_after_power_cut;
  // 1: a batch is all there or not at all, in all keyspaces together, and batches survive in order. Must be
  // 1: the gate's protocols rest on it, so an engine without it cannot be judged.
  int atomic_batches;
  // 1: damage at rest is detected when it is read, in every file, instead of being returned or dropped.
  int checksums;
  // 1: bytes that were written are overwritten later, in some file. 0: files only grow, are replaced and
  // removed.
  int modifies_in_place;
  // Patterns, as in chaosgate_file_class, of files that change without a system call (shared mappings) and
  // hold nothing that has to survive.
  const char* const* volatile_files;
  size_t volatile_file_count;
} chaosgate_contract;

// What a file, or its beginning, is for: crash points and reports are counted by it. The first match wins.
typedef struct chaosgate_file_class {
  const char* name;     // "wal", "data", ...
  const char* pattern;  // fnmatch(3) on the path relative to the directory
  uint64_t bytes_end;   // only writes that end at or below this offset; 0: every call
  int informational;    // 1: for people, such as a journal of messages; no crash point counts its calls
  int immutable;        // 1: once written, such a file is never changed in place, only removed
} chaosgate_file_class;

// One way to run the engine; the first one is the default.
typedef struct chaosgate_configuration {
  const char* name;     // letters, digits and . _ - ; unique among all engines in use
  const char* family;   // configurations of one family open each other's stores
  const char* summary;  // one line
  chaosgate_contract contract;
  const chaosgate_file_class* file_classes;  // the last pattern is "*", without bytes_end
  size_t file_class_count;
} chaosgate_configuration;

// ---- The functions; none may be null ----

typedef struct chaosgate_functions {
  // Opens or makes a store and sets *engine when it returns OK, only then. What the store shows from then on
  // counts as committed: all of it is by then as durable as chaosgate_contract.commit says. What a kill left
  // in the page cache alone must be synced before a commit that survives a power cut may be shown.
  chaosgate_code (*open)(chaosgate_open_options options, chaosgate_engine** engine,
                         chaosgate_message* message);
  // 1 when the directory holds a store of this plugin, even a damaged one; looks only. Missing or empty
  // essential files mean 0: such a directory must never be opened as an empty store.
  int (*has_store)(uint32_t configuration, chaosgate_slice directory);
  // Closes, and promises nothing. One that makes all that was not durable so is right, too, and `conform`
  // notes it: the gate does not see then what a kill would show. No iterator or snapshot is left.
  void (*close)(chaosgate_engine* engine);

  chaosgate_code (*write)(chaosgate_engine* engine, chaosgate_batch batch, chaosgate_message* message);
  // *value is good until the next call with this engine.
  chaosgate_code (*get)(chaosgate_engine* engine, uint32_t keyspace, chaosgate_slice key,
                        chaosgate_slice* value, chaosgate_message* message);

  // An iterator over the state as it is now; later writes do not change what it shows. It stands nowhere.
  chaosgate_code (*iterator)(chaosgate_engine* engine, uint32_t keyspace, chaosgate_iterator** iterator,
                             chaosgate_message* message);
  // The moves; each sets *position when it returns OK. next and prev are called at a valid position only.
  chaosgate_code (*iterator_seek_first)(chaosgate_iterator* iterator, chaosgate_position* position,
                                        chaosgate_message* message);
  chaosgate_code (*iterator_seek_last)(chaosgate_iterator* iterator, chaosgate_position* position,
                                       chaosgate_message* message);
  // To the first key >= target.
  chaosgate_code (*iterator_seek)(chaosgate_iterator* iterator, chaosgate_slice target,
                                  chaosgate_position* position, chaosgate_message* message);
  // To the last key <= target.
  chaosgate_code (*iterator_seek_for_prev)(chaosgate_iterator* iterator, chaosgate_slice target,
                                           chaosgate_position* position, chaosgate_message* message);
  chaosgate_code (*iterator_next)(chaosgate_iterator* iterator, chaosgate_position* position,
                                  chaosgate_message* message);
  chaosgate_code (*iterator_prev)(chaosgate_iterator* iterator, chaosgate_position* position,
                                  chaosgate_message* message);
  void (*iterator_free)(chaosgate_iterator* iterator);

  // A view of the state as it is now, all keyspaces together, that later writes do not change.
  chaosgate_code (*snapshot)(chaosgate_engine* engine, chaosgate_snapshot** snapshot,
                             chaosgate_message* message);
  // *value is good until the next call with this snapshot.
  chaosgate_code (*snapshot_get)(chaosgate_snapshot* snapshot, uint32_t keyspace, chaosgate_slice key,
                                 chaosgate_slice* value, chaosgate_message* message);
  // The iterator may outlive the snapshot.
  chaosgate_code (*snapshot_iterator)(chaosgate_snapshot* snapshot, uint32_t keyspace,
                                      chaosgate_iterator** iterator, chaosgate_message* message);
  void (*snapshot_free)(chaosgate_snapshot* snapshot);

  // Makes all batches written so far as durable as chaosgate_contract.flush says. Iterators and snapshots may
  // be open.
  chaosgate_code (*flush)(chaosgate_engine* engine, chaosgate_message* message);
  // Rewrites the store to give space back, at once or a little later. No iterator or snapshot is open.
  chaosgate_code (*compact)(chaosgate_engine* engine, chaosgate_message* message);
  // Writes a copy of the current state, complete and closed, into `directory`, which does not exist. It need
  // not be synced: chaosgate does that, and marks it as a store.
  chaosgate_code (*checkpoint)(chaosgate_engine* engine, chaosgate_slice directory,
                               chaosgate_message* message);
  // How many bytes in the store's files hold live data, as far as the engine knows; not more than the files
  // have.
  chaosgate_code (*bytes_in_use)(chaosgate_engine* engine, uint64_t* bytes, chaosgate_message* message);
  // Reads everything and applies the engine's own checks.
  chaosgate_code (*check_integrity)(chaosgate_engine* engine, chaosgate_message* message);
} chaosgate_functions;

// ---- The plugin ----

typedef struct chaosgate_plugin {
  uint32_t abi_version;  // CHAOSGATE_ENGINE_ABI_VERSION; these two stay first in every version
  uint32_t struct_size;  // sizeof(chaosgate_plugin)
  const char* name;      // of the plugin: letters, digits and . _ -
  const char* version;   // of the engine's library
  const chaosgate_configuration* configurations;  // at least one
  size_t configuration_count;
  chaosgate_functions functions;
} chaosgate_plugin;

// The one exported symbol. What it returns, and all that this points to, stays as it is while the process
// lives. It may be called without a store in sight, to list what the plugin offers: it opens nothing.
CHAOSGATE_EXPORT const chaosgate_plugin* chaosgate_engine_plugin(void);

#ifdef __cplusplus
}  // extern "C"
#endif
