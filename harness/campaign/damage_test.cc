#include "harness/campaign/damage.h"

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/replay.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
namespace fs = std::filesystem;

namespace {

DamageOptions options_for(const std::string& engine, std::uint64_t damages, const TempDir& directory) {
  DamageOptions options;
  options.key.seed = 3;
  options.key.workload = "small";
  options.key.plan.free_running = false;
  options.engine = engine;
  options.damages = damages;
  options.directory = directory.path() / "damage";
  options.worker = CHAOSGATE_WORKER;
  return options;
}

}  // namespace

TEST_CASE("an engine with checksums detects damage at rest, or is not harmed by it") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-damage-test-");
  StopSignal stop;
  const report::DamageTally tally = run_damage(options_for("rocksdb", 120, directory), stop, nullptr);
  CHECK(tally.judged() == 120);
  CHECK(tally.total().detected > 10);
  CHECK(tally.total().silent == 0);
  CHECK(tally.by_class.count("sst") == 1);
  CHECK(tally.by_class.count("info") == 0);  // for people
  CHECK_FALSE(fs::exists(directory.path() / "damage"));
}

TEST_CASE("what is wrong before anything was damaged is a finding, and its bundle shows it") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-damage-test-");
  StopSignal stop;
  DamageOptions options = options_for("lmdb", 120, directory);
  options.key.fault = "reopen-drifts";
  std::uint64_t shown = 0;
  const auto keep = [&](const Bundle& bundle, const fs::path& image, report::DamageFinding*) {
    CHECK(is_same_finding(bundle, replay_bundle(bundle, image, directory.path() / "replay", options.worker,
                                                options.hang_ms, stop)));
    ++shown;
  };
  const report::DamageTally tally = run_damage(options, stop, keep);
  CHECK(tally.judged() == 0);
  REQUIRE(tally.findings.size() == 1);
  CHECK(tally.findings.front().undamaged);
  CHECK(shown == 1);
}

TEST_CASE("what damage showed outlives a fault of the machine") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-damage-test-");
  StopSignal stop;
  const auto fail = [](const Bundle&, const fs::path&, report::DamageFinding*) {
    throw EnvironmentError("no room");
  };
  const report::DamageTally tally = run_damage(options_for("lmdb", 120, directory), stop, fail);
  CHECK(tally.harness_fault == "no room");
  CHECK(tally.findings.size() == 1);
  CHECK(tally.judged() > 0);
}

TEST_CASE("an engine without checksums gives out what is wrong, and its bundle shows it again") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-damage-test-");
  StopSignal stop;
  const DamageOptions options = options_for("lmdb", 120, directory);
  std::uint64_t shown = 0;
  const auto keep = [&](const Bundle& bundle, const fs::path& image, report::DamageFinding* finding) {
    if (!finding->silent) {
      return;
    }
    const TempDir files(fs::temp_directory_path(), "chaosgate-damage-test-");
    const fs::path file = files.path() / "bundle.tar.zst";
    write_bundle(bundle, image, {}, file);
    fs::create_directory(files.path() / "image");
    const Bundle read = read_bundle(file, files.path() / "image");
    const ReplayRun run = replay_bundle(read, files.path() / "image", files.path() / "replay", options.worker,
                                        options.hang_ms, stop);
    REQUIRE_FALSE(run.violations.empty());
    CHECK(run.violations.front().invariant == finding->invariant);
    ++shown;
  };
  const report::DamageTally tally = run_damage(options, stop, keep);
  CHECK(tally.total().silent > 0);
  CHECK(shown > 0);
}
