#include "harness/crash/migration_plan.h"

#include <map>
#include <set>

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::crash;

TEST_CASE("a part of a whole lies within it") {
  CHECK(place_in(0, 10) == 0);
  CHECK(place_in(UINT64_MAX, 10) == 9);
  CHECK(place_in(UINT64_MAX / 2 + 1, 10) == 5);
  CHECK(place_in(UINT64_MAX, 0) == 0);
  CHECK(place_in(UINT64_MAX, UINT64_MAX) == UINT64_MAX - 1);
}

TEST_CASE("the deaths of migrations are a function of seed, engines and number, of each kind") {
  const auto plan = plan_killed_migration(7, "lmdb", "rocksdb", 3);
  CHECK(plan == plan_killed_migration(7, "lmdb", "rocksdb", 3));
  CHECK(plan.size() == kMigrationKillsMax);
  std::set<std::string> texts = {to_string(plan)};
  texts.insert(to_string(plan_killed_migration(8, "lmdb", "rocksdb", 3)));
  texts.insert(to_string(plan_killed_migration(7, "rocksdb", "lmdb", 3)));
  texts.insert(to_string(plan_killed_migration(7, "lmdb", "rocksdb", 4)));
  CHECK(texts.size() == 4);
  std::map<MigrationKill, int> kills;
  for (std::uint64_t i = 0; i < 100; ++i) {
    for (const MigrationKillPlan& each : plan_killed_migration(7, "lmdb", "rocksdb", i)) {
      ++kills[each.kill];
    }
  }
  CHECK(kills.size() == 5);
  for (const auto& [kill, count] : kills) {
    CHECK((count > 170 && count < 310));
  }
}

TEST_CASE("half of the recorded migrations go on from a kill, and in a third the exporter ends") {
  int begun = 0;
  int ends = 0;
  std::set<std::string> texts;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const RecordedMigrationPlan plan = plan_recorded_migration(7, "lmdb", "rocksdb", i);
    CHECK(plan == plan_recorded_migration(7, "lmdb", "rocksdb", i));
    begun += plan.begun ? 1 : 0;
    ends += plan.exporter_ends ? 1 : 0;
    texts.insert(to_string(plan));
  }
  CHECK(begun == 150);
  CHECK((ends > 70 && ends < 130));
  CHECK(texts.size() > 150);
}
