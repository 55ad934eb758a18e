// Stores whose iterators do what no sound one does: what is observed stays bounded, and shows it.
#include "harness/replica/observe.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using workloads::StateCursor;

namespace {

// Gives key_at(0), key_at(1), ... in both directions, without an end.
class EndlessIterator : public engines::Iterator {
 public:
  explicit EndlessIterator(std::function<std::string(std::uint64_t)> key_at) : key_at_(std::move(key_at)) {}

  bool valid() const override { return true; }
  void seek_to_first() override { go(0); }
  void seek_to_last() override { go(0); }
  void seek(std::string_view) override { go(0); }
  void seek_for_prev(std::string_view) override { go(0); }
  void next() override { go(at_ + 1); }
  void prev() override { go(at_ + 1); }
  std::string_view key() const override { return key_; }
  std::string_view value() const override { return "value"; }
  Status status() const override { return {}; }

 private:
  void go(std::uint64_t at) {
    at_ = at;
    key_ = key_at_(at);
  }

  std::function<std::string(std::uint64_t)> key_at_;
  std::uint64_t at_ = 0;
  std::string key_;
};

struct Observed {
  Status status;
  std::vector<std::string> keys;
  std::uint64_t room_bytes = 100'000;
  std::uint64_t live_bytes = 0;
};

Observed observe(EndlessIterator iterator, bool backward) {
  std::vector<char> buffer(200'000);
  workloads::ObservationWriter writer(buffer.data(), buffer.size());
  Observed observed;
  writer.begin(workloads::SectionKind::state_before);
  observed.status = observe_keyspace(iterator, backward, writer, &observed.room_bytes, &observed.live_bytes);
  constexpr std::size_t kHeaderBytes = 16;
  const std::string_view section(buffer.data(), writer.end());
  StateCursor cursor(section.substr(kHeaderBytes));
  std::string_view key;
  std::string_view value;
  while (observed.status.ok() && cursor.next(&key, &value) == StateCursor::Item::key_value) {
    observed.keys.emplace_back(key);
  }
  CHECK((!observed.status.ok() || cursor.at_end()));
  return observed;
}

}  // namespace

TEST_CASE("an iterator that goes in a circle is observed up to the key that is out of order") {
  const auto circle = [](std::uint64_t at) { return std::string(1, "abc"[at % 3]); };
  const Observed forward = observe(EndlessIterator(circle), false);
  CHECK(forward.status.ok());
  CHECK(forward.keys == std::vector<std::string>{"a", "b", "c", "a"});
  const Observed backward =
      observe(EndlessIterator([](std::uint64_t at) { return std::string(1, "cba"[at % 3]); }), true);
  CHECK(backward.status.ok());
  CHECK(backward.keys == std::vector<std::string>{"c", "b", "a", "c"});
  const Observed stuck = observe(EndlessIterator([](std::uint64_t) { return std::string("k"); }), false);
  CHECK(stuck.status.ok());
  CHECK(stuck.keys == std::vector<std::string>{"k", "k"});
  CHECK(stuck.live_bytes == 2 * std::string_view("kvalue").size());
}

TEST_CASE("an iterator whose keys ascend without an end is corruption before the buffer is full") {
  const Observed observed =
      observe(EndlessIterator([](std::uint64_t at) { return fmt::format("{:020}", at); }), false);
  CHECK(observed.status.code() == StatusCode::corruption);
  CHECK(observed.status.message().find("does not end") != std::string::npos);
  CHECK(observed.room_bytes < 100);
}
