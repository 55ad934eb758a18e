#include "harness/campaign/group.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using crash::GroupPlan;
using crash::MemberPlan;
using crash::StreamFault;
using oracle::Invariant;
using oracle::Violation;
using wire::Message;
using wire::MessageKind;

namespace {

constexpr int kCatchUpTriesMax = 6;  // the first or the first two under fire
constexpr std::size_t kLateMessagesMax = 16;
// Of a cycle that is recorded: short, and who was cut off or down mostly needs a snapshot.
constexpr std::uint32_t kRecordedEntriesMax = 60;
constexpr std::uint32_t kRecordedKeptMax = 12;

Violation violation(Invariant invariant, std::string explanation) {
  return {invariant, std::move(explanation), {}, 0};
}

// What the network does to the bytes. Leaves them alone when there is too little to do it to.
void damage(StreamFault fault, std::uint32_t permille, std::string* bytes) {
  const std::size_t at = bytes->size() * permille / 1000;
  const std::size_t piece = std::min(wire::kPieceBytes / 8, bytes->size() / 4);
  switch (fault) {
    case StreamFault::none:
      break;
    case StreamFault::cut:
      bytes->resize(at);
      break;
    case StreamFault::flipped:
      if (at < bytes->size()) {
        (*bytes)[at] = static_cast<char>((*bytes)[at] ^ (1 << (permille % 8)));
      }
      break;
    case StreamFault::repeated:
      bytes->insert(at, bytes->substr(at, piece));
      break;
    case StreamFault::swapped:
      if (at + 2 * piece <= bytes->size()) {
        std::swap_ranges(bytes->begin() + static_cast<std::ptrdiff_t>(at),
                         bytes->begin() + static_cast<std::ptrdiff_t>(at + piece),
                         bytes->begin() + static_cast<std::ptrdiff_t>(at + piece));
      }
      break;
  }
}

}  // namespace

Group::Group(const GroupOptions& options, StopSignal* stop)
    : options_(options),
      generator_(options.members.at(0).key.workload, options.members.at(0).key.seed),
      network_(0) {
  make_directory(options_.directory);
  for (const LaneTarget& target : options_.members) {
    SubjectOptions member;
    static_cast<LaneTarget&>(member) = target;
    member.directory = options_.directory / fmt::format("replica-{}", target.lane);
    member.keep_images = options_.keep_images;
    member.watch = member.keep_records = member.keep_payloads = options_.record;
    members_.push_back(std::make_unique<GroupMember>(member, leader_, stop));
    tally_.replicas.push_back(
        fmt::format("{} {} {}", target.lane, target.engine, wire::to_string(target.protocol)));
  }
}

Group::~Group() {
  members_.clear();
  std::error_code ignored;
  fs::remove_all(options_.directory, ignored);
}

GroupPlan Group::plan(std::uint64_t cycle) const {
  std::vector<wire::Protocol> protocols;
  for (const LaneTarget& member : options_.members) {
    protocols.push_back(member.protocol);
  }
  const PlanKey& key = options_.members.front().key;
  GroupPlan plan = crash::plan_group(key.plan, protocols, key.seed, options_.group, cycle);
  if (options_.record) {
    plan.entries = std::min(plan.entries, kRecordedEntriesMax);
    plan.kept = std::min(plan.kept, kRecordedKeptMax);
  }
  return plan;
}

PowerRecording Group::end_recording(std::size_t member) {
  return members_.at(member)->end_recording(plan_.members.at(member).cycle);
}

bool Group::failed() const {
  return std::any_of(members_.begin(), members_.end(), [](const auto& member) { return member->failed(); });
}

bool Group::create() {
  leader_ = LeaderLog(generator_.preload_entries());
  states_ = {};
  for (const auto& member : members_) {
    member->begin_cycle(cycle_);
    if (!member->create()) {
      return false;
    }
  }
  made_ = true;
  return true;
}

