// Trace is what the tap saw: one record for each storage call of the workers on one data directory, in order,
// with enough in it to say what a disk may hold after any of them.
//
// A trace begins on a data directory whose content counts as durable (`base`) and goes on over as many
// workers as are started on it. Inodes, not paths, identify files and directories: each has a number of its
// own, given when it is first seen and never reused, even when the file system reuses its inode. Plain data;
// not thread-safe.
//
// File format (little-endian), one file:
//
//   trace  := magic:u32 version:u32 base:u64 entry[base] records:u64 record[records] indexes checksum:u64
//   entry  := inode:u64 directory:u8 size:u64 path:bytes
//   record := begin:u64 end:u64 thread:u32 process:u32 call:u8 flags:u8 error:u32 inode:u64 dir:u64
//             from_dir:u64 replaced:u64 offset:u64 length:u64 requested:u64 size_before:u64 size_after:u64
//             payload_hash:u64 mode:u32 name:bytes from_name:bytes path:bytes file_class:bytes phase:bytes
//             system_call:bytes payload:bytes indexes
//   indexes:= appended:u64 synced:u64 applied:u64 flushed:u64 term:u64
//
// checksum = hash64 of everything before it; bytes = u32 length, then so many bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/status.h"

namespace chaosgate::tap {

// The kinds of storage call. Several system calls share one kind when they do the same to a file.
enum class StorageCall : std::uint8_t {
  create,      // open that made a new file; binds `name` in `dir`
  write,       // write, pwrite, writev, pwritev, pwritev2
  truncate,    // ftruncate, truncate, open with O_TRUNC on a file that was not empty
  allocate,    // fallocate, see `mode`
  sync,        // fsync, of a file or a directory
  datasync,    // fdatasync, of a file or a directory
  range_sync,  // sync_file_range: makes nothing durable
  sync_all,    // sync, syncfs
  rename,      // from `from_dir`/`from_name` to `dir`/`name`; `replaced` is what had that name
  link,        // a further name for `inode`
  unlink,      // of a file
  mkdir,
  rmdir,
  refused,  // a call that the tap cannot follow, answered with an error: see `system_call`
};
inline constexpr std::size_t kStorageCallCount = static_cast<std::size_t>(StorageCall::refused) + 1;

std::string_view to_string(StorageCall call);
std::optional<StorageCall> parse_storage_call(std::string_view name);

using InodeId = std::uint64_t;  // 0 = none; kRootInode = the data directory itself
inline constexpr InodeId kRootInode = 1;

// What the flight recorder said.
struct TraceIndexes {
  std::uint64_t appended = 0;
  std::uint64_t synced = 0;   // acknowledged
  std::uint64_t applied = 0;  // engine write returned ok
  std::uint64_t flushed = 0;  // engine flush returned ok
  std::uint64_t term = 0;     // of the worker

  bool operator==(const TraceIndexes&) const = default;
};

// Something that was there, and durable, when the trace began.
struct BaseEntry {
  InodeId inode = 0;
  bool directory = false;
  std::uint64_t size = 0;  // bytes; 0 for a directory
  std::string path;        // relative to the data directory; "" is the data directory

  bool operator==(const BaseEntry&) const = default;
};

struct TraceRecord {
  // Positions in one total order of starts and returns. A call that returned before another started has
  // end < begin of that one; otherwise they are concurrent. Never 0, never equal.
  std::uint64_t begin = 0;
  std::uint64_t end = 0;      // UINT64_MAX when the worker died before it learned of the result
  std::uint32_t thread = 0;   // numbered from 0 by first call, over all workers of the trace
  std::uint32_t process = 0;  // numbered from 0 likewise
  StorageCall call = StorageCall::write;
  std::string system_call;  // "pwrite64"
  // 0, or the errno the worker was given. A call with an error may still have changed something: `length`
  // says how many bytes of a write were carried out. A failed sync made nothing durable, and what it should
  // have written is lost to later syncs too.
  std::uint32_t error = 0;
  bool injected = false;       // the error, short count or cut was ordered
  bool is_directory = false;   // `inode` is a directory
  bool informational = false;  // of a file for people: not counted by crash points, not in signatures
  bool write_through = false;  // O_SYNC, O_DSYNC, RWF_SYNC or RWF_DSYNC: durable when it returned
  bool direct = false;         // write: O_DIRECT, past the page cache
  InodeId inode = 0;           // what the call is about: the file, or the directory that is synced or made
  InodeId dir = 0;             // create, rename, link, unlink, mkdir, rmdir: the directory of `name`
  std::string name;
  InodeId from_dir = 0;  // rename, link: where the old name is
  std::string from_name;
  InodeId replaced = 0;         // rename: the inode that lost its name `name`, or 0
  std::string path;             // of `inode` at the time, relative to the data directory
  std::string file_class;       // "manifest", "segment", "dir", ...
  std::string phase;            // of the protocol: "log-sync", "flush", ...
  std::uint64_t offset = 0;     // write, allocate, range_sync
  std::uint64_t length = 0;     // bytes carried out (write), or covered
  std::uint64_t requested = 0;  // bytes asked for (write)
  // Of the file; truncate, write and allocate change it. unlink: what the last name gives back.
  std::uint64_t size_before = 0;
  std::uint64_t size_after = 0;
  std::uint32_t mode = 0;          // allocate: the mode of fallocate(2)
  std::uint64_t payload_hash = 0;  // write: hash64 of the bytes carried out
  std::string payload;             // write: those bytes, when the trace keeps payloads
  TraceIndexes indexes;            // when the call started

  bool operator==(const TraceRecord&) const = default;
};

struct Trace {
  std::vector<BaseEntry> base;
  std::vector<TraceRecord> records;  // by begin
  TraceIndexes last;                 // at the end of the last worker

  bool operator==(const Trace&) const = default;
};

// One line for people: "  17 pwrite64    engine/MANIFEST-000005 manifest  +4096 128 -> 128  flush".
std::string describe(const TraceRecord& record);

// What must be equal for two runs to have made the same calls: kind, class, offset, length and error of each
// record, without times, threads, names and content (engines write clocks and random identifiers), and
// without informational files. hash64.
std::uint64_t signature(const Trace& trace);
// A hash of the same of the first thread's calls alone, in whatever order: other threads may have come to any
// point when a worker dies.
std::uint64_t calls_of_first_thread(const Trace& trace);

void save_trace(const Trace& trace, std::string* out);
// How many bytes the files of a trace may have beyond what its base and its writes hold: holes.
inline constexpr std::uint64_t kBytesWithoutContentMax = 256 << 20;

// corruption for a trace that no run can have made: names that a directory cannot hold, a base whose entries
// lie in no directory, files larger than what the trace can fill. What passes can be used as it is.
Status check_trace(const Trace& trace);

// corruption for bytes that are damaged, no trace, or one that check_trace() refuses; not_supported for
// another format version; *trace is then left alone.
Status load_trace(std::string_view bytes, Trace* trace);

}  // namespace chaosgate::tap
