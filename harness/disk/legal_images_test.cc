// Which images are legal: all small histories against a second opinion, and by hand.

#include <fcntl.h>
#include <linux/falloc.h>

#include <functional>
#include <set>

#include "harness/base/test.h"
#include "harness/disk/enumerate.h"
#include "harness/disk/reference.h"
#include "harness/disk/trace_builder.h"

using namespace chaosgate;
using namespace chaosgate::disk;

namespace {

using Images = std::set<std::string>;

Profile profile_of(const std::string& text) {
  Profile profile;
  const Status parsed = parse_profile(text, &profile);
  if (!parsed.ok()) {
    throw std::runtime_error(parsed.message());
  }
  return profile;
}

Images images_in(Workload* workload, const std::string& profile, std::uint64_t cut) {
  const Order order(*workload->history, profile_of(profile));
  Images images;
  for (const ImageSpec& spec : enumerate_all(order, workload->imager.get(), cut)) {
    images.insert(show(workload->imager->files(spec)));
  }
  return images;
}

Images images_at(const TraceBuilder& builder, const std::string& profile, std::uint64_t cut) {
  Workload workload(builder);
  return images_in(&workload, profile, cut);
}

Images images_of(const TraceBuilder& builder, const std::string& profile) {
  return images_at(builder, profile, builder.trace.records.size());
}

TraceBuilder old_a() { return TraceBuilder().base_file("a", "old"); }

// One step of a small history; false when it cannot be done now.
using Step = std::function<bool(TraceBuilder*)>;

template <typename Do>
Step with(const std::string& path, Do action) {
  return [=](TraceBuilder* builder) { return builder->exists(path) && (action(builder), true); };
}

std::vector<Step> all_steps() {
  const auto move = [](const char* from, const char* to) {
    return with(from, [=](TraceBuilder* t) { t->rename(from, to); });
  };
  return {
      with("a", [](TraceBuilder* t) { t->write("a", 0, "NEW"); }),
      with("a", [](TraceBuilder* t) { t->append("a", "+"); }),
      with("a", [](TraceBuilder* t) { t->write("a", 4096, "far"); }),
      with("a", [](TraceBuilder* t) { t->truncate("a", 0); }),
      with("a", [](TraceBuilder* t) { t->fsync("a"); }),
      with("a", [](TraceBuilder* t) { t->fdatasync("a"); }),
      with("a", [](TraceBuilder* t) { t->unlink("a"); }),
      [](TraceBuilder* t) { return !t->exists("b") && (t->create("b"), true); },
      with("b", [](TraceBuilder* t) { t->append("b", "B"); }),
      with("b", [](TraceBuilder* t) { t->fsync("b"); }),
      move("b", "a"),
      move("a", "b"),
      move("b", "d/b"),
      move("a", "d/c"),
      [](TraceBuilder* t) { return t->fsync(""), true; },
      [](TraceBuilder* t) { return t->fsync("d"), true; },
      [](TraceBuilder* t) { return t->sync_all(), true; },
  };
}

void for_each_history(const TraceBuilder& start, int steps_left,
                      const std::function<void(const TraceBuilder&)>& visit) {
  visit(start);
  if (steps_left == 0) {
    return;
  }
  static const std::vector<Step> steps = all_steps();
  for (const Step& step : steps) {
    TraceBuilder next = start;
    if (step(&next)) {
      for_each_history(next, steps_left - 1, visit);
    }
  }
}

std::string describe_calls(const TraceBuilder& builder) {
  std::string text;
  for (const tap::TraceRecord& record : builder.trace.records) {
    text += tap::describe(record) + "\n";
  }
  return text;
}

// Every history has the same images here and in the second opinion. Returns the number of histories.
int compare(const TraceBuilder& start, int steps, const std::vector<std::string>& profiles) {
  int histories = 0;
  for_each_history(start, steps, [&](const TraceBuilder& builder) {
    ++histories;
    Workload workload(builder);
    for (const std::string& profile : profiles) {
      const Images expected = reference::Reference(builder, profile_of(profile)).images();
      const Images found = images_in(&workload, profile, workload.end());
      if (expected != found) {
        INFO(profile << "\n" << describe_calls(builder));
        REQUIRE(found == expected);
      }
    }
  });
  return histories;
}

}  // namespace

