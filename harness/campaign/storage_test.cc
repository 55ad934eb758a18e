// Image mirror, work directory, bundle, regressions, configuration: what a campaign keeps on disk.
#include <fcntl.h>
#include <fmt/format.h>

#include <fstream>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/rng.h"
#include "harness/base/test.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/image_mirror.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/power_explorer.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/work_directory.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
namespace fs = std::filesystem;

namespace {

TempDir storage_directory() { return {fs::temp_directory_path(), "chaosgate-storage-test-"}; }

std::map<std::string, std::string> content(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    std::string bytes;
    if (entry.is_regular_file()) {
      REQUIRE(read_file(entry.path(), &bytes).ok());
    }
    files[entry.path().lexically_relative(root).string()] = bytes;
  }
  return files;
}

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

Bundle sample_bundle() {
  Bundle bundle;
  bundle.version = "1.2.3";
  bundle.engine_version = "7.8";
  bundle.key.seed = 99;
  bundle.protocol = wire::Protocol::sidecar;
  bundle.lane = 1;
  bundle.cycle = 17;
  bundle.plan_checksum = "00ff";
  bundle.recovery.order.engine = "lmdb";
  bundle.recovery.order.term = 1;
  bundle.recovery.order.workload = bundle.key.workload;
  bundle.recovery.order.seed = bundle.key.seed;
  bundle.recovery.order.segment_bytes = 24 << 10;
  bundle.recovery.crash = {4, 3, 2, 1};
  bundle.recovery.belief = std::string("\0belief\xff", 8);
  bundle.recovery.violations = {{oracle::Invariant::state_prefix, "differs", {}, 3}};
  bundle.event.engine = "lmdb";
  return bundle;
}

}  // namespace

