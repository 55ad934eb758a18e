// Tap sees every storage call that workers make on one data directory, carries it out in their place, and
// makes the ordered faults happen at exactly the ordered call.
//
// While a worker is attached, one supervising thread answers its calls, one at a time, in the order in which
// they came: the order of the records is the order in which the files changed. A worker that is to die is
// killed while its call waits, and no call is answered after that, so what is on the disk then is exact. The
// trace goes on over all workers of one Tap.
//
// What it cannot see, a store to a writable shared mapping of a data file, ends the worker; see
// TapEnd::refusal. Calls that it does not follow (copy_file_range, sendfile and splice into a data file,
// symbolic links, special and unnamed files, exchanging renames) are answered with the error that programs
// fall back on, and are recorded as refused.
//
// Threading: attach(), detach() and the accessors belong to one thread; the accessors only while no worker is
// attached. Throws EnvironmentError; what breaks on the supervising thread is thrown by detach().
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/tap/fault.h"
#include "harness/tap/file_table.h"
#include "harness/tap/trace.h"

namespace chaosgate::tap {

struct TapOptions {
  std::filesystem::path directory;          // the data directory
  std::vector<FileRule> rules;              // classes of its files
  std::vector<std::string> volatile_files;  // may be mapped writable; patterns as in FileRule
  bool keep_payloads = false;               // of writes, for disk images
  bool sync_disk = true;                    // false: syncs are recorded and not carried out
  // Nothing is looked at, recorded or decided: the kernel carries out each call when it has been handed to
  // the driver and back. To measure what that costs, which no listener can do without.
  bool hand_over_only = false;
};

// What is asked at each call.
struct Moment {
  TraceIndexes indexes;
  std::string_view phase;  // of the protocol; a name that lives for ever
};

// What happened to one worker.
struct TapEnd {
  std::optional<std::size_t> killed_by;    // position in the list of faults
  std::optional<TraceRecord> killed_call;  // the call at which it was killed, without payload
  std::vector<std::size_t> faulted;  // positions in the trace: calls answered with an injected error or count
  std::string refusal;               // why the worker was ended without an order, or empty
};

class Tap {
 public:
  explicit Tap(TapOptions options);
  ~Tap();
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  struct Worker {
    UniqueFd listener;  // of its filter
    pid_t pid = -1;
    UniqueFd pidfd;
    std::vector<StorageFault> faults;
    std::function<Moment()> look;       // called on the supervising thread
    std::function<void()> before_kill;  // likewise, when an ordered kill is about to happen
  };
  void attach(Worker worker);
  bool attached() const;
  // From now on these happen, and occurrences are counted anew. REQUIRES: attached(), and the worker makes no
  // storage call meanwhile.
  void replace_faults(std::vector<StorageFault> faults);
  // Waits until the worker and all its children are gone and nothing more can change the directory. Kills
  // children that outlive it. REQUIRES: attached(), and the worker is dead or dying.
  TapEnd detach();

  const Trace& trace() const;
  Trace take_trace();  // leaves an empty one that begins with what is there now
  // Leaves none, and the numbering as it is.
  std::vector<TraceRecord> take_records();
  const FileTable& files() const;

 private:
  class Session;
  struct State;

  std::unique_ptr<State> state_;
  std::unique_ptr<Session> session_;
};

}  // namespace chaosgate::tap