TEST_CASE("all histories of three steps have the images that a second opinion gives them") {
  const TraceBuilder start = old_a().base_directory("d");
  CHECK(compare(start, 3, profile_names()) > 1500);
}

TEST_CASE("all histories of three steps agree when single flags are set") {
  const TraceBuilder start = old_a().base_directory("d");
  CHECK(compare(start, 3,
                {"strict+fdatasync-drops-size", "strict+atomic-rename", "btrfs+ordered-dir-ops",
                 "xfs+fsync-commits-dir-ops"}) > 1500);
}

TEST_CASE("histories of two steps after a new file was written agree") {
  const TraceBuilder start = old_a().base_directory("d").create("b").append("b", "B1");
  CHECK(compare(start, 2, profile_names()) > 150);
}

TEST_CASE("an overwrite is there or not, until it is synced") {
  const TraceBuilder t = old_a().write("a", 0, "NEW");
  for (const std::string& profile : profile_names()) {
    CHECK(images_of(t, profile) == Images{"a=old", "a=NEW"});
    CHECK(images_of(TraceBuilder(t).fsync("a"), profile) == Images{"a=NEW"});
    CHECK(images_of(TraceBuilder(t).fdatasync("a"), profile) == Images{"a=NEW"});
    CHECK(images_of(TraceBuilder(t).fsync(""), profile) == Images{"a=old", "a=NEW"});
  }
}

TEST_CASE("a cut before a call knows nothing of it") {
  const TraceBuilder t = old_a().write("a", 0, "NEW").fsync("a");
  CHECK(images_at(t, "strict", 0) == Images{"a=old"});
  CHECK(images_at(t, "strict", 1) == Images{"a=old", "a=NEW"});
  CHECK(images_at(t, "strict", 2) == Images{"a=NEW"});
}

TEST_CASE("a grown file may have its size without its data where the profile says so") {
  const TraceBuilder t = old_a().append("a", "++");
  CHECK(images_of(t, "strict") == Images{"a=old", "a=old++", "a=old00", "a=old??"});
  CHECK(images_of(t, "ext4-writeback") == Images{"a=old", "a=old++", "a=old00", "a=old??"});
  CHECK(images_of(t, "xfs") == Images{"a=old", "a=old++", "a=old00"});
  CHECK(images_of(t, "xfs-bare-size-zero") == Images{"a=old", "a=old++"});
  CHECK(images_of(t, "ext4-ordered") == Images{"a=old", "a=old++"});
  CHECK(images_of(t, "ext4-ordered+bare-size-garbage") == Images{"a=old", "a=old++", "a=old??"});
  CHECK(images_of(t, "btrfs") == Images{"a=old", "a=old++"});
  CHECK(images_of(t, "prefix") == Images{"a=old", "a=old++"});
}

TEST_CASE("a new file needs its directory synced, except where fsync persists its name") {
  const TraceBuilder t = TraceBuilder().create("b").append("b", "B").fsync("b");
  CHECK(images_of(t, "strict") == Images{"", "b=B"});
  CHECK(images_of(t, "strict+fsync-persists-name") == Images{"b=B"});
  CHECK(images_of(t, "ext4-ordered") == Images{"b=B"});
  CHECK(images_of(t, "ext4-writeback") == Images{"b=B"});
  CHECK(images_of(t, "xfs") == Images{"b=B"});
  CHECK(images_of(t, "btrfs") == Images{"b=B"});
  CHECK(images_of(t, "prefix") == Images{"b=B"});  // what was synced carries what came before it
  CHECK(images_of(TraceBuilder(t).fsync(""), "strict") == Images{"b=B"});
}

TEST_CASE("replacing a file by an unsynced one may leave it empty") {
  const TraceBuilder t = old_a().create("b").append("b", "B").rename("b", "a");
  const Images before = {"a=old", "a=old b=", "a=old b=B"};
  Images ordered = before;
  ordered.insert("a=B");
  CHECK(images_of(t, "ext4-ordered") == ordered);
  CHECK(images_of(t, "btrfs") == ordered);
  CHECK(images_of(t, "prefix") == ordered);
  Images xfs = ordered;
  xfs.merge(Images{"a=old b=0", "a=", "a=0"});
  CHECK(images_of(t, "xfs") == xfs);
  Images writeback = xfs;
  writeback.merge(Images{"a=old b=?", "a=?"});
  CHECK(images_of(t, "ext4-writeback") == writeback);
  Images strict = writeback;  // and the halves of the rename come apart
  strict.merge(Images{"a= b=", "a=0 b=0", "a=? b=?", "a=B b=B"});
  CHECK(images_of(t, "strict") == strict);
}

