#include "workloads/generator.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "harness/base/error.h"
#include "harness/base/hash.h"
#include "workloads/map_state_for_test.h"
#include "workloads/profile.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::workloads;

namespace {

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const ProfileInfo& profile : profiles()) {
    names.emplace_back(profile.name);
  }
  return names;
}

// The promise of each profile for its whole life.
std::uint64_t live_bytes_max(const std::string& profile) {
  constexpr std::uint64_t kMiB = 1 << 20;
  return profile == "kubernetes" ? 24 * kMiB : profile == "bigvalue" ? 48 * kMiB : 6 * kMiB;
}

std::uint64_t live_keys_min(const std::string& profile) {
  return profile == "small" ? 500 : profile == "rollover" ? 350 : 20'000;
}

struct Bounds {
  std::uint64_t keys_low = UINT64_MAX, keys_high = 0, bytes_high = 0, payload_bytes = 0;
};

Bounds simulate(const Generator& generator, std::uint64_t entries) {
  MapState state;
  Bounds bounds;
  Transaction decoded;
  for (std::uint64_t index = 1; index <= generator.preload_entries() + entries; ++index) {
    const std::string payload = generator.payload(1 + index / 5000, index);
    REQUIRE(decode(payload, &decoded).ok());
    workloads::apply(decoded, state);
    if (index >= generator.preload_entries()) {
      bounds.keys_low = std::min(bounds.keys_low, state.live_keys());
      bounds.keys_high = std::max(bounds.keys_high, state.live_keys());
      bounds.bytes_high = std::max(bounds.bytes_high, state.live_bytes());
      bounds.payload_bytes += payload.size();
    }
  }
  return bounds;
}

}  // namespace

TEST_CASE("there are seven profiles, mixed comes first, and an unknown one is a usage error") {
  CHECK(profile_names() ==
        std::vector<std::string>{"mixed", "kubernetes", "churn", "bigvalue", "txn", "small", "rollover"});
  CHECK_THROWS_AS(Generator("nonsense", 1), UsageError);
}

TEST_CASE("an entry depends on profile, seed, term and index, and on nothing else") {
  for (const std::string& profile : profile_names()) {
    CAPTURE(profile);
    const Generator one(profile, 7);
    const Generator same(profile, 7);
    const Generator other(profile, 8);
    const std::uint64_t from = one.preload_entries() + 1;
    int equal_in_other_term = 0;
    int equal_with_other_seed = 0;
    for (std::uint64_t index = from + 200; index > from; --index) {  // backwards: no state
      const std::string payload = one.payload(3, index);
      REQUIRE(payload == same.payload(3, index));
      equal_in_other_term += payload == one.payload(4, index) ? 1 : 0;
      equal_with_other_seed += payload == other.payload(3, index) ? 1 : 0;
    }
    CHECK(equal_in_other_term <= 2);  // two no-ops that meet
    CHECK(equal_with_other_seed <= 2);
  }
}

TEST_CASE("the preload is the same in every term, has no no-op, and reaches the working size") {
  for (const std::string& profile : profile_names()) {
    CAPTURE(profile);
    const Generator generator(profile, 21);
    MapState state;
    for (std::uint64_t index = 1; index <= generator.preload_entries(); ++index) {
      const Transaction transaction = generator.transaction(1, index);
      REQUIRE_FALSE(transaction.empty());
      REQUIRE(transaction == generator.transaction(9, index));
      workloads::apply(transaction, state);
    }
    CHECK(generator.preload_entries() < 600);
    CHECK(state.live_keys() >= live_keys_min(profile));
    CHECK(state.live_bytes() <= live_bytes_max(profile));
  }
}

