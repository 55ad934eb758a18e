// The explorer finds published bugs on traces of them, and the minimiser says what they are.

#include "harness/disk/explore.h"

#include <functional>
#include <optional>
#include <set>
#include <tuple>

#include "harness/base/test.h"
#include "harness/disk/minimize.h"
#include "harness/disk/trace_builder.h"

using namespace chaosgate;
using namespace chaosgate::disk;

namespace {

using Files = std::map<std::string, std::string>;
// Whether a recovery from these files would be wrong, given what had been acknowledged.
using Fails = std::function<bool(const Files&, const tap::TraceIndexes&)>;

const std::string kPage(4096, 'p');

struct Bug {
  std::string name;
  TraceBuilder trace;
  Fails fails;
  std::string weakest;
  std::string explanation;  // of the image minimised under that profile
};

Bug rename_without_dirsync() {
  TraceBuilder t;
  t.create("snap.tmp").append("snap.tmp", "S").fsync("snap.tmp").rename("snap.tmp", "snap").acknowledge(1);
  return {"rename-without-dirsync", t,
          [](const Files& files, const tap::TraceIndexes& known) {
            return known.synced == 1 && !files.contains("snap");
          },
          "prefix",
          "rename snap.tmp -> snap (snap, record 3) was lost: it was acknowledged (synced index 1) but not "
          "durable"};
}

Bug rollover_hole() {
  TraceBuilder t;
  t.base_file("log-1", kPage).append("log-1", "one").create("log-2").append("log-2", "two").fsync("log-2");
  return {
      "rollover-hole", t,
      [](const Files& files, const tap::TraceIndexes&) {
        return files.contains("log-2") && files.at("log-2") == "two" && files.at("log-1") != kPage + "one";
      },
      "btrfs",
      "size 4096 -> 4099 of log-1 (log, record 0) was lost while create of log-2 (log, record 1) survived"};
}

Bug current_before_manifest() {
  TraceBuilder t;
  t.base_file("current", "1").create("manifest-2").append("manifest-2", "M").create("current.tmp");
  t.append("current.tmp", "2").fsync("current.tmp").rename("current.tmp", "current").fsync("");
  return {"current-before-manifest", t,
          [](const Files& files, const tap::TraceIndexes&) {
            return files.contains("current") && files.at("current") == "2" &&
                   (!files.contains("manifest-2") || files.at("manifest-2") != "M");
          },
          "btrfs",
          "size 0 -> 1 of manifest-2 (manifest, record 1) was lost while rename current.tmp -> current"
          " (current, record 5) survived"};
}

Bug unlink_before_durable() {
  TraceBuilder t;
  t.base_file("old", "O").create("new.tmp").append("new.tmp", "N").fsync("new.tmp");
  t.rename("new.tmp", "new").unlink("old");
  return {"unlink-before-durable", t,
          [](const Files& files, const tap::TraceIndexes&) {
            return !files.contains("old") && !files.contains("new");
          },
          "btrfs",
          "rename new.tmp -> new (new, record 3) was lost while unlink of old (old, record 4) survived"};
}

Bug appends_reorder() {
  TraceBuilder t;
  t.base_file("log", kPage).append("log", std::string(4096, '1')).append("log", std::string(4096, '2'));
  return {"appends-reorder", t,
          [](const Files& files, const tap::TraceIndexes&) {
            const std::string& log = files.at("log");
            return log.size() == 3 * 4096 && log.back() == '2' && log[4096] != '1';
          },
          "xfs",
          "write of bytes 4096..8191 of log (log, record 0) was lost while size 8192 -> 12288 of log"
          " (log, record 1) survived"};
}

Bug torn_page() {
  TraceBuilder t;
  t.base_file("db", kPage).write("db", 0, std::string(4096, 'n')).fsync("db");
  return {"torn-page", t,
          [](const Files& files, const tap::TraceIndexes&) {
            return files.at("db").front() != files.at("db").back();
          },
          "prefix",
          "write of bytes 0..4095 of db (db, record 0) was torn (only bytes 3584..4095 of the page arrived): "
          "nothing"
          " that came later survived either"};
}

Bug meta_before_data() {
  TraceBuilder t;
  t.base_file("db", kPage + kPage)
      .write("db", 4096, std::string(4096, 'd'))
      .write("db", 0, std::string(4096, 'm'));
  t.fsync("db");
  return {"meta-before-data", t,
          [](const Files& files, const tap::TraceIndexes&) {
            return files.at("db").front() == 'm' && files.at("db").back() == 'p';
          },
          "btrfs",
          "write of bytes 4096..8191 of db (db, record 0) was lost while write of bytes 0..4095 of db"
          " (db, record 1) survived"};
}

Bug dir_never_synced() {
  TraceBuilder t;
  t.create("log.tmp").rename("log.tmp", "log").append("log", "1").fsync("log").acknowledge(1);
  return {"dir-never-synced", t,
          [](const Files& files, const tap::TraceIndexes& known) {
            return known.synced == 1 && !files.contains("log");
          },
          "strict",
          "rename log.tmp -> log (log, record 1) was lost while size 0 -> 1 of log (log, record 2) survived"};
}

std::vector<Bug> all_bugs() {
  return {rename_without_dirsync(), rollover_hole(), current_before_manifest(), unlink_before_durable(),
          appends_reorder(),        torn_page(),     meta_before_data(),        dir_never_synced()};
}

struct Found {
  ImageSpec spec;
  int images = 0;
};

bool fails(const Workload& workload, const Fails& judge, const ImageSpec& spec) {
  return judge(workload.imager->files(spec), workload.history->indexes_at(spec.cut));
}

std::optional<Found> find(const Workload& workload, const Order& order, const Fails& judge, int images_max) {
  Explorer explorer(order, workload.imager.get(), Rng(1));
  for (int images = 1; images <= images_max; ++images) {
    const std::optional<Candidate> candidate = explorer.next();
    if (!candidate) {
      return std::nullopt;
    }
    REQUIRE(order.check(candidate->spec).ok());
    if (fails(workload, judge, candidate->spec)) {
      return Found{candidate->spec, images};
    }
  }
  return std::nullopt;
}

// A busy trace: segments that are written, synced and removed around the bug.
TraceBuilder busy(int rounds) {
  TraceBuilder t;
  t.base_file("sst-0", kPage);
  for (int i = 1; i <= rounds; ++i) {
    const std::string name = "sst-" + std::to_string(i);
    t.create(name).append(name, kPage).append(name, std::to_string(i)).fsync(name).fsync("");
    t.acknowledge(static_cast<std::uint64_t>(i)).unlink("sst-" + std::to_string(i - 1));
  }
  return t;
}

}  // namespace

