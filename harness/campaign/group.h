// Group runs cycles on replicas that follow one leader, whose log and network this process is.
//
// A cycle. The leader proposes entries. Messages with them reach the replicas one at a time, in an order,
// twice or late as the seed has it, and each replica dies at a place of its own plan; some are cut off, some
// stay down. The leader then drops the begin of its log. Every replica recovers and catches up, by entries
// or, when they are gone, by a snapshot from another replica, on whose way bytes may be lost or changed, and
// sender and receiver may die. In the end all have applied the last entry and show their state: it must be
// the oracle's and that of the others. Then all are killed. Elections are not part of it: the leader never
// loses anything.
//
// Violations end all data directories; the next cycle begins on new ones. Threading: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/rng.h"
#include "harness/campaign/group_member.h"
#include "harness/crash/group_plan.h"
#include "harness/report/group_tally.h"
#include "oracle/replica_states.h"

namespace chaosgate::campaign {

struct GroupOptions {
  std::vector<LaneTarget> members;  // at least two
  std::uint64_t group = 0;          // of a campaign that runs several, each with plans of its own
  std::filesystem::path directory;  // made by the group, must not exist; removed with it
  bool keep_images = true;
  // What the replicas do, for power cuts. Cycles are shorter then, and nothing is synced.
  bool record = false;
};

class Group {
 public:
  // `stop` may be null. Throws UsageError when the worker program does not have an engine.
  Group(const GroupOptions& options, StopSignal* stop);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Runs the next cycle. False when something was found.
  bool run_cycle();
  // Recovers all replicas once more and closes them cleanly. False when something was found.
  bool close();

  // What a replica did in the last cycle. REQUIRES: options.record; nothing was found in it.
  PowerRecording end_recording(std::size_t member);
  // It was sent a snapshot in the last cycle, or a part of one.
  bool was_sent_snapshot(std::size_t member) const { return was_sent_snapshot_.at(member); }

  crash::GroupPlan plan(std::uint64_t cycle) const;
  std::uint64_t next_cycle() const { return cycle_; }
  std::vector<std::unique_ptr<GroupMember>>& members() { return members_; }
  const report::GroupTally& tally() const { return tally_; }

 private:
  struct Stream {
    std::string bytes;
    std::uint64_t index = 0;  // the entry it ends at
    bool whole = false;       // the sender came to its end
  };

  bool create();
  bool load();
  // Sends a replica what comes next; false when it died.
  bool send_next(std::size_t member);
  std::optional<wire::Message> deliver(GroupMember& member, const wire::Message& entries,
                                       std::optional<std::uint32_t> timer_us = {});
  bool send_entries(std::size_t member, const wire::Message& message);
  wire::Message entries_from(std::uint64_t index, std::uint64_t count) const;
  void drop_begin();
  bool settle();
  bool catch_up(std::size_t member);
  // Brings a snapshot from one to the other. `first`: it may end before the leader's log begins;
  // `under_fire`: one of the two may die as its plan says. True unless something was found.
  bool transfer(std::size_t from, std::size_t to, bool first, bool under_fire);
  std::optional<std::size_t> sender_for(std::size_t member);
  Stream take_snapshot(GroupMember& from, const GroupMember& to);
  bool give_snapshot(const Stream& stream, bool damaged, GroupMember& to);
  bool compare();
  bool prepare_sender(GroupMember& sender, bool first);
  bool revive(GroupMember& member);
  std::uint64_t committed() const;
  bool failed() const;

  GroupOptions options_;
  LeaderLog leader_;
  workloads::Generator generator_;
  std::vector<std::unique_ptr<GroupMember>> members_;
  oracle::ReplicaStates states_;
  report::GroupTally tally_;
  std::uint64_t cycle_ = 0;
  crash::GroupPlan plan_;                // of this cycle
  bool made_ = false;                    // data directories are there
  bool stream_fault_due_ = false;        // the plan's, in this cycle
  Rng network_;                          // of this cycle
  std::vector<std::uint32_t> messages_;  // sent to each in this cycle
  std::vector<bool> was_sent_snapshot_;  // the same
};

}  // namespace chaosgate::campaign
