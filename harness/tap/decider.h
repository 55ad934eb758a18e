// Decider says, call by call, which of a worker's ordered faults happens now. Counts occurrences; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "harness/tap/fault.h"
#include "harness/tap/trace.h"

namespace chaosgate::tap {

// How much of a write is carried out by a kill inside it: up to the first border of pages behind its offset,
// for pages == 1, or to a later one. 0 when the write does not reach beyond that, goes past the page cache,
// or the call is no write: then no kill can happen inside it.
std::uint64_t bytes_of_pages(const TraceRecord& record, std::uint64_t pages);

struct Decision {
  enum class Act : std::uint8_t {
    carry_out,  // all of it
    kill_before,
    kill_after,  // after `bytes` of a write, or all of another call
    fail,        // answer with `error`
    cut_short,   // carry out and answer `bytes` of a write
  };
  Act act = Act::carry_out;
  std::uint64_t bytes = 0;
  int error = 0;
  bool loses_pages = false;          // the fault is lost-sync
  std::optional<std::size_t> fault;  // position in the list
};

class Decider {
 public:
  explicit Decider(std::vector<StorageFault> faults);

  // REQUIRES: called once for each call, in order. `record` is what is known before it happens.
  Decision decide(const TraceRecord& record);
  // The call was carried out and `record` is complete: keeps count of the room that is left.
  void happened(const TraceRecord& record);

  bool needs_old_pages() const;  // some fault is lost-sync
  const std::vector<StorageFault>& faults() const { return faults_; }

 private:
  Decision apply(std::size_t fault, const TraceRecord& record);
  std::optional<Decision> out_of_room(std::size_t fault, const TraceRecord& record);

  std::vector<StorageFault> faults_;
  std::vector<std::uint64_t> seen_;  // matching calls so far, by fault; refused calls for full
  std::int64_t grown_ = 0;           // bytes, since the worker started
};

}  // namespace chaosgate::tap