bool Group::run_cycle() {
  plan_ = plan(cycle_);
  network_ = Rng(options_.members.front().key.seed).fork("network").fork(options_.group).fork(cycle_);
  messages_.assign(members_.size(), 0);
  was_sent_snapshot_.assign(members_.size(), false);
  stream_fault_due_ = plan_.stream != StreamFault::none;
  bool fine = made_ || create();
  for (const auto& member : members_) {
    member->begin_cycle(cycle_);
  }
  for (std::size_t i = 0; fine && options_.record && i < members_.size(); ++i) {
    const fs::path base = options_.directory / fmt::format("base-{}", i);
    std::error_code ignored;
    fs::remove_all(base, ignored);
    members_[i]->begin_recording(base);
  }
  if (fine) {
    leader_.propose(plan_.entries, cycle_ + 2);
    tally_.entries += plan_.entries;
    fine = load();
  }
  if (fine) {
    drop_begin();
    fine = settle() && compare();
  }
  for (const auto& member : members_) {
    member->kill();
  }
  fine = fine && !failed();
  for (const auto& member : members_) {
    if (fine) {
      member->note_fine_cycle();
    }
  }
  made_ = fine;
  ++cycle_;
  ++tally_.cycles;
  return fine;
}

bool Group::close() {
  bool fine = made_;
  for (const auto& member : members_) {
    fine = fine && member->close();
  }
  made_ = false;  // the next cycle begins anew
  return fine;
}

// What a majority has acknowledged may be applied everywhere.
std::uint64_t Group::committed() const {
  std::vector<std::uint64_t> last;
  for (const auto& member : members_) {
    last.push_back(member->last());
  }
  std::sort(last.begin(), last.end(), std::greater<>());
  return last[last.size() / 2];
}

Message Group::entries_from(std::uint64_t index, std::uint64_t count) const {
  Message message;
  message.kind = MessageKind::append;
  message.index = index - 1;
  message.term = message.index == 0 ? 0 : leader_.term_at(message.index);
  std::size_t bytes = 0;
  for (std::uint64_t i = index; i < index + count && i <= leader_.last() && bytes < wire::kAppendBytesMax;
       ++i) {
    const std::uint64_t term = leader_.term_at(i);
    message.entries.push_back({term, generator_.payload(term, i)});
    bytes += message.entries.back().payload.size();
  }
  return message;
}

std::optional<Message> Group::deliver(GroupMember& member, const Message& entries,
                                      std::optional<std::uint32_t> timer_us) {
  member.offer(entries.index + entries.entries.size());
  ++tally_.messages;
  return member.send(entries, timer_us);
}

bool Group::send_entries(std::size_t number, const Message& given) {
  GroupMember& member = *members_[number];
  Message message = given;
  message.commit = committed();
  const MemberPlan& plan = plan_.members[number];
  const bool timed = plan.cycle.kind == crash::CrashKind::timer;
  const bool now = timed && ++messages_[number] == plan.kill_at_message;
  const auto answer = deliver(member, message, now ? std::optional(plan.cycle.timer_us) : std::nullopt);
  if (answer && answer->refused()) {
    if (message.index > answer->index) {
      ++tally_.gaps_refused;
    } else {
      member.found(
          {violation(Invariant::log_content, fmt::format("the leader's entries behind {} were refused: {}",
                                                         message.index, answer->bytes))});
    }
  }
  return answer.has_value();
}

bool Group::send_next(std::size_t number) {
  GroupMember& member = *members_[number];
  const MemberPlan& mine = plan_.members[number];
  if (!member.late.empty() && network_.chance(1, 4)) {
    const Message old = member.late.front();
    member.late.pop_front();
    if (!send_entries(number, old)) {
      return false;
    }
  }
  const Message next = entries_from(member.last() + 1, network_.between(1, plan_.group_max));
  if (network_.below(100) < mine.swap_percent) {
    const Message behind = entries_from(next.index + next.entries.size() + 1, plan_.group_max);
    if (!behind.entries.empty()) {
      ++tally_.swapped;
      if (!send_entries(number, behind)) {
        return false;
      }
    }
  }
  if (!send_entries(number, next)) {
    return false;
  }
  if (network_.below(100) < mine.repeat_percent) {
    ++tally_.repeated;
    if (!send_entries(number, next)) {
      return false;
    }
  }
  if (network_.below(100) < mine.late_percent && member.late.size() < kLateMessagesMax) {
    ++tally_.late;
    member.late.push_back(next);
  }
  return true;
}

bool Group::revive(GroupMember& member) { return member.alive() || member.live(nullptr, {}); }

