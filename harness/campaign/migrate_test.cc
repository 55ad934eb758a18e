#include "harness/campaign/migrate.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/base/unique_fd.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/migrate_gate.h"
#include "harness/report/journal.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
using report::MigrationFinding;
using report::MigrationTally;
using wire::MigrationOutcome;
using wire::MigrationReport;

namespace fs = std::filesystem;

namespace {

TempDir migrate_directory() { return {fs::temp_directory_path(), "chaosgate-migrate-test-"}; }

std::map<std::string, std::string> contents(const fs::path& directory) {
  std::map<std::string, std::string> all;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    std::string& bytes = all[entry.path().string()];
    if (entry.is_regular_file() && !read_file(entry.path(), &bytes).ok()) {
      throw std::runtime_error(entry.path());
    }
  }
  return all;
}

// A replica's data directory, closed.
void make_replica(const std::string& engine, const fs::path& directory, const fs::path& replica) {
  LaneOptions options;
  options.key.seed = 7;
  options.key.workload = "small";
  options.engine = engine;
  options.directory = directory / "lane";
  options.worker = CHAOSGATE_WORKER;
  Lane lane(options, nullptr);
  REQUIRE(lane.prepare());
  lane.keep_state(replica);
}

struct Fixture {
  explicit Fixture(const std::string& from = "rocksdb") {
    make_replica(from, directory.path(), replica);
    request.from = {"", from};
    request.source = replica / "engine";
    request.target = root / "target";
    request.batch_bytes = 4 << 10;
    request.flush_bytes = 16 << 10;
    request.keyspaces = migrator.inspect(replica, request.target, {}).keyspaces;
    request.to = {"", "lmdb"};
  }

  TempDir directory = migrate_directory();
  fs::path root = fs::canonical(directory.path());
  fs::path replica = root / "replica";
  Migrator migrator{CHAOSGATE_WORKER, directory.path(), 60'000, nullptr};
  MigrationRequest request;
};

MigrationGateOptions gate_options(const std::string& from, const std::string& to, const TempDir& directory) {
  static const wire::Hello hello = read_hello(CHAOSGATE_WORKER);
  MigrationGateOptions options;
  options.from = require_engine(hello, from);
  options.to = require_engine(hello, to);
  options.seed = 11;
  options.kills = 40;
  options.images = 60;
  options.worker = CHAOSGATE_WORKER;
  options.directory = directory.path() / "work";
  options.failures = directory.path() / "failures";
  fs::create_directory(options.directory);
  return options;
}

// Its events add up to what it returns.
MigrationTally run_gate(MigrationGateOptions options) {
  StopSignal stop;
  report::ReportBuilder builder;
  MigrationTally written;
  options.on_change = [&](const MigrationTally& tally) {
    builder.add(report::event_json(report::MigrationEvent{0, tally.counts_since(written)}));
    written = tally;
    CHECK((builder.report().verdict() == report::Verdict::violation) == !tally.findings.empty());
  };
  const MigrationTally tally = run_migration_gate(options, stop, nullptr);
  REQUIRE(builder.report().migrations.size() == 1);
  CHECK(nlohmann::json(builder.report().migrations.front()) == nlohmann::json(tally));
  return tally;
}

}  // namespace

TEST_CASE("the driver looks at a replica's directory and finds its store and keyspaces") {
  Fixture fixture;
  const MigrationReport places = fixture.migrator.inspect(fixture.replica, fixture.root / "new", {});
  CHECK(places.outcome == MigrationOutcome::done);
  CHECK(places.source == fixture.replica / "engine");
  CHECK(places.family == "rocksdb");
  CHECK(places.keyspaces.back() == "meta");
  CHECK(places.source_bytes > 0);
  CHECK(places.target == fixture.root / "new");
  const MigrationReport refused = fixture.migrator.inspect(fixture.replica, fixture.replica / "engine", {});
  CHECK(refused.outcome == MigrationOutcome::refused);
  CHECK(refused.message.find("it is the source") != std::string::npos);
}

TEST_CASE("there and back between two workers, and the source stays as it was") {
  Fixture fixture;
  const auto before = contents(fixture.replica);
  const MigrationRun there = fixture.migrator.run(fixture.request);
  INFO(there.message());
  REQUIRE(there.done());
  CHECK(there.abnormal.empty());
  CHECK(there.importer.has_applied_index);
  CHECK(there.importer.applied_index > 0);
  CHECK(contents(fixture.replica) == before);

  MigrationRequest back = fixture.request;
  back.source = fixture.request.target;
  back.target = fixture.root / "back";
  std::swap(back.from, back.to);
  const MigrationRun run = fixture.migrator.run(back);
  INFO(run.message());
  REQUIRE(run.done());
  CHECK(run.importer.found == there.exporter.found);
  CHECK(run.importer.applied_index == there.importer.applied_index);
  const MigrationRun again = fixture.migrator.run(back);
  CHECK(again.outcome() == MigrationOutcome::refused);
  CHECK(again.message().find("it is not empty") != std::string::npos);
}

