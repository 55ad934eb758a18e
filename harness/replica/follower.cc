#include "harness/replica/follower.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace chaosgate::replica {

using wire::Message;
using wire::MessageKind;

namespace {

void refuse(Message* answer, std::string why) {
  answer->term = 1;
  answer->bytes = std::move(why);
}

}  // namespace

Follower::Follower(Replica& replica, Observer& observer, const wire::WorkerOrder& order,
                   wire::FlightRecorder& recorder, wire::Channel leader, std::function<void()> answered)
    : replica_(replica),
      observer_(observer),
      order_(order),
      recorder_(recorder),
      leader_(std::move(leader)),
      answered_(std::move(answered)),
      groups_(Rng(order.seed).fork("groups").fork(order.term)),
      chores_(order, replica) {}

Status Follower::run() {
  while (const auto received = leader_.receive()) {
    Message message;
    RETURN_IF_ERROR(wire::decode(received->text, &message));
    Message answer;
    RETURN_IF_ERROR(handle(message, &answer));
    if (message.kind != MessageKind::make_snapshot) {
      answer.index = replica_.log().last_index();
    }
    answer.commit = replica_.applied().index;
    leader_.send(wire::encode(answer));
    answered_();
  }
  return {};
}

Status Follower::handle(const Message& message, Message* answer) {
  switch (message.kind) {
    case MessageKind::append:
      return append(message, answer);
    case MessageKind::make_snapshot:
      sending_.reset();
      RETURN_IF_ERROR(replica_.make_snapshot(message.bytes, &sending_));
      answer->index = sending_->header().index;
      return {};
    case MessageKind::read_snapshot:
      if (sending_ == nullptr) {
        refuse(answer, "no snapshot was made");
        return {};
      }
      return sending_->read(wire::kPieceBytes, &answer->bytes);
    case MessageKind::begin_snapshot:
      receiving_ = replica_.make_receiver();
      return {};
    case MessageKind::feed_snapshot: {
      if (receiving_ == nullptr) {
        refuse(answer, "no snapshot was begun");
        return {};
      }
      if (const Status status = receiving_->feed(message.bytes); !status.ok()) {
        receiving_.reset();
        refuse(answer, status.to_string());
      }
      return {};
    }
    case MessageKind::end_snapshot:
      return install(answer);
    case MessageKind::observe:
      return observer_.state(replica_, workloads::SectionKind::state_reached);
    case MessageKind::answer:
      break;
  }
  return Status::invalid_argument("a leader sends no answers");
}

Status Follower::agrees(std::uint64_t index, std::uint64_t term, bool* agrees) {
  *agrees = true;
  log::Log& log = replica_.log();
  if (index < log.first_index() || index > log.last_index()) {
    return {};
  }
  return log.read(index, index, [&](const log::Entry& entry) {
    *agrees = entry.term == term;
    return Status();
  });
}

Status Follower::append(const Message& message, Message* answer) {
  const std::uint64_t last = replica_.log().last_index();
  if (message.index > last) {
    refuse(answer, fmt::format("the log ends at entry {}", last));
    return {};
  }
  bool same = true;
  RETURN_IF_ERROR(agrees(message.index, message.term, &same));
  std::uint64_t index = message.index;
  workloads::Transaction transaction;
  for (const Message::Entry& entry : message.entries) {
    if (!same) {
      break;
    }
    if (++index <= last) {
      RETURN_IF_ERROR(agrees(index, entry.term, &same));
      continue;
    }
    transaction.clear();
    if (!entry.payload.empty()) {
      RETURN_IF_ERROR(workloads::decode(entry.payload, &transaction));
    }
    RETURN_IF_ERROR(replica_.append(entry.term, index, transaction));
    ++taken_;
    recorder_.operations.fetch_add(transaction.size(), std::memory_order_relaxed);
  }
  if (!same) {
    refuse(answer, fmt::format("entry {} is of another term here", index));
    return {};
  }
  recorder_.entries.store(taken_, std::memory_order_relaxed);
  if (index > last) {
    RETURN_IF_ERROR(replica_.sync());
  }
  return apply(message.commit);
}

Status Follower::apply(std::uint64_t commit) {
  for (;;) {
    const std::uint64_t applied = replica_.applied().index;
    const std::uint64_t end = std::min(commit, replica_.log().last_index());
    if (applied >= end) {
      return {};
    }
    const auto size =
        std::min<std::uint64_t>(end - applied, groups_.between(1, order_.schedule.apply_group_max));
    RETURN_IF_ERROR(replica_.apply_pending(size));
    if (replica_.applied().index == applied) {
      return Status::corruption(
          fmt::format("entry {} is to be applied next, and the log holds entries {} to {}", applied + 1,
                      replica_.log().first_index(), replica_.log().last_index()));
    }
    RETURN_IF_ERROR(chores_.run(applied, applied + size, taken_));
  }
}

Status Follower::install(Message* answer) {
  if (receiving_ == nullptr) {
    refuse(answer, "no snapshot was begun");
    return {};
  }
  const auto receiver = std::move(receiving_);
  snapshot::ReceivedSnapshot received;
  Status status = receiver->finish(&received);
  if (status.ok()) {
    status = replica_.install_snapshot(received);
  }
  if (!status.ok()) {
    if (!replica_.serves()) {
      return status;
    }
    refuse(answer, status.to_string());
  }
  return {};
}

}  // namespace chaosgate::replica
