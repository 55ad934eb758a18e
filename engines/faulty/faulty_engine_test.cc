#include "engines/faulty/faulty_engine.h"

#include <sys/resource.h>

#include <csignal>
#include <set>

#include "engines/faulty/table_store.h"
#include "engines/registry.h"
#include "engines/testing.h"
#include "harness/base/coding.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::engines;

namespace {

constexpr std::string_view kWitness = "applied-index";

Status open_faulty(std::string_view fault, const std::filesystem::path& directory, bool create,
                   std::unique_ptr<Engine>* engine) {
  return open_faulty_engine(fault, *find_engine_config("lmdb"), directory, test_options(), kThird, kWitness,
                            create, engine);
}

WriteBatch batch_of(std::uint64_t index, std::string_view value) {
  WriteBatch batch;
  batch.put(kFirst, "key", value);
  std::string witness;
  put_u64(&witness, index);
  batch.put(kThird, kWitness, witness);
  return batch;
}

}  // namespace

TEST_CASE("planted faults have names of their own, and each opens and takes a batch") {
  std::set<std::string_view> names;
  for (const EngineFaultInfo& info : engine_faults()) {
    INFO(info.name);
    CHECK(names.insert(info.name).second);
    CHECK(find_engine_fault(info.name)->mechanism == info.mechanism);
    CHECK_FALSE(info.mechanism.empty());
    const TempDir directory = test_directory();
    std::unique_ptr<Engine> engine;
    REQUIRE(open_faulty(info.name, directory.path() / "e", true, &engine).ok());
    CHECK(engine->write(batch_of(1, "value")).ok());
  }
  CHECK(names.size() > 20);
  CHECK(find_engine_fault("none-such") == nullptr);
  std::unique_ptr<Engine> engine;
  const TempDir directory = test_directory();
  CHECK(open_faulty("none-such", directory.path() / "e", true, &engine).code() ==
        StatusCode::invalid_argument);
}

TEST_CASE("torn-page redoes a whole batch, and believes one whose second page is old") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  std::unique_ptr<Engine> engine;
  REQUIRE(open_faulty("torn-page", path, true, &engine).ok());
  REQUIRE(engine->write(batch_of(1, "old")).ok());
  engine.reset();
  std::string redo;
  REQUIRE(read_file(path / "REDO", &redo).ok());
  std::string two;
  put_u64(&two, 2);
  redo.replace(0, two.size(), two);  // the first page of the next batch reached the file, the second did not
  replace_file(path / "REDO", redo);
  REQUIRE(open_faulty("torn-page", path, false, &engine).ok());
  std::string value;
  REQUIRE(engine->get(kThird, kWitness, &value).ok());
  CHECK(load_fixed<std::uint64_t>(value.data()) == 2);
  REQUIRE(engine->get(kFirst, "key", &value).ok());
  CHECK(value == "old");
}

TEST_CASE("manifest-sync-failed does not open when the table that its last edit names is gone") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  std::unique_ptr<Engine> engine;
  REQUIRE(open_faulty("manifest-sync-failed", path, true, &engine).ok());
  for (std::uint64_t index = 1; index <= 8; ++index) {
    REQUIRE(engine->write(batch_of(index, "value")).ok());
  }
  engine.reset();
  REQUIRE(open_faulty("manifest-sync-failed", path, false, &engine).ok());
  engine.reset();
  CHECK(std::filesystem::remove(path / "TABLE-2"));
  CHECK(open_faulty("manifest-sync-failed", path, false, &engine).code() == StatusCode::corruption);
}

namespace {

Status open_store(const std::filesystem::path& directory, bool create, const TableStoreMistakes& mistakes,
                  std::unique_ptr<Engine>* engine) {
  engine->reset();
  return TableStore::open(directory, 3, create, mistakes, engine);
}

// "1" where the key of this number is there, "0" where it is not.
std::string present(Engine& engine, std::uint64_t keys) {
  std::string all;
  std::string value;
  for (std::uint64_t i = 1; i <= keys; ++i) {
    all += engine.get(kFirst, big_endian_key(i), &value).ok() ? '1' : '0';
  }
  return all;
}

Status put(Engine& engine, std::uint64_t key, std::size_t value_bytes = 10) {
  WriteBatch batch;
  batch.put(kFirst, big_endian_key(key), std::string(value_bytes, 'v'));
  return engine.write(batch);
}

}  // namespace

TEST_CASE("the store that planted faults are in is correct without them: replay ends at a torn record") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  for (const bool skips : {false, true}) {
    std::filesystem::remove_all(path);
    std::unique_ptr<Engine> engine;
    REQUIRE(open_store(path, true, {}, &engine).ok());
    for (std::uint64_t key = 1; key <= 4; ++key) {
      REQUIRE(put(*engine, key).ok());
      if (key == 1) {
        REQUIRE(engine->flush().ok());
      }
    }
    REQUIRE(open_store(path, false, {}, &engine).ok());
    CHECK(present(*engine, 4) == "1111");
    std::string log;
    REQUIRE(read_file(path / "000002.log", &log).ok());
    log[log.size() / 3 + 20] ^= 1;  // in the second record of three
    replace_file(path / "000002.log", log);
    REQUIRE(open_store(path, false, {.skips_torn_record = skips}, &engine).ok());
    CHECK(present(*engine, 4) == (skips ? "1101" : "1100"));
  }
}