TEST_CASE("published bugs are found within 40 images, under the weakest profile that has them") {
  for (const Bug& bug : all_bugs()) {
    INFO(bug.name);
    const Workload workload(bug.trace);
    std::optional<std::string> weakest;
    for (const std::string& profile : profile_names()) {
      const Order order(*workload.history, named_profile(profile));
      const std::optional<Found> found = find(workload, order, bug.fails, 40);
      if (!found) {
        continue;
      }
      weakest = weakest ? weakest : profile;
      if (*weakest == profile) {
        CHECK(Ladder(*workload.history).weakest_profile(found->spec) == profile);
        const Minimized small = minimize(
            order, found->spec, [&](const ImageSpec& spec) { return fails(workload, bug.fails, spec); });
        CHECK(small.minimal);
        CHECK(fails(workload, bug.fails, small.spec));
        CHECK(explain(*workload.history, small.spec) == bug.explanation);
      }
    }
    CHECK(weakest == bug.weakest);
    const Order strict(*workload.history, named_profile("strict"));
    CHECK(find(workload, strict, bug.fails, 40).has_value());
  }
}

TEST_CASE("a protocol that syncs everything in time has no failing image under any profile") {
  TraceBuilder t;
  t.base_file("current", "1").create("manifest-2").append("manifest-2", "M").fsync("manifest-2").fsync("");
  t.create("current.tmp").append("current.tmp", "2").fsync("current.tmp").rename("current.tmp", "current");
  t.fsync("").acknowledge(1);
  const Workload workload(t);
  const Fails judge = [](const Files& files, const tap::TraceIndexes& known) {
    const std::string current = files.contains("current") ? files.at("current") : "";
    return (current == "2" && (!files.contains("manifest-2") || files.at("manifest-2") != "M")) ||
           (known.synced == 1 && current != "2");
  };
  for (const std::string& profile : profile_names()) {
    const Order order(*workload.history, named_profile(profile));
    CHECK_FALSE(find(workload, order, judge, 10000).has_value());
  }
}

