#include "harness/disk/image.h"

#include <sys/stat.h>

#include <fstream>

#include <set>

#include "harness/base/error.h"
#include "harness/base/rng.h"
#include "harness/base/test.h"
#include "harness/disk/trace_builder.h"

using namespace chaosgate;
using namespace chaosgate::disk;

namespace {

namespace fs = std::filesystem;
using Files = std::map<std::string, std::string>;

Files read_tree(const fs::path& root) {
  Files files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    const std::string path = fs::relative(entry.path(), root);
    if (entry.is_directory()) {
      files[path + "/"];
    } else {
      REQUIRE(read_file(entry.path(), &files[path]).ok());
    }
  }
  return files;
}

Files materialized(Imager* imager, const ImageSpec& spec) {
  const TempDir directory("/tmp", "chaosgate-image-");
  imager->materialize(spec, directory.path());
  return read_tree(directory.path());
}

std::string bytes_of(std::size_t size) {
  std::string bytes;
  Rng(size).append_bytes(&bytes, size);
  return bytes;
}

TraceBuilder rich() {
  TraceBuilder t;
  t.base_directory("d")
      .base_directory("e")
      .base_file("db", bytes_of(10000))
      .base_file("d/sst-1", bytes_of(5000));
  t.write("db", 4000, bytes_of(300)).append("db", bytes_of(5000)).truncate("db", 4500).append("db", "tail");
  t.create("d/sst-2").append("d/sst-2", bytes_of(9000)).fsync("d/sst-2").rename("d/sst-2", "d/sst-3");
  t.mkdir("f").rename("d/sst-1", "e/sst-1").unlink("d/sst-3").truncate("db", 20000).write("db", 100, "x");
  return t;
}

struct stat info_of(const fs::path& path) {
  struct stat info = {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info;
}

}  // namespace

TEST_CASE("images have the same hash exactly when their trees are the same") {
  Workload workload(rich());
  const Order order(*workload.history, named_profile("strict"));
  Rng rng(4);
  std::map<std::uint64_t, Files> by_hash;
  std::set<Files> trees;
  int repeated = 0;
  for (int i = 0; i < 400; ++i) {
    ImageSpec spec{.cut = rng.below(workload.end() + 1),
                   .fill = rng.chance(1, 2) ? Fill::garbage : Fill::zero};
    for (const OpId op : order.pending(spec.cut)) {
      if (rng.chance(1, 4)) {
        spec.dropped.push_back(op);
      }
    }
    order.close_by_dropping(&spec);
    REQUIRE(order.check(spec).ok());
    const Files tree = materialized(workload.imager.get(), spec);
    CHECK(tree == workload.imager->files(spec));
    const auto [known, is_new] = by_hash.emplace(workload.imager->hash(spec), tree);
    CHECK(known->second == tree);
    repeated += is_new ? 0 : 1;
    trees.insert(tree);
  }
  CHECK(trees.size() == by_hash.size());
  CHECK(trees.size() > 100);
  CHECK(repeated > 20);
}

TEST_CASE("a hash is of bytes, not of how they came about") {
  TraceBuilder t;
  t.base_file("a", "same")
      .write("a", 0, "same")
      .create("b")
      .append("b", "x")
      .truncate("b", 0)
      .append("b", "y");
  Workload workload(t);
  const auto hash = [&](const ImageSpec& spec) { return workload.imager->hash(spec); };
  CHECK(hash({.cut = 0}) == hash({.cut = 1}));
  CHECK(hash({.cut = 1}) != hash({.cut = 2}));
  CHECK(hash({.cut = 2}) == hash({.cut = 4}));
  CHECK(hash({.cut = 3}) != hash({.cut = 5}));
  TraceBuilder other;  // the same content from another base
  other.base_file("b", "y").base_file("a", "same");
  CHECK(Workload(other).imager->hash({.cut = 0}) == hash({.cut = 5}));
}

TEST_CASE("an image without losses at the end is what the calls made") {
  Workload workload(rich());
  const Files files = materialized(workload.imager.get(), {.cut = workload.end()});
  std::string db = bytes_of(10000).replace(4000, 300, bytes_of(300)).substr(0, 4500) + "tail";
  db.resize(20000, '\0');
  db[100] = 'x';
  CHECK(files == Files{{"d/", ""}, {"e/", ""}, {"f/", ""}, {"db", db}, {"e/sst-1", bytes_of(5000)}});
}

