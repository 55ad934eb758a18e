#include "harness/disk/profile.h"

#include "harness/base/test.h"
#include "harness/disk/image_spec.h"

using namespace chaosgate;
using namespace chaosgate::disk;

TEST_CASE("a profile prints as its name and what differs, and parses back") {
  for (const std::string& name : profile_names()) {
    CHECK(to_string(named_profile(name)) == name);
  }
  for (const std::string text : {"xfs+fsync-commits-dir-ops", "strict+atomic-rename-bare-size-zero",
                                 "strict+tearing=byte", "ext4-ordered+overwrites=page-atomic+tearing=none",
                                 "ext4-writeback-ordered-dir-ops", "prefix+tearing=none"}) {
    Profile profile;
    REQUIRE(parse_profile(text, &profile).ok());
    CHECK(to_string(profile) == text);
    CHECK(profile != named_profile(profile.base));
  }
}

TEST_CASE("settings mean what they say") {
  Profile profile;
  REQUIRE(parse_profile("ext4-ordered-atomic-rename+overwrites=page-atomic-bare-size-hole", &profile).ok());
  CHECK_FALSE(profile.atomic_rename);
  CHECK(profile.overwrites == Overwrites::page_atomic);
  CHECK(profile.ordered_directories);
  CHECK(to_string(profile) == "ext4-ordered-atomic-rename+overwrites=page-atomic");
}

TEST_CASE("an unknown profile or setting is refused with the known ones") {
  Profile profile = named_profile("xfs");
  for (const std::string text : {"", "zfs", "xfsx", "ext4", "xfs+", "xfs+fast", "xfs-tearing=byte",
                                 "xfs+tearing=512x", "xfs+atomic-renames", "xfs atomic-rename"}) {
    const Status parsed = parse_profile(text, &profile);
    INFO(text);
    CHECK(parsed.code() == StatusCode::invalid_argument);
    CHECK(parsed.message().find("known: ") != std::string::npos);
    CHECK(parsed.message().find('\n') == std::string::npos);
  }
  CHECK(profile == named_profile("xfs"));
  CHECK(
      parse_profile("zfs", &profile).message() ==
      "unknown persistence profile \"zfs\"; known: prefix, btrfs, ext4-ordered, xfs, ext4-writeback, strict");
}

TEST_CASE("an image's description parses back") {
  const ImageSpec spec{.cut = 19,
                       .dropped = {3, 4, 5, 9},
                       .torn = {{.op = 12, .kept = {{0, 512}, {1024, 4096}}}, {.op = 13, .kept = {{0, 1}}}},
                       .fill = Fill::garbage};
  CHECK(to_string(spec) == "cut=19 dropped=3-5,9 torn=12:0-512,1024-4096;13:0-1 fill=garbage");
  for (const ImageSpec& each : {spec, ImageSpec{.cut = 0}, ImageSpec{.cut = 2, .dropped = {0, 2}}}) {
    ImageSpec parsed;
    REQUIRE(parse_spec(to_string(each), &parsed).ok());
    CHECK(parsed == each);
  }
}

TEST_CASE("what is not an image's description is refused") {
  ImageSpec spec{.cut = 7};
  for (const std::string text :
       {"", "cut=", "cut=1 dropped=", "cut=1 dropped=5-3", "cut=1 dropped=4,4", "cut=1 dropped=0-99999999999",
        "cut=1 dropped=0-4194304",  // 16 MiB for so few bytes is the most
        "cut=1 torn=1", "cut=1 torn=1:2", "cut=1 fill=zero", "cut=1 dropped=1 x", "cut=-1"}) {
    INFO(text);
    CHECK(parse_spec(text, &spec).code() == StatusCode::invalid_argument);
  }
  CHECK(spec == ImageSpec{.cut = 7});
}