TEST_CASE("torn-length-trusted goes on where a torn record ends, torn-record-filled at the second opening") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  std::unique_ptr<Engine> engine;
  REQUIRE(open_store(path, true, {}, &engine).ok());
  for (std::uint64_t key = 1; key <= 4; ++key) {
    REQUIRE(put(*engine, key).ok());
  }
  std::string log;
  REQUIRE(read_file(path / "000001.log", &log).ok());
  const std::size_t second = log.size() / 4 + 20;  // of four records
  log[second] ^= 1;
  for (const bool fills : {false, true}) {
    replace_file(path / "000001.log", log);
    const TableStoreMistakes mistakes{.trusts_torn_length = !fills, .fills_torn_record = fills};
    REQUIRE(open_store(path, false, mistakes, &engine).ok());
    CHECK(present(*engine, 4) == (fills ? "1000" : "1011"));
    REQUIRE(open_store(path, false, mistakes, &engine).ok());
    CHECK(present(*engine, 4) == "1011");
  }
  log[second] ^= 1;
  log.resize(log.size() - 5);  // of the last one not even the length fits
  replace_file(path / "000001.log", log);
  REQUIRE(open_store(path, false, {.fills_torn_record = true}, &engine).ok());
  CHECK(present(*engine, 4) == "1110");
  REQUIRE(open_store(path, false, {.fills_torn_record = true}, &engine).ok());
  CHECK(present(*engine, 4) == "1110");
}

TEST_CASE("border-record-dropped passes over a record whose header lies on a border of pages, and no other") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  constexpr std::size_t kCost = 16 + 10 + 8;  // of a record, a mutation, a key
  for (const std::size_t end : {4080U, 4081U, 4095U, 4096U}) {
    CAPTURE(end);
    std::filesystem::remove_all(path);
    std::unique_ptr<Engine> engine;
    REQUIRE(open_store(path, true, {}, &engine).ok());
    REQUIRE(put(*engine, 1, end - kCost).ok());
    REQUIRE(put(*engine, 2).ok());
    REQUIRE(put(*engine, 3).ok());
    REQUIRE(open_store(path, false, {.drops_border_record = true}, &engine).ok());
    CHECK(present(*engine, 3) == (end > 4080 && end < 4096 ? "101" : "111"));
  }
}

TEST_CASE("failed-flush-acked reports success for a table that was not written, a correct store does not") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  for (const bool acks : {false, true}) {
    std::filesystem::remove_all(path);
    std::unique_ptr<Engine> engine;
    REQUIRE(open_store(path, true, {.acks_failed_flush = acks}, &engine).ok());
    REQUIRE(put(*engine, 1, 100'000).ok());
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{50'000, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(engine->flush().ok() == acks);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    ::signal(SIGXFSZ, ignored);
    CHECK(engine->flush().ok());
  }
}

TEST_CASE("page-record-dropped passes over a record of 4,096 bytes, and no other") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  constexpr std::size_t kCost = 16 + 10 + 8;  // of a record, a mutation, a key
  std::unique_ptr<Engine> engine;
  REQUIRE(open_store(path, true, {}, &engine).ok());
  REQUIRE(put(*engine, 1, 4095 - kCost).ok());
  REQUIRE(put(*engine, 2, 4096 - kCost).ok());
  REQUIRE(put(*engine, 3, 4097 - kCost).ok());
  REQUIRE(open_store(path, false, {.drops_page_record = true}, &engine).ok());
  CHECK(present(*engine, 3) == "101");
}

TEST_CASE("short-table-accepted opens a table that was cut off, a correct store does not") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  std::unique_ptr<Engine> engine;
  REQUIRE(open_store(path, true, {}, &engine).ok());
  REQUIRE(put(*engine, 1).ok());
  REQUIRE(put(*engine, 2).ok());
  REQUIRE(engine->flush().ok());
  std::filesystem::resize_file(path / "000002.sst", std::filesystem::file_size(path / "000002.sst") - 1);
  CHECK(open_store(path, false, {}, &engine).code() == StatusCode::corruption);
  REQUIRE(open_store(path, false, {.accepts_short_table = true}, &engine).ok());
  CHECK(present(*engine, 2) == "10");
}

TEST_CASE("files-leaked keeps a table that nothing refers to, a correct store removes it") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  std::unique_ptr<Engine> engine;
  REQUIRE(open_store(path, true, {}, &engine).ok());
  replace_file(path / "000007.sst", "of a flush that did not end");
  REQUIRE(open_store(path, false, {.leaves_files = true}, &engine).ok());
  CHECK(std::filesystem::exists(path / "000007.sst"));
  REQUIRE(engine->flush().ok());
  CHECK(std::filesystem::exists(path / "000001.sst"));  // obsolete now
  REQUIRE(engine->flush().ok());
  CHECK_FALSE(std::filesystem::exists(path / "000008.sst"));  // of this process
  REQUIRE(open_store(path, false, {}, &engine).ok());
  CHECK_FALSE(std::filesystem::exists(path / "000007.sst"));
  CHECK_FALSE(std::filesystem::exists(path / "000001.sst"));
}

TEST_CASE("check-loses-commit takes the last batch back at a check, and the next write brings it back") {
  const TempDir directory = test_directory();
  const std::filesystem::path path = directory.path() / "e";
  std::unique_ptr<Engine> engine;
  REQUIRE(open_faulty("check-loses-commit", path, true, &engine).ok());
  REQUIRE(put(*engine, 1).ok());
  REQUIRE(put(*engine, 2).ok());
  REQUIRE(engine->check_integrity().ok());
  CHECK(present(*engine, 3) == "100");
  REQUIRE(put(*engine, 3).ok());
  CHECK(present(*engine, 3) == "111");
}
