#include "harness/campaign/group.h"

#include <functional>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/group_power.h"
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

using OnFinding = std::function<void(const GroupMember&, const report::CycleEvent&)>;

// What was found first, or nothing after so many cycles.
std::string first_finding(Group& group, int cycles, const OnFinding& on_finding = {}) {
  for (int i = 0; i < cycles; ++i) {
    if (group.run_cycle()) {
      continue;
    }
    for (const auto& member : group.members()) {
      for (const report::CycleEvent& event : member->take_events()) {
        if (!event.violations.empty()) {
          if (on_finding) {
            on_finding(*member, event);
          }
          return event.violations.front().invariant;
        }
      }
    }
    return "no violation";
  }
  return "";
}

// The first invariant that does not hold when a bundle is replayed, or nothing.
std::string replayed(const std::filesystem::path& file, const TempDir& directory) {
  const std::filesystem::path image = directory.path() / "image";
  std::filesystem::create_directory(image);
  const Bundle bundle = read_bundle(file, image);
  StopSignal stop;
  const ReplayRun again =
      replay_bundle(bundle, image, directory.path() / "replay", CHAOSGATE_WORKER, 60'000, stop);
  return again.violations.empty() ? "" : again.violations.front().invariant;
}

GroupPowerOptions power_of(const TempDir& directory, const std::string& profile,
                           const std::string& fault = "") {
  GroupPowerOptions options;
  options.members = group_of({"lmdb", "lmdb", "lmdb"}, directory, fault).members;
  for (LaneTarget& member : options.members) {
    member.key.workload = "small";
    member.key.plan.free_running = false;
  }
  options.profile = disk::named_profile(profile);
  options.images_per_load = 40;
  options.directory = directory.path() / "group";
  return options;
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
  const std::filesystem::path file = directory.path() / "bundle.tar.zst";
  const auto keep = [&](const GroupMember& member, const report::CycleEvent& event) {
    REQUIRE(member.evidence());
    write_bundle(member.bundle(event), member.evidence()->image, {}, file);
  };
  CHECK(first_finding(group, 80, keep) == "index.not_ahead");
  CHECK(replayed(file, directory) == "index.not_ahead");
}

TEST_CASE("replicas come through power cuts, and the same seed gives the same images") {
  const auto run = [] {
    const TempDir directory = group_directory();
    std::vector<std::uint64_t> numbers;
    GroupPower power(power_of(directory, "strict"), nullptr);
    while (power.judged_min() < 120 && power.run_cycle(120)) {
    }
    CHECK_FALSE(power.broken_by_kill());
    CHECK(power.continued() > 0);
    CHECK(power.group().tally().installed() > 0);
    for (std::size_t i = 0; i < power.size(); ++i) {
      const report::PowerTally& tally = power.explorer(i).tally();
      CHECK(tally.findings.empty());
      CHECK(tally.judged == 120);
      CHECK(tally.in_recovery > 0);
      CHECK(tally.checks.at("log.acked") == 120);
      CHECK(tally.checks.at("state.replayed") == 120);
      numbers.insert(numbers.end(), {tally.loads, tally.calls, tally.in_recovery, tally.recoveries_distinct,
                                     tally.cuts.at("sync").cut, tally.cuts.at("rename").cut});
    }
    return numbers;
  };
  CHECK(run() == run());
}

TEST_CASE(
    "planted: names that an installation never synced are lost in a power cut, and the bundle shows it") {
  const TempDir directory = group_directory();
  GroupPowerOptions options = power_of(directory, "btrfs", "install-without-dirsync");
  options.stop_at_first = true;
  GroupPower power(options, nullptr);
  const std::filesystem::path file = directory.path() / "bundle.tar.zst";
  std::string found;
  for (std::size_t i = 0; i < power.size(); ++i) {
    power.explorer(i).on_failure = [&, i](const PowerFailure& failure, report::PowerFinding* finding) {
      write_bundle(power.explorer(i).bundle(failure), failure.image, {}, file, &failure.power);
      found = finding->invariant;
      CHECK(finding->profile == "btrfs");
      CHECK(finding->cause.find("rename engine") != std::string::npos);
    };
  }
  while (power.judged_min() < 1000 && power.run_cycle(1000)) {
  }
  REQUIRE_FALSE(found.empty());
  CHECK(replayed(file, directory) == found);
}

TEST_CASE("what a kill alone breaks while power cuts are tried is kept like any other finding") {
  const TempDir directory = group_directory();
  GroupPowerOptions options = power_of(directory, "prefix", "half-installed-is-fresh");
  options.keep_images = true;
  options.stop_at_first = false;
  options.in_recovery = false;
  options.images_per_load = 4;  // so that many cycles are run
  GroupPower power(options, nullptr);
  for (int i = 0; i < 200 && power.run_cycle(UINT64_MAX); ++i) {
  }
  REQUIRE(power.broken_by_kill());
  std::string found;
  const std::filesystem::path file = directory.path() / "bundle.tar.zst";
  for (const auto& member : power.group().members()) {
    for (const report::CycleEvent& event : member->take_events()) {
      if (!event.violations.empty()) {
        found = event.violations.front().invariant;
        write_bundle(member->bundle(event), member->evidence()->image, {}, file);
      }
    }
  }
  CHECK(found == "engine.opens");
  CHECK(replayed(file, directory) == found);
}

TEST_CASE("after a finding the next cycle of a group begins with new replicas") {
  const TempDir directory = group_directory();
  Group group(group_of({"lmdb", "lmdb"}, directory, "short-snapshot"), nullptr);
  CHECK(first_finding(group, 60) == "snapshot.whole");
  CHECK(first_finding(group, 60) == "snapshot.whole");
}

TEST_CASE("a snapshot that is refused because the disk is full blames no engine") {
  const TempDir directory = group_directory();
  Group group(group_of({"lmdb", "lmdb"}, directory), nullptr);
  REQUIRE(group.run_cycle());
  CHECK_THROWS_AS(group.members().front()->found(
                      {{oracle::Invariant::snapshot_whole,
                        "a whole snapshot was refused: I/O error: write snapshot: No space left on device",
                        {},
                        0}}),
                  EnvironmentError);
}
