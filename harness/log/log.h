// Log is the Raft-style log: entries (term, index, payload) with consecutive indexes, in segment files.
//
// Guarantees. An entry is *appended* when append() returned and *synced* (acknowledged) when a later sync()
// returned ok. Synced entries survive a power cut. Indexes are consecutive, terms never fall. Opening drops
// a torn tail and reports it; damage at or before an entry known to be synced is Status::corruption, names
// file, offset and entry, and changes no file. After a failed write or sync every call but the accessors
// returns that io_error (a failed fsync means the pages may be gone; retrying would lie). Destruction writes
// nothing: what was not synced may be lost by it, as by a crash.
//
// Threading: one thread. Source of the rules: Raft (Ongaro 2014), Protocol-Aware Recovery (FAST 2018).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "harness/base/status.h"
#include "harness/base/step.h"

namespace chaosgate::log {

enum class EntryType : std::uint8_t {
  noop = 0,         // carries nothing
  transaction = 1,  // a workload transaction
};

struct Entry {
  std::uint64_t term = 0;
  std::uint64_t index = 0;
  EntryType type = EntryType::noop;
  std::string_view payload;
};

struct LogOptions {
  std::uint64_t segment_bytes = 256 << 10;    // a segment that has reached this size is cut
  std::uint64_t buffer_bytes_max = 64 << 10;  // appended bytes held in user space before they are written
  // The index after which a new, empty log starts, and the term of that entry (a snapshot's, or 0).
  std::uint64_t start_after = 0;
  std::uint64_t start_after_term = 0;
  // Entries up to here are known, from outside the log, to have been synced; a log that cannot give them
  // back is corrupt. 0 when nothing is known.
  std::uint64_t known_synced = 0;
  // Planted faults only; see harness/log/faulty_log.h.
  bool fault_skip_chain = false;         // accept a record that does not continue its predecessor
  bool fault_retry_sync = false;         // a failed fdatasync is tried again, and believed
  bool fault_keep_tail_bytes = false;    // suffix truncation leaves the bytes of the old tail in the file
  bool fault_unsynced_rollover = false;  // a full segment is not synced before the next one starts
  bool fault_sync_last_only = false;     // of a group, only the last record is written through
  bool fault_trust_tail = false;         // opening does not sync what it found
  bool fault_keep_torn_tail = false;     // opening leaves a torn tail in the file, and appends go behind it
  bool fault_cut_damage = false;         // any damage in the last segment passes for a torn tail

  bool operator==(const LogOptions&) const = default;
};

// What open() found and dropped.
struct LogRecovery {
  std::uint64_t torn_bytes = 0;  // dropped behind the last good record of the last segment
  std::uint64_t torn_after = 0;  // index of that last good record; meaningful when torn_bytes > 0
  std::string torn_reason;       // "short header", "short payload", "checksum", "index" or "chain"; or empty
  std::uint64_t removed_files = 0;  // temporary files of an interrupted cut
};

class Log {
 public:
  virtual ~Log() = default;

  // Adds an entry at last_index() + 1. REQUIRES: term >= last_term() and at most 64 MiB of payload; otherwise
  // invalid_argument, and nothing happened.
  virtual Status append(std::uint64_t term, EntryType type, std::string_view payload) = 0;
  // Makes every appended entry durable (one fdatasync for the group) and cuts the segment when it is full.
  virtual Status sync() = 0;

  // An empty log has first_index() == last_index() + 1: start_after + 1 when it is new, and the index it goes
  // on with when all of its entries were truncated.
  virtual std::uint64_t first_index() const = 0;
  virtual std::uint64_t last_index() const = 0;
  // Entries up to here are durable. After open: last_index().
  virtual std::uint64_t synced_index() const = 0;
  // Of the last entry, also when that entry was truncated away.
  virtual std::uint64_t last_term() const = 0;

  // Calls visit for the entries in [from, to] in order; stops at the first Status that is not ok and returns
  // it. Includes appended entries that were not synced. Each entry is read from the file and verified again.
  // The payload's view is good during the call only, and visit must not change the log.
  // REQUIRES: first_index() <= from, to <= last_index(); otherwise invalid_argument.
  virtual Status read(std::uint64_t from, std::uint64_t to,
                      const std::function<Status(const Entry&)>& visit) = 0;

  // Drops whole segments whose entries are all <= `upto`, never the last one. The caller answers for `upto`
  // being durable elsewhere.
  virtual Status truncate_prefix(std::uint64_t upto) = 0;
  // Drops the entries >= `from`, durably, so that others can be written there under a higher term. A crash
  // in the middle leaves the old log or a shorter one that still has everything below `from`.
  // REQUIRES: from > LogOptions::known_synced, first_index() <= from <= last_index() + 1; otherwise
  // invalid_argument.
  virtual Status truncate_suffix(std::uint64_t from) = 0;

  virtual const LogRecovery& recovery() const = 0;
};

// Creates an empty log; `directory` must not exist, its parent must. Durable when it returns ok. The log is
// built as `<directory>.new` and renamed into place, so that a crash leaves no half-made one.
Status create_log(const std::filesystem::path& directory, const LogOptions& options, StepSink& steps,
                  std::unique_ptr<Log>* log);

// Opens an existing log. not_found when the directory does not exist; a directory without a segment is
// corruption, for create_log() never leaves one: "empty" must not pass for "fresh".
Status open_log(const std::filesystem::path& directory, const LogOptions& options, StepSink& steps,
                std::unique_ptr<Log>* log);

}  // namespace chaosgate::log