TEST_CASE("300 images of a trace of 1200 records come from every strategy and from all over the trace") {
  const Workload workload(busy(200));
  REQUIRE(workload.end() == 1200);
  const Order order(*workload.history, named_profile("ext4-writeback"));
  Explorer explorer(order, workload.imager.get(), Rng(3));
  using Expected = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;
  std::set<Expected> expected;
  std::array<int, 4> quarters = {};
  for (int i = 0; i < 300; ++i) {
    const std::optional<Candidate> candidate = explorer.next();
    REQUIRE(candidate);
    REQUIRE(order.check(candidate->spec).ok());
    const tap::TraceIndexes& known = workload.history->indexes_at(candidate->spec.cut);
    expected.insert({candidate->hash, known.synced, known.flushed});
    ++quarters[std::min<std::size_t>(3, candidate->spec.cut / 300)];
  }
  CHECK(expected.size() == 300);
  for (std::size_t i = 0; i < kStrategyCount; ++i) {
    INFO(to_string(static_cast<Strategy>(i)));
    CHECK(explorer.counts(static_cast<Strategy>(i)).yielded >= 3);
  }
  for (const int images : quarters) {
    CHECK(images > 30);
  }
  for (int i = 0; i < 200; ++i) {
    REQUIRE(explorer.next());
  }
  CHECK(explorer.counts(Strategy::tear).grouped > 0);
}

TEST_CASE("one bug in a long trace is found within 300 images") {
  TraceBuilder t = busy(40);
  t.create("manifest-2").append("manifest-2", "M").create("current.tmp").append("current.tmp", "2");
  t.fsync("current.tmp").rename("current.tmp", "current").fsync("");
  const Workload workload(t);
  const Order order(*workload.history, named_profile("btrfs"));
  const std::optional<Found> found = find(workload, order, current_before_manifest().fails, 300);
  REQUIRE(found);
}

TEST_CASE("what a later sync of its own file left pending is the first that omit-one loses") {
  TraceBuilder t = busy(40);
  t.base_file("log", kPage).append("log", std::string(4096, '1'));
  const auto left_behind = static_cast<std::uint32_t>(t.trace.records.size() - 1);
  t.append("log", std::string(4096, '2'));
  t.last().write_through = true;
  t.acknowledge(41).create("late").append("late", kPage).fsync("late");
  const Workload workload(t);
  const Order order(*workload.history, named_profile("xfs"));
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Explorer explorer(order, workload.imager.get(), Rng(seed), {.weights = {0, 0, 1, 0, 0, 0, 0}});
    const std::optional<Candidate> first = explorer.next();
    REQUIRE(first);
    REQUIRE_FALSE(first->spec.dropped.empty());
    for (const OpId lost : first->spec.dropped) {
      CHECK(workload.history->ops()[lost].record == left_behind);
    }
  }
}

TEST_CASE(
    "what is acknowledged soon after an injected error is the first where all that is pending is lost") {
  TraceBuilder t = busy(40);
  t.base_file("log", kPage).append("log", std::string(4096, '1')).fdatasync("log");
  t.last().injected = true;
  t.last().error = 5;
  const std::size_t failed = t.trace.records.size();
  for (std::uint64_t index = 41; index < 60; ++index) {
    t.acknowledge(index).append("log", std::string(4096, '2')).append("log", std::string(4096, '3'));
  }
  const Workload workload(t);
  const Order order(*workload.history, named_profile("xfs"));
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Explorer explorer(order, workload.imager.get(), Rng(seed), {.weights = {1, 0, 0, 0, 0, 0, 0}});
    const std::optional<Candidate> first = explorer.next();
    REQUIRE(first);
    CHECK(first->spec.cut >= failed);
    CHECK(first->spec.cut <= failed + 6);
    CHECK_FALSE(first->spec.dropped.empty());
  }
}

TEST_CASE("an explorer yields each image once, the same ones for the same seed, and then ends") {
  const Bug bug = unlink_before_durable();
  const Workload workload(bug.trace);
  const Order order(*workload.history, named_profile("strict"));
  const auto run = [&](std::uint64_t seed) {
    Explorer explorer(order, workload.imager.get(), Rng(seed));
    std::vector<std::string> specs;
    while (const std::optional<Candidate> candidate = explorer.next()) {
      CHECK_FALSE(candidate->description.empty());
      specs.push_back(to_string(candidate->spec));
    }
    return specs;
  };
  const std::vector<std::string> first = run(5);
  CHECK(first == run(5));
  CHECK(first != run(6));
  // What is legal at all, over all cuts, bounds it; random sets reach nearly all of it.
  std::set<std::uint64_t> possible;
  for (std::uint64_t cut = 0; cut <= workload.end(); ++cut) {
    for (const ImageSpec& spec : enumerate_all(order, workload.imager.get(), cut)) {
      possible.insert(workload.imager->hash(spec));
    }
  }
  CHECK(first.size() <= possible.size());
  CHECK(first.size() >= possible.size() - 1);
}

