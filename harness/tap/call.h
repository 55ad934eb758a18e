// Call is one storage call of a worker that waits for the driver: what it would do, and the means to do it in
// the worker's place, on the very files it meant.
//
// read_call() looks at the waiting worker; carry_out() acts. In between the driver may change its mind about
// how much of it happens. Descriptors are duplicates of the worker's, so file offsets and flags are shared
// with it. Used by one thread.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/tap/file_table.h"
#include "harness/tap/listener.h"
#include "harness/tap/trace.h"

namespace chaosgate::tap {

// A name in a directory that the table knows.
struct Place {
  UniqueFd base;  // what a relative path starts from; empty: the path is absolute
  std::string path;
  InodeId dir = 0;
  std::string name;
};

struct Call {
  enum class Kind : std::uint8_t {
    ignore,   // not about the data directory, or changes nothing: the kernel carries it out
    storage,  // `record` says what it is
    refuse,   // answered with `refusal_error`; `record` says what it was
    map,      // would make a data file writable by memory: `record.path`
  };

  Kind kind = Kind::ignore;
  int refusal_error = 0;
  TraceRecord record;  // all that is known before it happens; without begin, end and moment

  // What carry_out() needs.
  UniqueFd file;
  Place place;
  Place from;
  std::uint64_t open_flags = 0;
  std::uint64_t open_mode = 0;
  std::uint64_t open_resolve = 0;  // RESOLVE_... of openat2
  std::int64_t position = 0;       // of a write; -1: at the file's own position
  int write_flags = 0;             // RWF_...
  unsigned int rename_flags = 0;
  unsigned int range_flags = 0;
  UniqueFd opened;  // by carry_out(): for the worker
};

// What the volatile files are called: patterns like FileRule::pattern.
using Patterns = std::vector<std::string>;

// Sees shared mappings that could become writable later.
struct Mappings {
  bool readable_data = false;  // a data file is mapped shared and read-only
};

// What the waiting call would do. nullopt: the worker died meanwhile.
std::optional<Call> read_call(const seccomp_notif& waiting, const RemoteProcess& process,
                              const FileTable& files, const Patterns& volatile_files, Mappings* mappings);

// Carries out a storage call, of a write only the first `bytes`. Returns what the call returns, or -errno;
// fills what the record says about the result and keeps the table right.
// `sync_disk`: false leaves syncs to the record.
std::int64_t carry_out(Call* call, std::uint64_t bytes, bool sync_disk, FileTable* files);

}  // namespace chaosgate::tap
