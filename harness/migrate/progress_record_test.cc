#include "harness/migrate/progress_record.h"

#include <fstream>

#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::migrate;
using Catch::Matchers::Contains;

namespace fs = std::filesystem;

namespace {

TempDir make_directory() { return {fs::temp_directory_path(), "chaosgate-record-test-"}; }

void write_text(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

ProgressRecord sample() {
  ProgressRecord record;
  record.state = ProgressState::moving;
  record.source_engine = "rocksdb";
  record.target_engine = "lmdb";
  KeyspaceSurvey full;
  full.name = "config";
  full.totals.add("a", "1");
  full.totals.add("b", std::string(300, '\0'));
  full.bytes = 303;
  full.first = "a";
  full.last = "b";
  KeyspaceSurvey empty;
  empty.name = "leases";
  record.source.keyspaces = {full, empty};
  record.source.has_applied_index = true;
  record.source.applied_index = UINT64_MAX;
  record.durable = {{1, "a"}, {}};
  return record;
}

}  // namespace

TEST_CASE("a progress record comes back as it was written, and replaces the one before") {
  const TempDir directory = make_directory();
  ProgressRecord found;
  CHECK(read_record(directory.path(), &found).is_not_found());
  ProgressRecord record = sample();
  for (const ProgressState state :
       {ProgressState::begun, ProgressState::moving, ProgressState::verified, ProgressState::failed}) {
    record.state = state;
    REQUIRE(write_record(directory.path(), record).ok());
    REQUIRE(read_record(directory.path(), &found).ok());
    CHECK(found == record);
  }
  CHECK(found.durable_keys() == 1);
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("a damaged progress record is corruption, wherever a byte of it differs and wherever it is cut") {
  const TempDir directory = make_directory();
  const std::string good = encode_record(sample());
  ProgressRecord found;
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_text(directory.path() / kProgressFile, damaged);
    const Status read = read_record(directory.path(), &found);
    CHECK(read.code() == StatusCode::corruption);
    CHECK_THAT(read.message(), Contains("damaged") && Contains(std::string(kProgressFile)));
    write_text(directory.path() / kProgressFile, good.substr(0, at));
    CHECK(read_record(directory.path(), &found).code() == StatusCode::corruption);
  }
  write_text(directory.path() / kProgressFile, good + "x");
  CHECK(read_record(directory.path(), &found).code() == StatusCode::corruption);
}

TEST_CASE("a progress record with a valid checksum and impossible content is damaged") {
  const TempDir directory = make_directory();
  ProgressRecord record = sample();
  record.durable[0].keys = 3;  // the source has two
  ProgressRecord found;
  REQUIRE(write_record(directory.path(), record).ok());
  CHECK(read_record(directory.path(), &found).code() == StatusCode::corruption);
  record = sample();
  record.durable.pop_back();
  REQUIRE(write_record(directory.path(), record).ok());
  CHECK(read_record(directory.path(), &found).code() == StatusCode::corruption);
  record = sample();
  record.state = static_cast<ProgressState>(9);
  REQUIRE(write_record(directory.path(), record).ok());
  CHECK(read_record(directory.path(), &found).code() == StatusCode::corruption);
}

TEST_CASE("a progress record of a newer version is refused with both versions, not called damaged") {
  const TempDir directory = make_directory();
  std::string newer(kProgressMagic);
  put_u32(&newer, kProgressVersion + 4);
  newer += "things that this version does not know";
  put_u64(&newer, hash64(newer));
  write_text(directory.path() / kProgressFile, newer);
  ProgressRecord found;
  const Status read = read_record(directory.path(), &found);
  CHECK(read.code() == StatusCode::invalid_argument);
  CHECK_THAT(read.message(), Contains("format version 5") && Contains("up to 1"));
}

TEST_CASE("surveys that differ in anything are told apart, and the difference names it") {
  const Survey survey = sample().source;
  CHECK(difference(survey, survey).empty());
  Survey other = survey;
  other.keyspaces[0].totals.count = 7;
  CHECK(difference(survey, other) == "keyspace config has 7 keys instead of 2");
  other = survey;
  ++other.keyspaces[0].totals.hash;
  CHECK_THAT(difference(survey, other), Contains("keyspace config has other keys or values"));
  other = survey;
  other.keyspaces[0].last = "c";
  CHECK_FALSE(difference(survey, other).empty());
  other = survey;
  other.applied_index = 3;
  CHECK(difference(survey, other) == "the applied index is 3 instead of 18446744073709551615");
  other.has_applied_index = false;
  CHECK_THAT(difference(survey, other), Contains("is none"));
  other = survey;
  other.keyspaces[1].name = "lease";
  CHECK_FALSE(difference(survey, other).empty());
  other.keyspaces.pop_back();
  CHECK_FALSE(difference(survey, other).empty());
}
