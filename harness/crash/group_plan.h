// GroupPlan is what the seed decided for one cycle of a replica group: how many entries the leader proposes,
// what the network does to them and to snapshots, and how each replica dies.
//
// plan_group() is a pure function of its arguments, like plan_cycle(), of which it is made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/crash/plan.h"
#include "harness/tap/fault.h"
#include "harness/wire/order.h"

namespace chaosgate::crash {

// What happens to the bytes of a snapshot on their way.
enum class StreamFault : std::uint8_t {
  none,
  cut,       // the rest never comes
  flipped,   // one bit is another
  repeated,  // a piece comes twice
  swapped,   // two pieces come in the wrong order
};

std::string_view to_string(StreamFault fault);

struct MemberPlan {
  CyclePlan cycle;                    // how it loads and dies, and what its recovery suffers
  bool cut_off = false;               // it gets nothing until the others have everything
  bool stays_down = false;            // once it has died, until the others have everything
  std::uint32_t kill_at_message = 1;  // timer: the message during which it is killed, counted from 1
  // Of a hundred messages, so many come twice, behind the next one, or much later.
  std::uint32_t repeat_percent = 0;
  std::uint32_t swap_percent = 0;
  std::uint32_t late_percent = 0;
  // Its death while it sends or takes a snapshot, if it does.
  std::optional<tap::StorageFault> transfer_kill;
};

struct GroupPlan {
  std::uint64_t cycle = 0;
  std::uint32_t entries = 0;    // that the leader proposes
  std::uint32_t group_max = 1;  // entries in a message, drawn in [1, max]
  std::uint32_t kept = 0;       // entries that the leader's log keeps: who lacks more needs a snapshot
  // Entries that the leader proposes after the load, and that who sends a snapshot has and has not applied.
  std::uint32_t uncommitted = 0;
  StreamFault stream = StreamFault::none;  // what happens to the first snapshot
  std::uint32_t stream_permille = 0;       // where in it
  std::vector<MemberPlan> members;
};

GroupPlan plan_group(const PlanOptions& options, const std::vector<wire::Protocol>& members,
                     std::uint64_t seed, std::uint64_t group, std::uint64_t cycle);

// One line, for people.
std::string to_string(const GroupPlan& plan);
std::string to_string(const MemberPlan& plan);

}  // namespace chaosgate::crash