TEST_CASE("the usual way to replace a file is safe but for the sync of the directory") {
  const TraceBuilder t = old_a().create("b").append("b", "B").fsync("b").rename("b", "a");
  CHECK(images_of(t, "strict") == Images{"a=old", "a=old b=B", "a=B b=B", "a=B"});
  CHECK(images_of(t, "strict+atomic-rename") == Images{"a=old", "a=old b=B", "a=B"});
  for (const std::string profile : {"ext4-ordered", "ext4-writeback", "xfs", "btrfs", "prefix"}) {
    CHECK(images_of(t, profile) == Images{"a=old b=B", "a=B"});
  }
  for (const std::string& profile : profile_names()) {
    CHECK(images_of(TraceBuilder(t).fsync(""), profile) == Images{"a=B"});
  }
}

TEST_CASE("a lost unlink brings the old file back with what its pages hold") {
  const TraceBuilder t = old_a().write("a", 0, "NEW").unlink("a");
  CHECK(images_of(t, "strict") == Images{"", "a=old", "a=NEW"});
  CHECK(images_of(t, "prefix") == Images{"", "a=old", "a=NEW"});
  CHECK(images_of(TraceBuilder(t).fsync(""), "strict") == Images{""});
}

TEST_CASE("directory operations keep their order only where the profile says so") {
  const TraceBuilder t = old_a().create("b").unlink("a");
  CHECK(images_of(t, "ext4-ordered") == Images{"a=old", "a=old b=", "b="});
  CHECK(images_of(t, "xfs") == Images{"a=old", "a=old b=", "b="});
  CHECK(images_of(t, "btrfs") == Images{"a=old", "a=old b=", "b=", ""});
  CHECK(images_of(t, "btrfs+ordered-dir-ops") == Images{"a=old", "a=old b=", "b="});
  CHECK(images_of(t, "strict") == Images{"a=old", "a=old b=", "b=", ""});
}

TEST_CASE("an fsync commits earlier directory operations only under that flag") {
  const TraceBuilder t = TraceBuilder().base_file("a", "A").create("b").write("a", 0, "N").fsync("a");
  CHECK(images_of(t, "ext4-ordered") == Images{"a=N b="});
  CHECK(images_of(t, "xfs") == Images{"a=N", "a=N b="});
  CHECK(images_of(t, "xfs+fsync-commits-dir-ops") == Images{"a=N b="});
  CHECK(images_of(t, "prefix") == Images{"a=N b="});
}

TEST_CASE("a file in a directory that is not bound is not there") {
  const TraceBuilder t = TraceBuilder().mkdir("d").create("d/b").append("d/b", "B").fsync("d/b").fsync("d");
  CHECK(images_of(t, "strict") == Images{"", "d/ d/b=B"});
  CHECK(images_of(TraceBuilder(t).fsync(""), "strict") == Images{"d/ d/b=B"});
  CHECK(images_of(t, "btrfs") == Images{"d/ d/b=B"});  // the name is the path
  CHECK(images_of(t, "ext4-ordered") == Images{"d/ d/b=B"});
}

TEST_CASE("a rename between directories is synced by halves under strict alone") {
  const TraceBuilder t = old_a().base_directory("d").rename("a", "d/a").fsync("");
  CHECK(images_of(t, "strict") == Images{"d/", "d/ d/a=old"});
  CHECK(images_of(t, "strict+atomic-rename") == Images{"d/ d/a=old"});
  CHECK(images_of(t, "xfs") == Images{"d/ d/a=old"});
}

