#include "harness/campaign/group.h"

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/replay.h"

using namespace chaosgate;
using namespace chaosgate::campaign;

namespace {

TempDir group_directory() { return {std::filesystem::temp_directory_path(), "chaosgate-group-test-"}; }

GroupOptions group_of(const std::vector<std::string>& engines, const TempDir& directory,
                      const std::string& fault = "") {
  GroupOptions options;
  for (const std::string& engine : engines) {
    LaneTarget target;
    target.key.seed = 21;
    target.key.fault = fault;
    target.engine = engine;
    target.protocol = options.members.size() % 2 == 0 ? wire::Protocol::in_batch : wire::Protocol::sidecar;
    target.lane = options.members.size();
    target.worker = CHAOSGATE_WORKER;
    options.members.push_back(std::move(target));
  }
  options.directory = directory.path() / "group";
  return options;
}

// What was found first, or nothing after so many cycles.
std::string first_finding(Group& group, int cycles) {
  for (int i = 0; i < cycles; ++i) {
    if (group.run_cycle()) {
      continue;
    }
    for (const auto& member : group.members()) {
      for (const report::CycleEvent& event : member->take_events()) {
        if (!event.violations.empty()) {
          return event.violations.front().invariant;
        }
      }
    }
    return "no violation";
  }
  return "";
}

}  // namespace

TEST_CASE("replicas of one log hold the same through kills, a faulty network and snapshots") {
  const TempDir directory = group_directory();
  {
    Group group(group_of({"rocksdb", "lmdb", "lmdb"}, directory), nullptr);
    CHECK(first_finding(group, 12) == "");
    CHECK(group.close());
    const report::GroupTally& tally = group.tally();
    CHECK(tally.cycles == 12);
    CHECK(tally.states_compared == 36);
    CHECK(tally.installed() >= 3);
    CHECK(tally.damaged() >= 1);
    CHECK(tally.repeated > 0);
    CHECK(tally.swapped > 0);
    CHECK(tally.gaps_refused > 0);
    for (const auto& member : group.members()) {
      report::EngineTally deaths;
      for (const report::CycleEvent& event : member->take_events()) {
        CHECK(event.recovered);
        deaths.add(event);
      }
      CHECK(deaths.kills >= 12);
    }
  }
  CHECK_FALSE(std::filesystem::exists(directory.path() / "group"));
}

TEST_CASE("without timers and engines' threads a group's seed repeats all that happens between replicas") {
  const auto run = [] {
    const TempDir directory = group_directory();
    GroupOptions options = group_of({"lmdb", "lmdb"}, directory);
    for (LaneTarget& member : options.members) {
      member.key.plan.timer = false;
      member.key.plan.free_running = false;
    }
    Group group(options, nullptr);
    CHECK(first_finding(group, 8) == "");
    return group.tally();
  };
  const report::GroupTally first = run();
  CHECK(first.messages > 0);
  CHECK(run() == first);
}

TEST_CASE("planted: a snapshot that is shorter than it says is not whole") {
  const TempDir directory = group_directory();
  Group group(group_of({"rocksdb", "lmdb", "rocksdb"}, directory, "short-snapshot"), nullptr);
  CHECK(first_finding(group, 40) == "snapshot.whole");
}

TEST_CASE("planted: a durable index ahead of an installation is found, and its bundle shows it again") {
  const TempDir directory = group_directory();
  GroupOptions options = group_of({"rocksdb", "lmdb", "rocksdb"}, directory, "marker-before-data");
  for (LaneTarget& member : options.members) {
    member.protocol = wire::Protocol::sidecar;
  }
  Group group(options, nullptr);
  std::string found;
  for (int i = 0; i < 80 && found.empty(); ++i) {
    if (group.run_cycle()) {
      continue;
    }
    for (const auto& member : group.members()) {
      for (const report::CycleEvent& event : member->take_events()) {
        if (!event.violations.empty()) {
          found = event.violations.front().invariant;
          REQUIRE(member->evidence());
          const std::filesystem::path file = directory.path() / "bundle.tar.zst";
          write_bundle(member->bundle(event), member->evidence()->image, {}, file);
          std::filesystem::create_directory(directory.path() / "image");
          const Bundle bundle = read_bundle(file, directory.path() / "image");
          StopSignal stop;
          const ReplayRun again = replay_bundle(bundle, directory.path() / "image",
                                                directory.path() / "replay", CHAOSGATE_WORKER, 60'000, stop);
          REQUIRE_FALSE(again.violations.empty());
          CHECK(again.violations.front().invariant == found);
        }
      }
    }
  }
  CHECK(found == "index.not_ahead");
}

TEST_CASE("after a finding the next cycle of a group begins with new replicas") {
  const TempDir directory = group_directory();
  Group group(group_of({"lmdb", "lmdb"}, directory, "short-snapshot"), nullptr);
  CHECK(first_finding(group, 60) == "snapshot.whole");
  CHECK(first_finding(group, 60) == "snapshot.whole");
}