bool Group::load() {
  std::vector<std::size_t> open;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const crash::CyclePlan& mine = plan_.members[i].cycle;
    std::vector<tap::StorageFault> faults;
    if (mine.kind == crash::CrashKind::call) {
      faults.push_back(mine.call);
    }
    if (!members_[i]->live(&mine, faults)) {
      return false;
    }
    if (!plan_.members[i].cut_off) {
      open.push_back(i);
    }
  }
  while (!open.empty()) {
    const std::size_t at = network_.below(open.size());
    const std::size_t number = open[at];
    GroupMember& member = *members_[number];
    bool more = member.last() < leader_.last() && member.last() + 1 >= leader_.first();
    if (more && !send_next(number)) {
      more = !member.failed() && !plan_.members[number].stays_down;
      if (more && !revive(member)) {
        return false;
      }
    }
    if (failed()) {
      return false;
    }
    if (!more) {
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
    }
  }
  return true;
}

void Group::drop_begin() {
  std::uint64_t most = 0;
  for (const auto& member : members_) {
    most = std::max(most, member->last());
  }
  const std::uint64_t wanted = leader_.last() + 1 - std::min<std::uint64_t>(plan_.kept, leader_.last());
  leader_.truncate(std::min(wanted, most + 1));
}

bool Group::settle() {
  for (const auto& member : members_) {
    if (!revive(*member)) {
      return false;
    }
  }
  leader_.propose(plan_.uncommitted, cycle_ + 2);  // more in the term of the load
  tally_.entries += plan_.uncommitted;
  // Who sends a snapshot has applied everything by then, or has entries that it has not applied.
  const bool senders_first = plan_.uncommitted == 0 && network_.chance(1, 2);
  std::vector<std::size_t> order;
  for (const bool behind : {!senders_first, senders_first}) {
    for (std::size_t i = 0; i < members_.size(); ++i) {
      const GroupMember& member = *members_[i];
      if ((member.last() + 1 < leader_.first()) == behind) {
        order.push_back(i);
      }
    }
  }
  for (const std::size_t member : order) {
    if (!catch_up(member)) {
      return false;
    }
  }
  return true;
}

bool Group::catch_up(std::size_t number) {
  GroupMember& member = *members_[number];
  // A death is planned for the first try. If the network damaged that one, its receiver had nothing to put in
  // place: then for the second.
  bool under_fire = true;
  for (int tries = 0; member.last() + 1 < leader_.first(); ++tries) {
    if (tries == kCatchUpTriesMax) {
      member.found({violation(
          Invariant::snapshot_whole,
          fmt::format("{} snapshots did not bring the replica to entry {}", tries, leader_.first() - 1))});
      return false;
    }
    const auto from = sender_for(number);
    const bool fault_was_due = stream_fault_due_;
    if (!from || !transfer(*from, number, tries == 0, under_fire)) {
      return false;
    }
    under_fire = under_fire && fault_was_due && !stream_fault_due_;
  }
  // A death that was planned for the load may still be due.
  for (int tries = 0; member.last() < leader_.last() || member.applied() < leader_.last(); ++tries) {
    if (!revive(member)) {
      return false;
    }
    Message message = entries_from(member.last() + 1, plan_.group_max);
    message.commit = leader_.last();
    const auto answer = deliver(member, message);
    if (member.failed()) {
      return false;
    }
    if (answer && (answer->refused() || tries > static_cast<int>(4 * plan_.entries) + 1000)) {
      member.found({violation(Invariant::log_content, fmt::format("the replica does not take entry {}: {}",
                                                                  member.last() + 1, answer->bytes))});
      return false;
    }
  }
  return true;
}

std::optional<std::size_t> Group::sender_for(std::size_t receiver) {
  std::vector<std::size_t> able;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (i != receiver && members_[i]->last() + 1 >= leader_.first()) {
      able.push_back(i);
    }
  }
  if (able.empty()) {
    members_[receiver]->found(
        {violation(Invariant::snapshot_whole,
                   fmt::format("no replica is left that has entry {}", leader_.first() - 1))});
    return std::nullopt;
  }
  return able[network_.below(able.size())];
}

Group::Stream Group::take_snapshot(GroupMember& from, const GroupMember& to) {
  Stream stream;
  const auto made = from.send(message_of(MessageKind::make_snapshot, to.engine().family));
  if (!made) {
    return stream;
  }
  stream.index = made->index;
  for (;;) {
    const auto piece = from.send(message_of(MessageKind::read_snapshot));
    if (!piece) {
      return stream;
    }
    if (piece->bytes.empty()) {
      stream.whole = true;
      return stream;
    }
    stream.bytes += piece->bytes;
  }
}