TEST_CASE("looks alike, tried enough: representatives bound the places of a group") {
  const Workload workload(busy(50));
  const Order order(*workload.history, named_profile("strict"));
  const auto tears = [&](std::uint32_t representatives) {
    Explorer explorer(order, workload.imager.get(), Rng(1),
                      {.representatives_max = representatives, .weights = {0, 0, 0, 0, 0, 1, 0}});
    std::uint64_t images = 0;
    while (explorer.next()) {
      ++images;
    }
    CHECK(explorer.counts(Strategy::tear).yielded == images);
    CHECK(explorer.counts(Strategy::drop_all).yielded == 0);
    CHECK((explorer.counts(Strategy::tear).grouped > 0) == (representatives < 1000));
    return images;
  };
  CHECK(tears(1) < tears(3));
  CHECK(tears(3) < tears(1000));
}

TEST_CASE("torn-then-more keeps a whole record behind one that is torn, or not there") {
  TraceBuilder t;
  const std::string first(1024, 'A');
  const std::string second(512, 'B');
  t.create("log").fsync("log").fsync("").append("log", first).append("log", second);
  const Workload workload(t);
  const Order order(*workload.history, named_profile("xfs"));
  Explorer explorer(order, workload.imager.get(), Rng(1), {.weights = {0, 0, 0, 0, 0, 0, 0, 1}});
  std::set<std::string> found;
  while (const std::optional<Candidate> candidate = explorer.next()) {
    CHECK(candidate->strategy == Strategy::torn_then_more);
    found.insert(workload.imager->files(candidate->spec).at("log"));
  }
  const std::string zeroes(512, '\0');
  CHECK(found.contains(first.substr(0, 512) + zeroes + second));
  CHECK(found.contains(zeroes + first.substr(0, 512) + second));
  CHECK(found.contains(zeroes + zeroes + second));
  CHECK(found.size() == 3);
}

TEST_CASE("torn-then-more tears the middle out of a record that ends where the next one begins") {
  TraceBuilder t;
  const std::string first(1500, 'A');
  t.create("log").fsync("log").fsync("").append("log", first).append("log", "B");
  const Workload workload(t);
  const Order order(*workload.history, named_profile("xfs"));
  Explorer explorer(order, workload.imager.get(), Rng(1), {.weights = {0, 0, 0, 0, 0, 0, 0, 1}});
  std::set<std::string> found;
  while (const std::optional<Candidate> candidate = explorer.next()) {
    found.insert(workload.imager->files(candidate->spec).at("log"));
  }
  CHECK(found.contains(first.substr(0, 512) + std::string(512, '\0') + first.substr(1024) + "B"));
}

TEST_CASE("a novel image brings its neighbours forward") {
  const Workload workload(busy(100));
  const Order order(*workload.history, named_profile("strict"));
  const auto near = [&](bool novel) {
    Explorer explorer(order, workload.imager.get(), Rng(1));
    explorer.feedback({.cut = 333, .dropped = {}}, novel);
    int count = 0;
    for (int i = 0; i < 16; ++i) {
      const std::uint64_t cut = explorer.next()->spec.cut;
      count += cut >= 332 && cut <= 334 ? 1 : 0;
    }
    return count;
  };
  CHECK(near(true) >= 3);
  CHECK(near(false) == 0);
}

TEST_CASE("a slot within one sector tears under a profile that tears in bytes, and under no other") {
  const auto tears = [](const char* name) {
    TraceBuilder t;
    t.base_file("db", kPage).write("db", 1000, std::string(16, 'n')).fsync("db");
    Profile profile;
    REQUIRE(parse_profile(name, &profile).ok());
    const Workload workload(t);
    const Order order(*workload.history, profile);
    Explorer explorer(order, workload.imager.get(), Rng(1));
    std::set<std::string> slots;
    while (const std::optional<Candidate> candidate = explorer.next()) {
      REQUIRE(order.check(candidate->spec).ok());
      slots.insert(workload.imager->files(candidate->spec).at("db").substr(1000, 16));
    }
    return slots;
  };
  CHECK(tears("strict").size() == 2);  // old and new
  // Besides these: half, third, first and last byte, and both of these.
  const std::set<std::string> torn = tears("strict+tearing=byte");
  CHECK(torn.size() == 7);
  CHECK(torn.contains(std::string(8, 'n') + kPage.substr(0, 8)));
  CHECK(torn.contains(kPage.substr(0, 15) + "n"));
}