TEST_CASE("files that are never modified are linked to the base or to one copy, others are copied") {
  const TraceBuilder t = rich();
  Workload workload(t);
  const TempDir store("/tmp", "chaosgate-store-");
  const auto is_table = [](const std::string& path) { return path.find("sst") != std::string::npos; };
  Imager imager(*workload.history, workload.base(), {.never_modified = is_table, .store = store.path()});
  const TempDir one("/tmp", "chaosgate-image-");
  const TempDir two("/tmp", "chaosgate-image-");
  imager.materialize({.cut = 7}, one.path());
  imager.materialize({.cut = 7}, two.path());
  const auto inode = [](const fs::path& path) { return info_of(path).st_ino; };
  CHECK(inode(one.path() / "d/sst-1") == inode(workload.base() / "d/sst-1"));
  CHECK(inode(one.path() / "d/sst-2") == inode(two.path() / "d/sst-2"));
  CHECK(inode(one.path() / "db") != inode(two.path() / "db"));
  CHECK(inode(one.path() / "db") != inode(workload.base() / "db"));
  CHECK(read_tree(one.path()) == workload.imager->files({.cut = 7}));
  std::ofstream(one.path() / "d/sst-2", std::ios::trunc) << "x";
  const TempDir three("/tmp", "chaosgate-image-");
  CHECK_THROWS_AS(imager.materialize({.cut = 7}, three.path()), UsageError);
}

TEST_CASE("holes stay holes") {
  TraceBuilder t;
  t.create("a").write("a", 0, "begin").truncate("a", 64 << 20);
  Workload workload(t);
  const TempDir directory("/tmp", "chaosgate-image-");
  workload.imager->materialize({.cut = 3}, directory.path());
  CHECK(info_of(directory.path() / "a").st_size == 64 << 20);
  CHECK(info_of(directory.path() / "a").st_blocks <= 64);
}

TEST_CASE("a base that is not what the trace began with is refused") {
  TraceBuilder t;
  t.base_file("a", "12345");
  Workload workload(t);
  replace_file(workload.base() / "a", "123");
  CHECK_THROWS_AS(Imager(*workload.history, workload.base()), EnvironmentError);
  fs::remove(workload.base() / "a");
  CHECK_THROWS_AS(Imager(*workload.history, workload.base()), EnvironmentError);
}

TEST_CASE("a history without the bytes of its writes, or with calls out of order, is refused") {
  TraceBuilder t;
  t.base_file("a", "old").write("a", 0, "new").write("a", 0, "NEW");
  tap::Trace bare = t.trace;
  bare.records[0].payload.clear();
  tap::Trace backwards = t.trace;
  std::swap(backwards.records[0], backwards.records[1]);
  std::unique_ptr<const History> history;
  CHECK(History::create(bare, &history).code() == StatusCode::not_supported);
  CHECK(History::create(backwards, &history).code() == StatusCode::corruption);
  CHECK(history == nullptr);
}

TEST_CASE("a spec that does not fit its history is refused") {
  TraceBuilder t;
  t.base_file("a", "old").write("a", 0, "new").create("b");
  Workload workload(t);
  const History& history = *workload.history;
  CHECK(fits(history, {.cut = 2, .dropped = {0, 1}, .torn = {}}).ok());
  CHECK_FALSE(fits(history, {.cut = 3}).ok());
  CHECK_FALSE(fits(history, {.cut = 1, .dropped = {1}}).ok());
  CHECK_FALSE(fits(history, {.cut = 2, .dropped = {1, 0}}).ok());
  CHECK(fits(history, {.cut = 2, .torn = {{.op = 0, .kept = {{0, 1}, {2, 3}}}}}).ok());
  CHECK_FALSE(fits(history, {.cut = 2, .torn = {{.op = 0, .kept = {{0, 3}}}}}).ok());
  CHECK_FALSE(fits(history, {.cut = 2, .torn = {{.op = 0, .kept = {{0, 1}, {1, 2}}}}}).ok());
  CHECK_FALSE(fits(history, {.cut = 2, .torn = {{.op = 0, .kept = {{2, 4}}}}}).ok());
  CHECK_FALSE(fits(history, {.cut = 2, .torn = {{.op = 1, .kept = {{0, 1}}}}}).ok());
  CHECK_FALSE(fits(history, {.cut = 2, .dropped = {0}, .torn = {{.op = 0, .kept = {{0, 1}}}}}).ok());
}

TEST_CASE("an illegal image is refused with the rule and the operations") {
  TraceBuilder t;
  t.base_file("a", "old").write("a", 0, "new").fsync("a").create("b").unlink("a");
  Workload workload(t);
  const Order order(*workload.history, named_profile("ext4-ordered"));
  CHECK(order.check({.cut = 4, .dropped = {0}}).message() ==
        "write of bytes 0..2 of a (a, record 0) was durable at cut 4");
  CHECK(order.check({.cut = 4, .dropped = {1}}).message() ==
        "under ext4-ordered, unlink of a (a, record 3) cannot be there without create of b (b, record 2)");
  CHECK(order.check({.cut = 4, .dropped = {1, 2}}).ok());
  CHECK(Ladder(*workload.history).weakest_profile({.cut = 4, .dropped = {1}}) == "btrfs");
  CHECK(Ladder(*workload.history).weakest_profile({.cut = 4, .dropped = {2}}) == "prefix");
  CHECK(Ladder(*workload.history).weakest_profile({.cut = 4, .dropped = {0}}) == std::nullopt);
}
