#include "harness/replica/follower.h"

#include <fmt/format.h>

#include <thread>
#include <vector>

#include "harness/replica/rig_for_test.h"
#include "workloads/observation.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using wire::Message;
using wire::MessageKind;

namespace {

// A follower on a thread of its own, and the leader's end of its socket.
class Followed {
 public:
  explicit Followed(const std::string& engine, const std::string& fault = "")
      : rig_(engine, wire::Protocol::sidecar),
        observations_(1 << 24),
        writer_(observations_.data(), observations_.size()),
        observer_(writer_, rig_.recorder) {
    rig_.order.fault = fault;
    rig_.create();
    rig_.recover();
    auto [ours, theirs] = wire::Channel::make_pair();
    leader_.emplace(std::move(ours));
    follower_ = std::make_unique<Follower>(*rig_.replica, observer_, rig_.order, rig_.recorder,
                                           wire::Channel(std::move(theirs)), [this] { ++answers_; });
    thread_ = std::thread([this] { status_ = follower_->run(); });
  }
  ~Followed() {
    if (thread_.joinable()) {
      leader_.reset();
      thread_.join();
    }
  }

  Message ask(const Message& message) {
    leader_->send(wire::encode(message));
    const auto received = leader_->receive(10'000);
    Message answer;
    expect_ok(wire::decode(received.value().text, &answer));
    return answer;
  }
  void tell(const std::string& bytes) { leader_->send(bytes); }
  // Hangs up; what the follower ended with.
  Status end() {
    leader_.reset();
    thread_.join();
    return status_;
  }
  // `count` entries behind `index`, under `term`.
  Message entries(std::uint64_t index, std::uint64_t count, std::uint64_t term, std::uint64_t before) const {
    Message message;
    message.kind = MessageKind::append;
    message.index = index;
    message.term = before;
    for (std::uint64_t i = index + 1; i <= index + count; ++i) {
      message.entries.push_back({term, rig_.generator.payload(term, i)});
    }
    return message;
  }

  std::uint64_t preloaded() const { return rig_.generator.preload_entries(); }
  int answers() const { return answers_; }
  Rig& rig() { return rig_; }

 private:
  Rig rig_;
  std::vector<char> observations_;
  workloads::ObservationWriter writer_;
  Observer observer_;
  std::optional<wire::Channel> leader_;
  std::unique_ptr<Follower> follower_;
  std::thread thread_;
  Status status_;
  int answers_ = 0;
};

// All that is left of the snapshot that it makes.
std::string read_snapshot(Followed& sender) {
  std::string bytes;
  for (;;) {
    const Message piece = sender.ask(message_of(MessageKind::read_snapshot));
    if (piece.bytes.empty()) {
      return bytes;
    }
    bytes += piece.bytes;
  }
}

}  // namespace

TEST_CASE("a follower takes entries in order, twice and late, and applies what is committed") {
  Followed followed(GENERATE(as<std::string>{}, "lmdb", "rocksdb"));
  const std::uint64_t base = followed.preloaded();
  Message first = followed.entries(base, 5, 9, 1);
  first.commit = base + 3;
  Message answer = followed.ask(first);
  CHECK_FALSE(answer.refused());
  CHECK(answer.index == base + 5);
  CHECK(answer.commit == base + 3);
  CHECK(followed.ask(first) == answer);
  // One that begins in the middle of what is there goes on behind it.
  Message overlapping = followed.entries(base + 3, 4, 9, 9);
  overlapping.commit = base + 7;
  answer = followed.ask(overlapping);
  CHECK(answer.index == base + 7);
  CHECK(answer.commit == base + 7);
  CHECK(followed.ask(first).index == base + 7);
  CHECK(followed.end().ok());
  CHECK(followed.answers() == 4);
  followed.rig().recover();
  CHECK(followed.rig().replica->log().last_index() == base + 7);
  CHECK(followed.rig().stored_witness() == base + 7);
}

TEST_CASE("a follower refuses a gap and entries of another term, and stays as it is") {
  Followed followed("lmdb");
  const std::uint64_t base = followed.preloaded();
  REQUIRE_FALSE(followed.ask(followed.entries(base, 3, 9, 1)).refused());
  const Message gap = followed.ask(followed.entries(base + 5, 2, 9, 9));
  CHECK(gap.refused());
  CHECK(gap.index == base + 3);
  const Message other = followed.ask(followed.entries(base + 3, 2, 9, 8));
  CHECK(other.refused());
  CHECK(other.bytes.find("another term") != std::string::npos);
  CHECK(followed.ask(followed.entries(base + 1, 2, 8, 9)).refused());
  CHECK(followed.ask(followed.entries(base + 3, 1, 9, 9)).index == base + 4);
  CHECK(followed.end().ok());
}

TEST_CASE("a follower refuses pieces of a snapshot that nobody began, and one that is cut off") {
  Followed followed("lmdb");
  CHECK(followed.ask(message_of(MessageKind::feed_snapshot, "x")).refused());
  CHECK(followed.ask(message_of(MessageKind::end_snapshot)).refused());
  CHECK(followed.ask(message_of(MessageKind::read_snapshot)).refused());
  const std::uint64_t base = followed.preloaded();
  const Message made = followed.ask(message_of(MessageKind::make_snapshot, "lmdb"));
  CHECK(made.index == base);
  const std::string bytes = read_snapshot(followed);
  CHECK_FALSE(followed.ask(message_of(MessageKind::begin_snapshot)).refused());
  // Its own snapshot is not newer than what it has: refused by the header.
  CHECK(followed.ask(message_of(MessageKind::feed_snapshot, bytes.substr(0, wire::kPieceBytes))).refused());
  CHECK(followed.ask(message_of(MessageKind::end_snapshot)).refused());
  CHECK_FALSE(followed.ask(message_of(MessageKind::observe)).refused());
  CHECK(followed.end().ok());
}

TEST_CASE("planted: a follower whose log lacks the entry that comes next ends with an error") {
  const std::string fault = "snapshot-of-unflushed-state";
  Followed sender("lmdb", fault);
  const std::uint64_t base = sender.preloaded();
  Message entries = sender.entries(base, 5, 9, 1);
  entries.commit = base + 2;
  REQUIRE_FALSE(sender.ask(entries).refused());
  REQUIRE(sender.ask(message_of(MessageKind::make_snapshot, "lmdb")).index == base + 5);
  const std::string bytes = read_snapshot(sender);
  Followed receiver("lmdb", fault);
  receiver.ask(message_of(MessageKind::begin_snapshot));
  for (std::size_t at = 0; at < bytes.size(); at += wire::kPieceBytes) {
    receiver.ask(message_of(MessageKind::feed_snapshot, bytes.substr(at, wire::kPieceBytes)));
  }
  const Message installed = receiver.ask(message_of(MessageKind::end_snapshot));
  REQUIRE_FALSE(installed.refused());
  REQUIRE(installed.index == base + 5);
  REQUIRE(installed.commit == base + 2);
  Message more = receiver.entries(base + 5, 0, 9, 9);
  more.commit = base + 5;
  receiver.tell(wire::encode(more));
  const Status ended = receiver.end();
  CHECK(ended.code() == StatusCode::corruption);
  CHECK(ended.message().find(fmt::format("entry {} is to be applied next", base + 3)) != std::string::npos);
  CHECK(sender.end().ok());
}

TEST_CASE("a follower ends well when its leader hangs up and with an error when that sends no message") {
  Followed well("lmdb");
  CHECK(well.end().ok());
  Followed confused("lmdb");
  confused.tell("no message");
  CHECK(confused.end().code() == StatusCode::corruption);
}