TEST_CASE("appends to one file lose their order only where the profile says so") {
  const std::string page(4096, 'p');
  const TraceBuilder t =
      TraceBuilder().base_file("a", page).append("a", std::string(4096, 'x')).append("a", "y");
  const auto tails = [&](const std::string& profile) {
    Images found;
    for (const std::string& image : images_of(t, profile + "+tearing=none")) {
      found.insert(image.size() < 2 + 2 * 4096 ? "none" : image.substr(2 + 4096 + 4094));
    }
    return found;
  };
  CHECK(tails("ext4-ordered") == Images{"none", "xx", "xxy"});
  CHECK(tails("xfs") == Images{"none", "xx", "xxy", "00", "00y", "000", "xx0"});
  CHECK(tails("xfs+ordered-appends") == Images{"none", "xx", "xxy", "00", "xx0"});
}

TEST_CASE("a sync covers only what had returned before it began") {
  TraceBuilder t = old_a().write("a", 0, "NEW").fsync("a");
  CHECK(images_of(t, "strict") == Images{"a=NEW"});
  t.trace.records[0].end = 10;  // another thread's write, still going on when the fsync began
  t.trace.records[1].end = 12;
  CHECK(images_of(t, "strict") == Images{"a=old", "a=NEW"});
  CHECK(images_of(t, "prefix") == Images{"a=old", "a=NEW"});
}

TEST_CASE("a call in which its worker died is covered by the syncs of the next worker") {
  TraceBuilder t = old_a().write("a", 0, "NEW");
  t.last().end = UINT64_MAX;
  TraceBuilder same = t;
  same.fsync("a");
  CHECK(images_of(same, "strict") == Images{"a=old", "a=NEW"});
  TraceBuilder next = t;
  next.fsync("a").last().process = 1;
  CHECK(images_of(next, "strict") == Images{"a=NEW"});
}

TEST_CASE("a write that was cut short is there as far as it was carried out") {
  TraceBuilder t = old_a().write("a", 0, "NE");
  t.last().requested = 3;
  t.last().end = UINT64_MAX;
  CHECK(images_of(t, "strict") == Images{"a=old", "a=NEd"});
}

TEST_CASE("a sync in which its worker died is over when the next worker makes a call, and not before") {
  for (const bool through : {false, true}) {
    CAPTURE(through);
    TraceBuilder t = old_a().base_file("b", "-").write("a", 0, "NEW");
    if (!through) {
      t.fsync("a");
    }
    t.last().write_through = through;
    t.last().end = UINT64_MAX;
    const Images both = {"a=old b=-", "a=NEW b=-"};
    CHECK(images_of(t, "strict") == both);
    t.fsync("b");  // another thread's
    CHECK(images_of(t, "strict") == both);
    t.last().process = 1;
    CHECK(images_of(t, "strict") == Images{"a=NEW b=-"});
    CHECK(images_at(t, "strict", t.trace.records.size() - 1) == both);
  }
}

TEST_CASE("what a failed fsync should have written is lost to later ones, until it is written again") {
  TraceBuilder t = old_a().write("a", 0, "NEW").fsync("a");
  t.last().error = EIO;
  CHECK(images_of(t, "strict") == Images{"a=old", "a=NEW"});
  CHECK(images_of(TraceBuilder(t).fsync("a"), "strict") == Images{"a=old", "a=NEW"});
  CHECK(images_of(TraceBuilder(t).fsync("a"), "prefix") == Images{"a=old", "a=NEW"});
  const TraceBuilder again = TraceBuilder(t).write("a", 2, "X");
  CHECK(images_of(TraceBuilder(again).fsync("a"), "strict") == Images{"a=NEX"});
}

TEST_CASE("after a failed fsync a size may be durable without its data under every profile") {
  TraceBuilder t = old_a().append("a", "+").fsync("a");
  t.last().error = EIO;
  t.fsync("a");
  for (const std::string profile : {"ext4-ordered", "btrfs", "strict"}) {
    CHECK(images_of(t, profile) == Images{"a=old0", "a=old?", "a=old+"});
  }
}

TEST_CASE("a write-through call is durable with the size that it needs") {
  TraceBuilder t = old_a().append("a", "+1").append("a", "+2");
  t.last().write_through = true;
  CHECK(images_of(t, "strict") == Images{"a=old+1+2"});
  TraceBuilder far =
      TraceBuilder().base_file("a", std::string(4096, 'p')).write("a", 0, "q").append("a", "+");
  far.last().write_through = true;
  for (const std::string& image : images_of(far, "strict")) {
    CHECK(image.back() == '+');
  }
  CHECK(images_of(far, "strict").size() == 2);  // the first page is still pending
}