TEST_CASE(
    "the copy of a source that a killed exporter left is removed, unless another migration works with it") {
  Fixture fixture;
  const MigrationReport places = fixture.migrator.inspect(fixture.replica, fixture.request.target, {});
  REQUIRE(places.scratch == fixture.request.target.string() + ".migrating-source");
  fixture.request.scratch = places.scratch;
  fs::create_directory(places.scratch);
  replace_file(fs::path(places.scratch) / "CURRENT", "left");
  UniqueFd other(::open(places.scratch.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  REQUIRE(::flock(other.get(), LOCK_EX) == 0);
  fixture.request.dry_run = true;
  CHECK(fixture.migrator.run(fixture.request).done());
  CHECK(fs::exists(fs::path(places.scratch) / "CURRENT"));
  other.reset();
  CHECK(fixture.migrator.run(fixture.request).done());
  CHECK_FALSE(fs::exists(places.scratch));
}

TEST_CASE("a death of either side is told from a failure, and the migration goes on") {
  Fixture fixture;
  MigrationDeath death;
  death.exporter_after_pieces = 2;
  fixture.request.chunk_bytes = 16 << 10;
  const MigrationRun first = fixture.migrator.run(fixture.request, death);
  CHECK(first.killed);
  CHECK(first.abnormal.empty());
  CHECK(first.importer.peer_gone);
  CHECK_FALSE(fs::exists(fixture.request.target));

  death = {};
  death.importer_us = 0;
  const MigrationRun second = fixture.migrator.run(fixture.request, death);
  CHECK(second.killed);
  CHECK(second.abnormal.empty());
  CHECK_FALSE(fs::exists(fixture.request.target));

  const MigrationRun last = fixture.migrator.run(fixture.request);
  INFO(last.message());
  REQUIRE(last.done());
  CHECK(last.importer.keys_resumed > 0);
  CHECK(last.importer.found == last.exporter.found);
}

TEST_CASE("an engine that is not there, or a fault, is refused by name") {
  Fixture fixture;
  const auto before = contents(fixture.root);
  fixture.request.fault = "no-such-fault";
  CHECK(fixture.migrator.run(fixture.request).message().find("no-such-fault") != std::string::npos);
  fixture.request.fault = "";
  fixture.request.from.name = "no-such-engine";
  const MigrationRun run = fixture.migrator.run(fixture.request);
  CHECK(run.outcome() == MigrationOutcome::refused);
  CHECK(run.message().find("no-such-engine") != std::string::npos);
  CHECK(contents(fixture.root) == before);
}

TEST_CASE("migrations come through kills and power cuts in both directions") {
  for (const auto& [from, to] : {std::pair{"rocksdb", "lmdb"}, std::pair{"lmdb", "rocksdb"}}) {
    INFO(from << " to " << to);
    const TempDir directory = migrate_directory();
    const MigrationTally tally = run_gate(gate_options(from, to, directory));
    for (const MigrationFinding& finding : tally.findings) {
      INFO(finding.death << ": " << finding.how << ": " << finding.detail);
      CHECK(false);
    }
    CHECK(tally.complete);
    CHECK(tally.kills >= 40);
    CHECK(tally.kills_at_calls > 0);
    CHECK(tally.kills_of_exporter > 0);
    CHECK(tally.images >= 60);
    CHECK(tally.images_with_target < tally.images);
    CHECK(tally.resumed > 0);
    CHECK_FALSE(fs::exists(directory.path() / "failures"));
  }
}

TEST_CASE("the store of an engine that a power cut may damage comes through, too") {
  const TempDir directory = migrate_directory();
  MigrationGateOptions options = gate_options("lmdb", "lmdb-nosync", directory);
  options.kills = 5;
  options.images = 120;
  const MigrationTally tally = run_gate(options);
  for (const MigrationFinding& finding : tally.findings) {
    INFO(finding.death << ": " << finding.how << ": " << finding.detail);
    CHECK(false);
  }
  CHECK(tally.complete);
}

TEST_CASE("a resumption behind what was written instead of what was durable is found") {
  const TempDir directory = migrate_directory();
  MigrationGateOptions options = gate_options("lmdb", "rocksdb", directory);
  options.fault = "resume-skips-a-range";
  options.kills = 200;
  options.images = 0;
  options.findings_max = 1;
  const MigrationTally tally = run_gate(options);
  REQUIRE(tally.findings.size() == 1);
  const MigrationFinding& finding = tally.findings.front();
  CHECK(finding.death == "kill");
  CHECK(finding.detail.find("keys instead of") != std::string::npos);  // the importer's own verification
  CHECK(fs::exists(fs::path(finding.kept) / "target.migrating" / "progress"));
}

TEST_CASE("a kill that forces a migration to begin anew is found") {
  const TempDir directory = migrate_directory();
  MigrationGateOptions options = gate_options("lmdb", "rocksdb", directory);
  options.fault = "resume-begins-anew";
  options.kills = 50;
  options.images = 0;
  options.findings_max = 1;
  const MigrationTally tally = run_gate(options);
  REQUIRE(tally.findings.size() == 1);
  CHECK(tally.findings.front().death == "kill");
  CHECK(tally.findings.front().detail.find("thrown away") != std::string::npos);
}

TEST_CASE("the same is found by the oracle when the importer does not verify") {
  const TempDir directory = migrate_directory();
  MigrationGateOptions options = gate_options("lmdb", "rocksdb", directory);
  options.fault = "resume-skips-unverified";
  options.kills = 200;
  options.images = 0;
  options.findings_max = 1;
  const MigrationTally tally = run_gate(options);
  REQUIRE(tally.findings.size() == 1);
  CHECK(tally.findings.front().detail.find("state.prefix") != std::string::npos);
  CHECK(fs::exists(fs::path(tally.findings.front().kept) / "target"));
}

TEST_CASE("a target that gets its name before its content is durable is found by power cuts alone") {
  const TempDir directory = migrate_directory();
  MigrationGateOptions options = gate_options("lmdb", "lmdb-nosync", directory);
  options.fault = "finish-without-sync";
  options.kills = 20;
  options.images = 400;
  options.findings_max = 1;
  const MigrationTally tally = run_gate(options);
  REQUIRE(tally.findings.size() == 1);
  CHECK(tally.findings.front().death == "power cut");
  CHECK_FALSE(tally.findings.front().profile.empty());
}
