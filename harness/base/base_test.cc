#include <fcntl.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <thread>

#include "harness/base/coding.h"
#include "harness/base/crash_point.h"
#include "harness/base/file.h"
#include "harness/base/rng.h"
#include "harness/base/step.h"
#include "harness/base/test.h"
#include "harness/base/usage.h"

using namespace chaosgate;

TEST_CASE("a seed gives the same numbers in every build") {
  Rng rng(42);
  CHECK(rng.next() == 1546998764402558742ULL);
  CHECK(rng.next() == 6990951692964543102ULL);
}

TEST_CASE("a fork depends on the seed and the name, not on earlier draws") {
  Rng fresh(7);
  Rng used(7);
  used.next();
  CHECK(fresh.fork("crash").next() == used.fork("crash").next());
  CHECK(fresh.fork("crash").next() != fresh.fork("workload").next());
  CHECK(fresh.fork(1).fork(2).next() != fresh.fork(2).fork(1).next());
}

TEST_CASE("distributions stay in their bounds and reach them") {
  Rng rng(3);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 2000; ++i) {
    seen.insert(rng.between(5, 9));
    const std::uint64_t large = rng.log_between(1, 1000);
    REQUIRE((large >= 1 && large <= 1000));
    REQUIRE(rng.weighted({0, 1, 0}) == 1);
  }
  CHECK(seen == std::set<std::uint64_t>{5, 6, 7, 8, 9});
  CHECK(rng.chance(1, 1));
  CHECK_FALSE(rng.chance(0, 1));
}

TEST_CASE("a reader never reads past its end and changes nothing when it fails") {
  std::string bytes;
  put_bytes(&bytes, "abc");
  put_u32(&bytes, 100);  // a length without its bytes
  Reader reader(bytes);
  std::string_view view;
  REQUIRE(reader.bytes(&view));
  CHECK(view == "abc");
  CHECK_FALSE(reader.bytes(&view));
  CHECK(reader.rest().size() == 4);
}

TEST_CASE("big-endian keys sort like their numbers") {
  CHECK(big_endian_key(255) < big_endian_key(256));
  CHECK(big_endian_key(1) < big_endian_key(UINT64_MAX));
}

TEST_CASE("every step has a name that parses back") {
  for (const Step step : all_steps()) {
    CHECK(parse_step(to_string(step)) == step);
  }
  CHECK_FALSE(parse_step("during-lunch"));
}

TEST_CASE("a crash point prints and parses back") {
  for (const char* text : {"before-log-sync#3", "inside-log-append#2~417", "during-flush#1+250us"}) {
    const auto point = parse_crash_point(text);
    REQUIRE(point);
    CHECK(to_string(*point) == text);
  }
  for (const char* text :
       {"before-log-sync", "before-log-sync#0", "before-log-sync#1x", "inside-log-append#1",
        "inside-log-append#1~1000", "during-flush#1", "during-lunch#1"}) {
    INFO(text);
    CHECK_FALSE(parse_crash_point(text));
  }
}

TEST_CASE("a range of a file is read exactly or not at all") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-base-test-");
  replace_file(directory.path() / "file", "0123456789");
  const UniqueFd file(::open((directory.path() / "file").c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes(4, '\0');
  REQUIRE(read_exactly(file.get(), 6, bytes.data(), 4, "digits").ok());
  CHECK(bytes == "6789");
  CHECK(read_exactly(file.get(), 7, bytes.data(), 4, "digits").to_string() ==
        "corruption: digits: expected 11 bytes, found 10");
  CHECK(read_exactly(-1, 0, bytes.data(), 1, "digits").code() == StatusCode::io_error);
}

TEST_CASE("a temporary directory goes with everything in it") {
  std::filesystem::path path;
  {
    const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-base-test-");
    path = directory.path();
    replace_file(path / "file", "content");
    std::string bytes;
    REQUIRE(read_file(path / "file", &bytes).ok());
    CHECK(bytes == "content");
    CHECK(read_file(path / "none", &bytes).is_not_found());
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("written bytes are counted for the process and for one thread of it") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-base-test-");
  const WrittenMeter process(WrittenMeter::Of::process);
  const WrittenMeter thread(WrittenMeter::Of::this_thread);
  const std::uint64_t process_before = process.read();
  const std::uint64_t thread_before = thread.read();
  const auto write = [&](const char* name, std::size_t size) {
    std::ofstream(directory.path() / name) << std::string(size, 'x');
  };
  write("a", 100'000);
  std::thread([&] { write("b", 50'000); }).join();
  const std::uint64_t of_thread = thread.read() - thread_before;
  const std::uint64_t of_process = process.read() - process_before;
  // Sanitizers look at memory by writing a few bytes of it into a pipe, and those count, too.
  constexpr std::uint64_t kSanitizers = 8192;
  CHECK(of_thread >= 100'000);
  CHECK(of_thread < 100'000 + kSanitizers);
  CHECK(of_process >= 150'000);
  CHECK(of_process < 150'000 + 2 * kSanitizers);
}

TEST_CASE("memory and processor time of this process are more than nothing and only the latter never falls") {
  CHECK(resident_kib() > 100);
  const std::uint64_t before = cpu_us();
  std::uint64_t sum = 0;
  while (cpu_us() < before + 1000) {
    ++sum;
  }
  CHECK(sum > 0);
}
