#include "engines/faulty/faulty_engine.h"

#include <set>

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