TEST_CASE("a mirror equals its source after any changes") {
  const TempDir directory = storage_directory();
  const fs::path from = directory.path() / "from";
  fs::create_directory(from);
  ImageMirror mirror(from, directory.path() / "to");
  Rng rng(11);
  for (int round = 0; round < 60; ++round) {
    for (int change = 0; change < 4; ++change) {
      const fs::path file = from / fmt::format("file-{}", rng.below(6));
      std::string bytes;
      rng.append_bytes(&bytes, rng.log_between(1, 50'000));
      switch (rng.below(7)) {
        case 0:
          write(file, bytes);
          break;
        case 1: {  // overwrite in place, same size
          const UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT, 0644));
          const std::size_t at = rng.below(20'000);
          REQUIRE(::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
                  static_cast<ssize_t>(bytes.size()));
          break;
        }
        case 2:
          fs::remove(file);
          break;
        case 3:
          if (fs::exists(file)) {
            fs::resize_file(file, rng.below(30'000));
          }
          break;
        case 4: {  // a new inode under an old name
          write(from / "new", bytes);
          fs::rename(from / "new", file);
          break;
        }
        case 5: {
          const UniqueFd fd(::open(file.c_str(), O_RDWR));
          if (fd) {
            ::fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192);
          }
          break;
        }
        default:
          fs::create_directories(from / "deep" / "er");
          write(from / "deep" / "er" / "file", bytes);
          if (rng.chance(1, 3)) {
            fs::remove_all(from / "deep");
          }
          break;
      }
    }
    mirror.sync();
    REQUIRE(content(from) == content(mirror.path()));
  }
}

TEST_CASE("a mirror notices a second write within one tick of the clock") {
  const TempDir directory = storage_directory();
  const fs::path from = directory.path() / "from";
  fs::create_directory(from);
  ImageMirror mirror(from, directory.path() / "to");
  for (int i = 0; i < 200; ++i) {
    const UniqueFd fd(::open((from / "file").c_str(), O_RDWR | O_CREAT, 0644));
    const char byte = static_cast<char>(i);
    REQUIRE(::pwrite(fd.get(), &byte, 1, 0) == 1);
    mirror.sync();
    REQUIRE(content(from) == content(mirror.path()));
  }
}

TEST_CASE("a bundle comes back as it was") {
  const TempDir directory = storage_directory();
  const fs::path image = directory.path() / "image";
  fs::create_directories(image / "engine");
  write(image / "engine" / "data", std::string(100'000, 'x'));
  write(image / "durable-index", "");
  const Bundle bundle = sample_bundle();
  write_bundle(bundle, image, {}, directory.path() / "b.tar.zst");
  fs::create_directory(directory.path() / "out");
  const Bundle back = read_bundle(directory.path() / "b.tar.zst", directory.path() / "out");
  CHECK(back.key.seed == 99);
  CHECK(back.protocol == wire::Protocol::sidecar);
  CHECK(back.cycle == 17);
  CHECK(back.recovery.crash.appended == 4);
  CHECK(back.recovery.crash.flushed == 1);
  CHECK(back.recovery.belief == bundle.recovery.belief);
  REQUIRE(back.recovery.violations.size() == 1);
  CHECK(back.recovery.violations[0].invariant == oracle::Invariant::state_prefix);
  CHECK(content(directory.path() / "out") == content(image));
}

TEST_CASE("a truncated or damaged bundle is refused, and nothing is unpacked") {
  const TempDir directory = storage_directory();
  const fs::path image = directory.path() / "image";
  fs::create_directory(image);
  std::string noise;
  Rng(3).append_bytes(&noise, 300);
  write(image / "data", noise);
  const fs::path file = directory.path() / "b.tar.zst";
  write_bundle(sample_bundle(), image, {}, file);
  std::string whole;
  REQUIRE(read_file(file, &whole).ok());
  const fs::path out = directory.path() / "out";
  fs::create_directory(out);
  const auto everything = [&](const std::string& bytes) {
    write(file, bytes);
    const Bundle back = read_bundle(file, out);
    std::string text =
        nlohmann::json{{"order", back.recovery.order}, {"key", back.key}, {"event", back.event}}.dump() +
        crash::to_string(back.plan) + back.recovery.belief;
    for (const auto& [name, content_of] : content(out)) {
      text += name + "\n" + content_of;
    }
    fs::remove_all(out);
    fs::create_directory(out);
    return text;
  };
  const auto refused = [&](const std::string& bytes) {
    write(file, bytes);
    CHECK_THROWS_AS(read_bundle(file, out), UsageError);
    CHECK(fs::is_empty(out));
  };
  const std::string good = everything(whole);
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 40) {
    INFO("cut to " << size);
    refused(whole.substr(0, size));
  }
  // A changed bit is noticed, but for a few that say nothing of what is in the bundle: how the compression
  // came to the same bytes, and what fills up the archive behind its end.
  std::size_t without_meaning = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    INFO("flipped at " << at << " of " << whole.size());
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    try {
      const std::string back = everything(damaged);
      CHECK(back == good);
      ++without_meaning;
    } catch (const UsageError&) {
      CHECK(fs::is_empty(out));
    }
  }
  CHECK(without_meaning * 50 < whole.size());
  refused("not a bundle at all");
  CHECK_THROWS_AS(read_bundle(directory.path() / "none", out), UsageError);
}

TEST_CASE("a bundle decides neither which program is loaded nor what else a worker does") {
  const TempDir directory = storage_directory();
  const fs::path plugin = directory.path() / "evil.so";
  write(plugin, "a program");
  const fs::path file = directory.path() / "b.tar.zst";
  const fs::path out = directory.path() / "out";
  fs::create_directory(out);
  Bundle bundle = sample_bundle();
  bundle.recovery.order.plugin = plugin.string();
  bundle.recovery.order.conformance_check = "any";
  bundle.recovery.order.floor_cycles = 1'000'000;
  write_bundle(bundle, {}, {}, file);
  Bundle back = read_bundle(file, out);
  CHECK(back.plugin == "evil.so");
  CHECK(back.plugin_sha256.size() == 64);
  CHECK(back.recovery.order.plugin.empty());
  CHECK(back.recovery.order.conformance_check.empty());
  CHECK(back.recovery.order.floor_cycles == 0);
  CHECK_THROWS_WITH(choose_plugin({}, &back), Catch::Matchers::Contains("--engine PATH.so"));
  CHECK(back.recovery.order.plugin.empty());
  choose_plugin({plugin.string()}, &back);
  CHECK(back.recovery.order.plugin == plugin.string());

  bundle = sample_bundle();
  bundle.recovery.order.schedule.flush_one_in = 0;
  write_bundle(bundle, {}, {}, file);
  CHECK_THROWS_AS(read_bundle(file, out), UsageError);
  bundle = sample_bundle();
  bundle.key.plan.timer_us_max = 0;
  write_bundle(bundle, {}, {}, file);
  CHECK_THROWS_AS(read_bundle(file, out), UsageError);
}

TEST_CASE("a work directory that is foreign, another engine's or in use is refused and not touched") {
  const TempDir directory = storage_directory();
  const fs::path foreign = directory.path() / "foreign";
  fs::create_directory(foreign);
  write(foreign / "precious", "data");
  CHECK_THROWS_AS(WorkDirectory(foreign, {"lmdb"}, nullptr), UsageError);
  CHECK(content(foreign) == std::map<std::string, std::string>{{"precious", "data"}});
  CHECK_THROWS_AS(WorkDirectory(foreign / "precious", {"lmdb"}, nullptr), UsageError);
  CHECK_THROWS_AS(WorkDirectory(directory.path() / "no" / "parent", {"lmdb"}, nullptr), UsageError);

  const fs::path ours = directory.path() / "ours";
  {
    const WorkDirectory used(ours, {"lmdb"}, nullptr);
    write(ours / "lane", "x");
    CHECK_THROWS_AS(WorkDirectory(ours, {"lmdb"}, nullptr), UsageError);
    CHECK_THROWS_AS(WorkDirectory(ours, {"rocksdb"}, nullptr), UsageError);
    CHECK(fs::exists(ours / "lane"));
  }
  CHECK_FALSE(fs::exists(ours));  // it was made here, so it goes

  fs::create_directory(ours);
  { const WorkDirectory used(ours, {"lmdb"}, nullptr); }
  CHECK(fs::exists(ours));
  CHECK(fs::is_empty(ours));
}

TEST_CASE("a work directory of our own leaves nothing behind") {
  fs::path path;
  {
    const WorkDirectory work({}, {"lmdb"}, nullptr);
    path = work.path();
    write(path / "file", "x");
    CHECK_FALSE(work.kind().empty());
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a regression is kept once, newest first, and never for a planted fault") {
  const TempDir directory = storage_directory();
  Regression regression;
  regression.engine = "lmdb";
  regression.invariant = "state.prefix";
  for (std::uint64_t cycle : {3, 4, 3, 5}) {
    regression.cycle = cycle;
    append_regression(directory.path(), regression);
  }
  regression.key.fault = "half-batch";
  append_regression(directory.path(), regression);
  const RegressionList list = read_regressions(directory.path(), "lmdb", RegressionOf::kill);
  REQUIRE(list.entries.size() == 3);
  CHECK(list.entries[0].cycle == 5);
  CHECK(list.entries[2].cycle == 3);
  CHECK(list.note.empty());
  CHECK(read_regressions(directory.path(), "rocksdb", RegressionOf::kill).entries.empty());

  regression.key.fault.clear();
  for (std::uint64_t cycle = 10; cycle < 20; ++cycle) {
    regression.cycle = cycle;
    append_regression(directory.path(), regression);
  }
  CHECK(read_regressions(directory.path(), "lmdb", RegressionOf::kill).entries.size() ==
        kRegressionsReplayed);
  CHECK_FALSE(read_regressions(directory.path(), "lmdb", RegressionOf::kill).note.empty());

  regression.key.plan.timer_us_max = 0;
  append_regression(directory.path() / "other", regression);
  CHECK_THROWS_AS(read_regressions(directory.path() / "other", "lmdb", RegressionOf::kill), UsageError);

  std::ofstream(directory.path() / "regressions" / "lmdb.jsonl", std::ios::app) << "damaged\n";
  CHECK_THROWS_WITH(read_regressions(directory.path(), "lmdb", RegressionOf::kill),
                    Catch::Matchers::Contains("lmdb.jsonl:14"));
}

TEST_CASE("a plan checksum tells everything apart that changes what a seed means") {
  PlanKey key;
  key.seed = 1;
  std::set<std::string> sums;
  sums.insert(plan_checksum(key, wire::Protocol::in_batch, 0, 10));
  CHECK(sums.contains(plan_checksum(key, wire::Protocol::in_batch, 0, 10)));
  sums.insert(plan_checksum(key, wire::Protocol::sidecar, 0, 10));
  sums.insert(plan_checksum(key, wire::Protocol::in_batch, 1, 10));
  sums.insert(plan_checksum(key, wire::Protocol::in_batch, 0, 11));
  PlanKey other = key;
  other.seed = 2;
  sums.insert(plan_checksum(other, wire::Protocol::in_batch, 0, 10));
  other = key;
  other.workload = "churn";
  sums.insert(plan_checksum(other, wire::Protocol::in_batch, 0, 10));
  other = key;
  other.plan.timer = false;
  sums.insert(plan_checksum(other, wire::Protocol::in_batch, 0, 10));
  other = key;
  other.segment_bytes = 4096;
  sums.insert(plan_checksum(other, wire::Protocol::in_batch, 0, 10));
  CHECK(sums.size() == 8);
  CHECK(nlohmann::json(nlohmann::json(key).get<PlanKey>()) == nlohmann::json(key));
}

TEST_CASE("a campaign's checksum covers whatever it plans: kills, loads, groups and migrations") {
  CampaignConfig config;
  config.key.seed = 1;
  config.engines = {"lmdb", "rocksdb"};
  config.kills = 10;
  config.images = 200;
  const auto lines_of = [](const CampaignConfig& of) {
    std::vector<std::string> lines;
    for_each_plan(of, [&](const std::string& line) { lines.push_back(line); });
    return lines;
  };
  CHECK(lines_of(config).size() == 10);
  std::set<std::string> sums = {campaign_checksum(config)};
  config.power = true;
  CHECK(lines_of(config).size() == 10 + 2 * 2);  // lanes, workloads: 50 images each, of one load
  CHECK(lines_of(config).back().starts_with("# power workload=rollover lane=1 cycle=0 "));
  sums.insert(campaign_checksum(config));
  config.kill = false;
  sums.insert(campaign_checksum(config));
  config.key.plan.io = true;
  CHECK(lines_of(config).size() == 200 / kImagesPerLoadWithErrors);
  sums.insert(campaign_checksum(config));
  config.power_workloads = {"churn"};
  sums.insert(campaign_checksum(config));
  config.replicas = 2;
  config.kill = true;
  CHECK(lines_of(config).front().starts_with("# group=0 cycle=0 "));
  sums.insert(campaign_checksum(config));
  config.key.seed = 2;
  sums.insert(campaign_checksum(config));
  CHECK(sums.size() == 7);

  sums = {migration_checksum(config)};
  config.kills = 11;
  sums.insert(migration_checksum(config));
  config.key.fault = "import-checkpoint-early";
  sums.insert(migration_checksum(config));
  config.engines = {"rocksdb", "sqlite"};
  sums.insert(migration_checksum(config));
  CHECK(sums.size() == 4);
}

TEST_CASE("the checksum of a load is that of the loads up to it, whatever kills the campaign had besides") {
  PlanKey key;
  key.seed = 1;
  std::set<std::string> sums = {loads_checksum(key, wire::Protocol::in_batch, 0, 3)};
  key.plan.step = false;
  CHECK(sums.contains(loads_checksum(key, wire::Protocol::in_batch, 0, 3)));
  sums.insert(loads_checksum(key, wire::Protocol::in_batch, 0, 4));
  sums.insert(loads_checksum(key, wire::Protocol::in_batch, 1, 3));
  sums.insert(loads_checksum(key, wire::Protocol::sidecar, 0, 3));
  key.plan.io = true;
  sums.insert(loads_checksum(key, wire::Protocol::in_batch, 0, 3));
  CHECK(sums.size() == 5);
}

TEST_CASE("a plan that this build does not have is refused, before anything runs") {
  CHECK_NOTHROW(require_plan("", "0123456789abcdef", 42));
  CHECK_NOTHROW(require_plan("0123456789abcdef", "0123456789abcdef", 42));
  CHECK_THROWS_AS(require_plan("0123456789abcdee", "0123456789abcdef", 42), OtherPlanError);
}

TEST_CASE("earlier failures of power cuts and groups are left out when their plans are other ones now") {
  const TempDir directory = storage_directory();
  Regression regression{{}, "lmdb", wire::Protocol::in_batch, 0, 3, {}, "state.prefix"};
  regression.power = {"strict", 100, 20};
  append_regression(directory.path(), regression);
  regression.power.reset();
  regression.group = {{"lmdb", "rocksdb"}, ProtocolChoice::in_batch, 0};
  append_regression(directory.path(), regression);
  const std::filesystem::path file = directory.path() / "regressions" / "lmdb.jsonl";
  for (const RegressionOf kind : {RegressionOf::power_cut, RegressionOf::group_kill}) {
    const RegressionList list = read_regressions(directory.path(), "lmdb", kind);
    REQUIRE(list.entries.size() == 1);
    CHECK(list.note.empty());
    CHECK(list.entries.front().plan_checksum.size() == 16);
  }
  std::string text;
  REQUIRE(read_file(file, &text).ok());
  const std::string name = "\"plan_checksum\":\"";
  for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    text.replace(at + name.size(), 16, "0123456789abcdef");  // of a build that drew otherwise
  }
  replace_file(file, text);
  for (const RegressionOf kind : {RegressionOf::power_cut, RegressionOf::group_kill}) {
    const RegressionList list = read_regressions(directory.path(), "lmdb", kind);
    CHECK(list.entries.empty());
    CHECK_THAT(list.note, Catch::Matchers::Contains("1 earlier failure not replayed"));
  }
}