// Gives the sender entries that it must not apply yet: its log goes on behind the state that it sends. But
// for the first try it applies those before, so that the snapshot reaches where the leader's log begins.
bool Group::prepare_sender(GroupMember& sender, bool first) {
  Message message = entries_from(sender.last() + 1, plan_.uncommitted);
  message.commit = first ? sender.applied() : leader_.last() - plan_.uncommitted;
  return deliver(sender, message).has_value();
}

bool Group::transfer(std::size_t from, std::size_t to, bool first, bool under_fire) {
  GroupMember& sender = *members_[from];
  GroupMember& receiver = *members_[to];
  const auto faults_of = [&](std::size_t number) {
    std::vector<tap::StorageFault> faults;
    if (under_fire && plan_.members[number].transfer_kill) {
      faults.push_back(*plan_.members[number].transfer_kill);
    }
    return faults;
  };
  // Only one of the two dies on purpose.
  const bool sender_dies = network_.chance(1, 3);
  if (const auto faults = faults_of(from); sender_dies && !faults.empty()) {
    if (!sender.live(nullptr, faults)) {
      return false;
    }
  } else if (!revive(sender)) {
    return false;
  }
  Stream stream;
  if (prepare_sender(sender, first)) {
    stream = take_snapshot(sender, receiver);
  }
  if (sender.failed()) {
    return false;
  }
  if (!stream.whole) {
    ++tally_.senders_killed;
    if (stream.bytes.empty()) {
      return true;  // nothing came; the next try
    }
  }
  bool damaged = !stream.whole;
  if (stream.whole && stream_fault_due_) {
    stream_fault_due_ = false;
    const std::string before = stream.bytes;
    damage(plan_.stream, plan_.stream_permille, &stream.bytes);
    damaged = stream.bytes != before;
    if (damaged) {
      ++tally_.snapshots_damaged[std::string(to_string(plan_.stream))];
    }
  }
  const auto faults = sender_dies ? std::vector<tap::StorageFault>() : faults_of(to);
  if (!(faults.empty() ? revive(receiver) : receiver.live(nullptr, faults))) {
    return false;
  }
  // It may have come there by itself: it had died when the last one was all but installed.
  if (stream.whole && !damaged && stream.index <= receiver.last()) {
    ++tally_.snapshots_damaged["stale"];
    damaged = true;
  }
  was_sent_snapshot_[to] = true;
  if (!give_snapshot(stream, damaged, receiver)) {
    return false;
  }
  if (!damaged && receiver.alive() && receiver.last() >= stream.index) {
    ++tally_.snapshots_installed[fmt::format("{} -> {}", sender.engine().name, receiver.engine().name)];
  }
  return true;
}

bool Group::give_snapshot(const Stream& stream, bool damaged, GroupMember& to) {
  const auto died = [&] {
    ++tally_.receivers_killed;
    return !to.failed();
  };
  to.offer(std::min(stream.index, leader_.last()));
  auto answer = to.send(message_of(MessageKind::begin_snapshot));
  for (std::size_t at = 0; answer && !answer->refused() && at < stream.bytes.size();
       at += wire::kPieceBytes) {
    answer = to.send(message_of(MessageKind::feed_snapshot, stream.bytes.substr(at, wire::kPieceBytes)));
  }
  if (answer && !answer->refused()) {
    answer = to.send(message_of(MessageKind::end_snapshot));
  }
  if (!answer) {
    return died();
  }
  if (answer->refused()) {
    if (damaged) {
      return true;
    }
    to.found({violation(Invariant::snapshot_whole, "a whole snapshot was refused: " + answer->bytes)});
    return false;
  }
  if (damaged) {
    to.found({violation(Invariant::snapshot_whole,
                        fmt::format("a snapshot of {} bytes that was not whole, not as it was sent, or "
                                    "stale was installed",
                                    stream.bytes.size()))});
    return false;
  }
  return true;
}

bool Group::compare() {
  states_.forget(leader_.last());
  for (const auto& member : members_) {
    workloads::StateObservation state;
    do {  // a death that was planned for the load may come now
      if (!revive(*member)) {
        return false;
      }
    } while (!member->send(message_of(MessageKind::observe)) && !member->failed());
    if (member->failed()) {
      return false;
    }
    std::vector<Violation> found = member->check_reached(leader_.last(), &state);
    const std::vector<Violation> unequal = states_.add(member->name(), state);
    found.insert(found.end(), unequal.begin(), unequal.end());
    ++tally_.states_compared;
    if (!found.empty()) {
      member->found(found);
      return false;
    }
  }
  return true;
}

}  // namespace chaosgate::campaign
