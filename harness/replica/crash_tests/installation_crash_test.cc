// Installations under fire: killed before, after and inside each storage call, and cut off from power;
// recoveries of them likewise. What is there afterwards is the old state or the new one, and with a planted
// fault it is not.
#include <string>

#include "harness/replica/crash_tests/installation_scene_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using wire::Protocol;

namespace {

void check_survived(const Tally& tally) {
  CAPTURE(tally.judged.size(), tally.old_state, tally.new_state, tally.failures);
  CHECK(tally.failures.empty());
  CHECK(tally.old_state > 0);
  CHECK(tally.new_state > 0);
}

void check_found(const Tally& tally) {
  CAPTURE(tally.old_state, tally.new_state);
  CHECK_FALSE(tally.failures.empty());
}

// Files between engines of a family, keys and values between others.
Scene lmdb_files(Protocol protocol) { return {"lmdb", "lmdb", protocol}; }
Scene lmdb_keys(Protocol protocol) { return {"rocksdb", "lmdb", protocol}; }
Scene rocksdb_files(Protocol protocol) { return {"rocksdb", "rocksdb", protocol}; }
Scene rocksdb_keys(Protocol protocol) { return {"lmdb", "rocksdb-wal", protocol}; }

void check_kills_inside(const Scene& scene) {
  const Tally tally = kill_everywhere(scene, "kill-inside~1p", "any.write");
  CHECK(tally.failures == std::vector<std::string>());
  CHECK(tally.old_state > 1);
}

}  // namespace

// Before a call or after the one before it, a death leaves the same; both are tried, each on half of the
// scenes.

TEST_CASE("killed before any storage call an installation of files leaves LMDB old or new") {
  check_survived(kill_everywhere(lmdb_files(Protocol::sidecar), "kill-before", "any.any"));
}

TEST_CASE("killed after any storage call an installation of keys and values leaves LMDB old or new") {
  check_survived(kill_everywhere(lmdb_keys(Protocol::sidecar), "kill-after", "any.any"));
}

TEST_CASE("killed after any storage call an installation of files leaves RocksDB old or new") {
  check_survived(kill_everywhere(rocksdb_files(Protocol::in_batch), "kill-after", "any.any"));
}

TEST_CASE("killed before any storage call an installation of keys and values leaves RocksDB old or new") {
  check_survived(kill_everywhere(rocksdb_keys(Protocol::in_batch), "kill-before", "any.any"));
}

TEST_CASE("killed inside any write an installation of files leaves the old state or the new one") {
  check_kills_inside(lmdb_files(Protocol::sidecar));
  check_kills_inside(rocksdb_files(Protocol::sidecar));
}

TEST_CASE("killed inside any write an installation of keys and values leaves the old state or the new one") {
  check_kills_inside(lmdb_keys(Protocol::sidecar));
  check_kills_inside(rocksdb_keys(Protocol::sidecar));
}

TEST_CASE("a power cut during an installation of files leaves LMDB old or new") {
  check_survived(cut_power(lmdb_files(Protocol::sidecar), "strict", 150));
}

// RocksDB renames CURRENT before it syncs the name of the manifest in it: where directories are not in order,
// it may not open, whoever put its files there.
TEST_CASE("a power cut during an installation of files leaves RocksDB old or new") {
  check_survived(cut_power(rocksdb_files(Protocol::sidecar), "ext4-ordered", 150));
}

TEST_CASE("a power cut during an installation of keys and values leaves LMDB old or new") {
  check_survived(cut_power(lmdb_keys(Protocol::sidecar), "strict", 150));
}

TEST_CASE("a power cut during an installation of keys and values leaves RocksDB old or new") {
  check_survived(cut_power(rocksdb_keys(Protocol::in_batch), "ext4-ordered", 150));
}

TEST_CASE(
    "a power cut on a file system that reorders directory operations leaves the old state or the new one") {
  check_survived(cut_power(lmdb_files(Protocol::in_batch), "btrfs", 150));
}

TEST_CASE("a recovery of an installation can be killed and cut off from power in its turn") {
  const Scene scene = lmdb_files(Protocol::sidecar);
  const auto there = [](const fs::path& directory, const char* name) { return fs::exists(directory / name); };
  // Between the renames; with one half of the second rename lost; with the log gone.
  keep_state(scene, "no-engine", [&](const fs::path& directory) { return !there(directory, "engine"); });
  copy_tree(scene.path("no-engine"), scene.path("only-replaced"));
  fs::remove_all(scene.path("only-replaced") / "engine.installing");
  keep_state(scene, "no-log", [&](const fs::path& directory) { return !there(directory, "log"); });
  for (const std::string base : {"no-engine", "only-replaced", "no-log"}) {
    const Life life{.base = base, .recovers = true};
    for (const Tally& tally :
         {kill_everywhere(scene, "kill-before", "any.any", life),
          kill_everywhere(scene, "kill-after", "any.any", life), cut_power(scene, "strict", 60, life)}) {
      CAPTURE(base, tally.old_state, tally.new_state, tally.failures);
      CHECK(tally.failures.empty());
      CHECK((base == "only-replaced" ? tally.new_state : tally.old_state) == 0);
      CHECK(tally.old_state + tally.new_state > 7);
    }
  }
}

TEST_CASE("planted: an installation without fsync of the directory loses the engine in a power cut") {
  check_found(cut_power(Scene("lmdb", "lmdb", Protocol::sidecar, "install-without-dirsync"), "strict", 1000));
}

TEST_CASE("planted: a durable index that is persisted before the data is ahead of it after a kill") {
  check_found(kill_everywhere(Scene("lmdb", "lmdb", Protocol::sidecar, "marker-before-data"), "kill-before",
                              "any.any"));
}

TEST_CASE("planted: a log that is dropped before the installation is missed after a kill") {
  check_found(kill_everywhere(Scene("lmdb", "lmdb", Protocol::in_batch, "log-truncated-before-install"),
                              "kill-before", "any.any"));
}

TEST_CASE("planted: a half-installed engine that is taken for new comes up empty after a kill") {
  check_found(kill_everywhere(Scene("rocksdb", "rocksdb", Protocol::in_batch, "half-installed-is-fresh"),
                              "kill-before", "any.any"));
}