TEST_CASE("live keys and bytes stay within their bounds after the preload") {
  for (const std::string& profile : profile_names()) {
    CAPTURE(profile);
    const Bounds bounds = simulate(Generator(profile, 99), profile == "bigvalue" ? 20'000 : 60'000);
    CAPTURE(bounds.keys_low, bounds.keys_high, bounds.bytes_high);
    CHECK(bounds.keys_low >= live_keys_min(profile));
    CHECK(bounds.keys_high <= 26'000);
    CHECK(bounds.bytes_high <= live_bytes_max(profile));
  }
}

TEST_CASE("one index in 64 is a no-op and a compaction is alone in its transaction") {
  for (const std::string& profile : profile_names()) {
    CAPTURE(profile);
    const Generator generator(profile, 4);
    int no_ops = 0;
    bool has_compaction = false;
    for (std::uint64_t i = 1; i <= 6400; ++i) {
      const Transaction transaction = generator.transaction(2, generator.preload_entries() + i);
      no_ops += transaction.empty() ? 1 : 0;
      if (scans(transaction)) {
        has_compaction = true;
        REQUIRE(transaction.size() == 1);
      }
    }
    CHECK((no_ops > 60 && no_ops < 150));
    CHECK(has_compaction == (profile != "churn" && profile != "bigvalue"));
  }
}

TEST_CASE("the profiles draw what their names promise") {
  std::map<std::string, std::map<OperationKind, int>> kinds;
  for (const std::string& profile : profile_names()) {
    const Generator generator(profile, 4);
    for (std::uint64_t i = 1; i <= 4000; ++i) {
      const Transaction transaction = generator.transaction(2, generator.preload_entries() + i);
      for (const Operation& operation : transaction) {
        ++kinds[profile][operation.kind];
      }
      if (profile == "txn" && transaction.size() > 1) {
        REQUIRE((transaction.size() >= 4 && transaction.size() <= 12));
      }
      if (profile == "mixed") {
        REQUIRE(transaction.size() <= 4);
      }
    }
  }
  CHECK(kinds["mixed"].size() == kOperationKindCount);
  CHECK(kinds["kubernetes"][OperationKind::mvcc_put] > 2000);
  CHECK(kinds["churn"][OperationKind::erase_range] > 3500);
  CHECK(kinds["txn"][OperationKind::compare_and_set] > 3000);
}

TEST_CASE("a compare_and_set succeeds about one time in four") {
  for (const std::string profile : {"mixed", "txn"}) {
    CAPTURE(profile);
    const Generator generator(profile, 12);
    MapState state;
    int attempts = 0;
    int matches = 0;
    for (std::uint64_t index = 1; index <= generator.preload_entries() + 10'000; ++index) {
      const Transaction transaction = generator.transaction(1, index);
      for (const Operation& operation : transaction) {
        if (operation.kind == OperationKind::compare_and_set) {
          std::string current;
          state.get(operation.keyspace, operation.key, &current);
          ++attempts;
          matches += current == operation.expected ? 1 : 0;
        }
        workloads::apply({operation}, state);
      }
    }
    CHECK(attempts > 1000);
    CHECK((matches > attempts / 5 && matches < attempts * 3 / 10));
  }
}

TEST_CASE("binary keys are distinct, ascend with their numbers, hold every byte and many prefixes") {
  for (const std::uint64_t size : {512, 15'500, 26'000, 1 << 20}) {
    CAPTURE(size);
    const BinaryKeys keys{size};
    std::set<std::string> seen;
    std::set<char> bytes;
    std::string previous;
    std::string key;
    std::size_t longest = 0;
    int prefixes = 0;
    for (std::uint64_t number = 0; number < size; ++number) {
      keys.key(77, number, &key);
      REQUIRE((!key.empty() && key.size() <= kKeyBytesMax));
      REQUIRE(key < kBehindBinaryKeys);
      if (number > 256) {
        REQUIRE(previous < key);
      }
      prefixes += key.starts_with(previous) ? 1 : 0;
      longest = std::max(longest, key.size());
      bytes.insert(key.begin(), key.end());
      REQUIRE(seen.insert(key).second);
      previous = key;
    }
    CHECK(bytes.size() == 256);
    CHECK(prefixes > static_cast<int>(size / 20));
    if (size > 10'000) {
      CHECK(longest > 400);
    }
  }
}

TEST_CASE("a seed means the same in every build: the content of each profile is pinned") {
  const std::map<std::string, std::uint64_t> pinned = {
      {"mixed", 0xd751e48eccc8ff5e},    {"kubernetes", 0xe8fe7bc243b9edd3}, {"churn", 0x04de6f86e9ed6fbd},
      {"bigvalue", 0x45ea96e25dbee45e}, {"txn", 0x75701e1d2c7d2b8a},        {"small", 0xfc476bc1818e367a},
      {"rollover", 0x7a86806947ef6235},
  };
  for (const auto& [profile, expected] : pinned) {
    CAPTURE(profile);
    const Generator generator(profile, 0xc0ffee);
    std::uint64_t hash = 0;
    for (std::uint64_t index = 1; index <= 1000; ++index) {
      hash = hash64(generator.payload(1 + index / 400, index), hash);
    }
    CHECK(hash == expected);
  }
}

// Run by hand: workloads_test "[long]"; CHAOSGATE_ENTRIES sets the number of entries (2,000,000).
TEST_CASE("live keys and bytes stay within their bounds over two million entries", "[.][long]") {
  const char* text = std::getenv("CHAOSGATE_ENTRIES");
  const std::uint64_t entries = text == nullptr ? 2'000'000 : std::strtoull(text, nullptr, 10);
  for (const std::string& profile : profile_names()) {
    CAPTURE(profile);
    const Generator generator(profile, 5);
    const Bounds bounds = simulate(generator, entries);
    std::printf("%-10s preload %3llu entries, live keys %llu..%llu, live bytes <= %.2f MiB, payload %.0f B\n",
                profile.c_str(), static_cast<unsigned long long>(generator.preload_entries()),
                static_cast<unsigned long long>(bounds.keys_low),
                static_cast<unsigned long long>(bounds.keys_high),
                static_cast<double>(bounds.bytes_high) / (1 << 20),
                static_cast<double>(bounds.payload_bytes) / static_cast<double>(entries));
    CHECK(bounds.keys_low >= live_keys_min(profile));
    CHECK(bounds.bytes_high <= live_bytes_max(profile));
  }
}

// Run by hand: workloads_test "[speed]".
TEST_CASE("how long an entry takes", "[.][speed]") {
  using Clock = std::chrono::steady_clock;
  for (const std::string& profile : profile_names()) {
    const Generator generator(profile, 5);
    const std::uint64_t count = profile == "bigvalue" ? 20'000 : 200'000;
    const std::uint64_t from = generator.preload_entries() + 1;
    std::vector<std::string> payloads(count);
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < count; ++i) {
      payloads[i] = generator.payload(1, from + i);
    }
    const auto generated = Clock::now();
    Transaction transaction;
    std::size_t operations = 0;
    for (const std::string& payload : payloads) {
      REQUIRE(decode(payload, &transaction).ok());
      operations += transaction.size();
    }
    const auto decoded = Clock::now();
    const auto ns = [&](auto duration) {
      return std::chrono::duration<double, std::nano>(duration).count() / static_cast<double>(count);
    };
    std::printf("%-10s payload() %.0f ns, decode() %.0f ns, %.2f operations an entry\n", profile.c_str(),
                ns(generated - start), ns(decoded - generated),
                static_cast<double>(operations) / static_cast<double>(count));
  }
}
