// Follower is a replica's life under a leader: it takes entries and snapshots from a socket, and sends
// snapshots.
//
// Entries come in any order and more than once. One that continues the log is appended and synced before it
// is acknowledged; what is there already is passed over; a gap is refused, and the answer says where the log
// ends. Entries are applied up to the leader's commit index, in groups, with the chores of a load. Nothing is
// answered before it holds. A snapshot that is not whole is refused, and the state stays as it was.
//
// Ends when the leader closes the socket. One thread.
#pragma once

#include <functional>
#include <memory>

#include "harness/base/rng.h"
#include "harness/base/status.h"
#include "harness/replica/chores.h"
#include "harness/replica/observe.h"
#include "harness/replica/replica.h"
#include "harness/wire/channel.h"
#include "harness/wire/message.h"

namespace chaosgate::replica {

class Follower {
 public:
  // All but the channel must outlive this. `answered` is called behind each answer.
  Follower(Replica& replica, Observer& observer, const wire::WorkerOrder& order,
           wire::FlightRecorder& recorder, wire::Channel leader, std::function<void()> answered);

  // Until the leader is gone. An error means that the replica cannot go on.
  Status run();

 private:
  Status handle(const wire::Message& message, wire::Message* answer);
  Status append(const wire::Message& message, wire::Message* answer);
  // Whether the log holds an entry with this index and term, or knows no better.
  Status agrees(std::uint64_t index, std::uint64_t term, bool* agrees);
  Status apply(std::uint64_t commit);
  Status install(wire::Message* answer);

  Replica& replica_;
  Observer& observer_;
  const wire::WorkerOrder& order_;
  wire::FlightRecorder& recorder_;
  wire::Channel leader_;
  std::function<void()> answered_;
  Rng groups_;
  Chores chores_;
  std::uint64_t taken_ = 0;  // entries
  std::unique_ptr<snapshot::SnapshotSource> sending_;
  std::unique_ptr<snapshot::SnapshotReceiver> receiving_;
};

}  // namespace chaosgate::replica