TEST_CASE("a profile that forbids tears counts them as illegal") {
  const Workload workload(torn_page().trace);
  const Order order(*workload.history, named_profile("btrfs"));
  Explorer explorer(order, workload.imager.get(), Rng(1));
  while (explorer.next()) {
  }
  CHECK(explorer.counts(Strategy::tear).illegal > 0);
}

TEST_CASE("an image that fails without a loss is explained by where the power failed") {
  TraceBuilder t;
  t.base_file("a", "A").unlink("a").create("b").fsync("");
  const Workload workload(t);
  const Order order(*workload.history, named_profile("strict"));
  const auto empty = [&](const ImageSpec& spec) { return workload.imager->files(spec).empty(); };
  const Minimized small = minimize(order, {.cut = 2, .dropped = {1}}, empty);
  CHECK(to_string(small.spec) == "cut=2 dropped=1");
  CHECK(explain(*workload.history, small.spec).find("create of b (b, record 1) was lost") == 0);
  const Minimized earlier = minimize(order, {.cut = 1}, empty);
  CHECK(explain(*workload.history, earlier.spec) ==
        "nothing was lost: the power failed after unlink of a (record 0), and what follows it had not begun");
}

TEST_CASE("an image that lost several calls names them, or the first of many") {
  TraceBuilder t;
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    t.create(name);
  }
  const Workload workload(t);
  const auto sentence = [&](const std::vector<OpId>& dropped) {
    return explain(*workload.history, {.cut = 5, .dropped = dropped});
  };
  CHECK(sentence({0}) == "create of a (a, record 0) was lost while create of b (b, record 1) survived");
  CHECK(sentence({0, 2}) ==
        "create of a (a, record 0) and create of c (c, record 2) were lost while create of d (d, record 3) "
        "survived");
  CHECK(sentence({1, 4}) ==
        "create of b (b, record 1) and create of e (e, record 4) were lost while create of c (c, record 2) "
        "survived");
  CHECK(
      sentence({0, 1, 2, 3}) ==
      "create of a (a, record 0), create of b (b, record 1), create of c (c, record 2) and 1 more were lost "
      "while create of e (e, record 4) survived");
}

TEST_CASE("neither a file for people nor a part of what was lost survived") {
  TraceBuilder t;
  t.create("a").create("LOG").rename("a", "b");
  t.trace.records[1].informational = true;
  const Workload workload(t);
  CHECK(explain(*workload.history, {.cut = 2, .dropped = {0}}) ==
        "create of a (a, record 0) was lost: nothing that came later survived either");
  // Of the rename, the new name is there and the old one, too.
  CHECK(explain(*workload.history, {.cut = 3, .dropped = {0, 3}}).find("survived either") !=
        std::string::npos);
}

TEST_CASE("the same bytes are yielded again where more had been acknowledged") {
  TraceBuilder t;
  t.create("a").append("a", "1").acknowledge(1);
  t.create("b").acknowledge(2);
  const Workload workload(t);
  const Order order(*workload.history, named_profile("strict"));
  ExplorerOptions only;
  only.weights = {1, 0, 0, 0, 0, 0, 0};  // drop-all: nothing was synced, so each image is the empty one
  Explorer explorer(order, workload.imager.get(), Rng(1), only);
  std::set<std::uint64_t> hashes;
  std::uint64_t latest = 0;
  while (const auto candidate = explorer.next()) {
    hashes.insert(candidate->hash);
    latest = std::max<std::uint64_t>(latest, candidate->spec.cut);
  }
  CHECK(hashes.size() == 1);
  CHECK(latest == workload.history->records().size());
}

TEST_CASE("a minimiser that may not test much says that it is not done") {
  const Workload workload(rollover_hole().trace);
  const Order order(*workload.history, named_profile("strict"));
  ImageSpec spec{.cut = 4, .dropped = order.pending(4)};
  REQUIRE(spec.dropped.size() > 2);
  const Minimized small =
      minimize(order, spec, [](const ImageSpec& s) { return !s.dropped.empty(); }, {.tests_max = 1});
  CHECK_FALSE(small.minimal);
  CHECK(small.tests == 1);
  const Minimized done = minimize(order, spec, [](const ImageSpec& s) { return !s.dropped.empty(); });
  CHECK(done.minimal);
  CHECK(done.spec.dropped.size() == 1);
}
