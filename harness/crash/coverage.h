// Coverage counts where kills landed among the storage calls that were seen, and chooses where the next one
// should land.
//
// A *cell* is a place relative to a call (before, after, inside), the class of its file, the kind of call,
// and the phase of the protocol: "after sst.datasync/flush". A cell is known once such a call was seen; a
// known cell that no kill has hit is a zero cell. Steering takes one of the cells hit least often. A pure
// function of what it was told; not thread-safe.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/rng.h"
#include "harness/tap/fault.h"
#include "harness/tap/trace.h"

namespace chaosgate::crash {

enum class Place : std::uint8_t { before, after, inside };

struct Cell {
  Place place = Place::before;
  std::string file_class;
  tap::StorageCall call = tap::StorageCall::write;
  std::string phase;

  auto operator<=>(const Cell&) const = default;
};

std::string to_string(const Cell& cell);

// Whether calls of this phase belong to a recovery; the others belong to a load.
bool is_recovery_phase(std::string_view phase);

// The cell of a kill at `record`.
Cell cell_of(tap::FaultAction action, const tap::TraceRecord& record);

class Coverage {
 public:
  // What one worker did.
  void saw(const std::vector<tap::TraceRecord>& records);
  void hit(const Cell& cell);

  // A kill at a call like those seen, in recoveries or in loads, in one of the cells hit least often. nullopt
  // when nothing was seen. A choice counts like a hit: a place that cannot be reached again is not tried for
  // ever.
  std::optional<tap::StorageFault> choose(std::uint64_t steer, bool recovery);

  // An I/O error, or a full disk for a while, in a load: three of four in a file of the engine's, if it has
  // any; at the class of files, kind of call and phase, of those seen, that have got the fewest of them,
  // writes and syncs three times as often as others, and phases that end in an acknowledgement twice as
  // often; at each call of a short burst as likely, and rather at an early call than at a late one, which a
  // shorter load never makes. nullopt when none was seen. A choice counts.
  std::optional<tap::StorageFault> choose_error(std::uint64_t steer);

  // Gives an I/O error that is planned for any class of files one class and phase where such a call was seen
  // in loads, each as likely as any other: syncs of a log would otherwise get nearly all of them. Leaves it
  // as it is when none was seen, or when it names a class already.
  void place(std::uint64_t steer, tap::StorageFault* error) const;

  // The cells that became known since the last call.
  std::vector<std::string> take_new();

 private:
  struct Known {
    std::uint64_t hits = 0;
    std::uint64_t calls = 0;   // of the last worker that made any
    std::uint64_t burst = 0;   // the most that any made in one run of the phase, say in one flush
    std::uint64_t errors = 0;  // chosen so far
    bool of_engine = false;    // a file of the engine's, not of the log or the sidecar
  };

  std::map<Cell, Known> cells_;
  std::vector<std::string> new_;
};

}  // namespace chaosgate::crash