TEST_CASE("fdatasync loses the size of a grown file only under its flag") {
  const TraceBuilder t = old_a().append("a", "+").fdatasync("a");
  CHECK(images_of(t, "strict") == Images{"a=old+"});
  CHECK(images_of(t, "strict+fdatasync-drops-size") == Images{"a=old", "a=old+"});
  CHECK(images_of(TraceBuilder(t).fsync("a"), "strict+fdatasync-drops-size") == Images{"a=old+"});
}

TEST_CASE("sync_file_range makes nothing durable and sync everything") {
  TraceBuilder t = old_a().write("a", 0, "NEW").create("b").fsync("a");
  t.last().call = tap::StorageCall::range_sync;
  CHECK(images_of(t, "strict").size() == 4);
  CHECK(images_of(t.sync_all(), "strict") == Images{"a=NEW b="});
}

TEST_CASE("fallocate that keeps the size changes nothing that shows") {
  const TraceBuilder keep = old_a().allocate("a", FALLOC_FL_KEEP_SIZE, 0, 8192, 3);
  CHECK(images_of(keep, "strict") == Images{"a=old"});
  const TraceBuilder grow = old_a().allocate("a", 0, 0, 5, 5);
  CHECK(images_of(grow, "strict") == Images{"a=old", "a=old00"});
  const TraceBuilder punch = old_a().allocate("a", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 1, 3);
  CHECK(images_of(punch, "strict") == Images{"a=old", "a=o0d"});
  CHECK(images_of(TraceBuilder(punch).fsync("a"), "strict") == Images{"a=o0d"});
}

TEST_CASE("a call that failed changed nothing") {
  TraceBuilder t = old_a().unlink("a");
  t.last().error = EIO;
  CHECK(images_of(t, "strict") == Images{"a=old"});
}

TEST_CASE("a truncated and rewritten file never shows new bytes at its old size") {
  const TraceBuilder t = old_a().truncate("a", 0).append("a", "N");
  CHECK(images_of(t, "xfs") == Images{"a=old", "a=", "a=0", "a=N"});
  CHECK(images_of(t, "ext4-ordered") == Images{"a=old", "a=", "a=N"});
}

TEST_CASE("sectors of a torn page are old or new, each by itself") {
  const TraceBuilder t =
      TraceBuilder().base_file("a", std::string(1536, 'o')).write("a", 256, std::string(1024, 'n'));
  CHECK(images_of(t, "strict").size() == 8);  // three sectors are touched
  CHECK(images_of(t, "prefix").size() == 8);
  CHECK(images_of(t, "btrfs").size() == 2);
  CHECK(images_of(t, "xfs+overwrites=page-atomic").size() == 2);
  const std::string first = "a=" + std::string(256, 'o') + std::string(256, 'n') + std::string(1024, 'o');
  CHECK(images_of(t, "strict").contains(first));
  const TraceBuilder small = old_a().write("a", 0, "NEW");
  CHECK(images_of(small, "strict+tearing=byte") ==
        Images{"a=old", "a=Nld", "a=oEd", "a=olW", "a=NEd", "a=NlW", "a=oEW", "a=NEW"});
}

TEST_CASE("sectors of two writes to a page hold one of their versions each") {
  const TraceBuilder t = TraceBuilder()
                             .base_file("a", std::string(1024, 'o'))
                             .write("a", 0, std::string(1024, '1'))
                             .write("a", 0, std::string(1024, '2'));
  Images found;
  for (const std::string& image : images_of(t, "strict")) {
    found.insert({image[2], image[2 + 512]});
  }
  CHECK(found == Images{"oo", "o1", "1o", "11", "o2", "2o", "12", "21", "22"});
  found.clear();
  for (const std::string& image : images_of(t, "prefix")) {
    found.insert({image[2], image[2 + 512]});
  }
  CHECK(found == Images{"oo", "o1", "1o", "11", "12", "21", "22"});  // only the last op tears
  CHECK(images_of(t, "btrfs").size() == 3);
}
