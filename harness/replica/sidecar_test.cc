#include "harness/replica/sidecar.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "harness/base/file.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;

namespace {

TempDir test_directory() { return {std::filesystem::temp_directory_path(), "chaosgate-sidecar-"}; }

// Kills this process at a point.
class KillAt final : public StepSink {
 public:
  explicit KillAt(Step step) : step_(step) {}

  void at(Step step) override {
    if (step == step_) {
      die();
    }
  }
  void begin(Step) override {}
  void end(Step) override {}
  std::size_t bytes_before_crash(Step, std::uint64_t, std::size_t size) override { return size; }
  [[noreturn]] void die() override {
    ::kill(::getpid(), SIGKILL);
    ::_exit(1);
  }

 private:
  Step step_;
};

// Persists `index` in a child that dies at `step`.
void persist_and_die(const Sidecar& sidecar, std::uint64_t index, Step step) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    KillAt steps(step);
    ::_exit(sidecar.persist(index, steps).ok() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
}

std::uint64_t read_index(const Sidecar& sidecar) {
  std::uint64_t index = UINT64_MAX;
  REQUIRE(sidecar.read(&index).ok());
  return index;
}

}  // namespace

TEST_CASE("a sidecar gives back the index that was persisted last") {
  const TempDir directory = test_directory();
  const Sidecar sidecar(directory.path() / "durable-index");
  for (const std::uint64_t index : {std::uint64_t{1}, std::uint64_t{70'000}, UINT64_MAX, std::uint64_t{0}}) {
    REQUIRE(sidecar.persist(index, no_steps()).ok());
    CHECK(read_index(sidecar) == index);
  }
  std::string bytes;
  REQUIRE(read_file(directory.path() / "durable-index", &bytes).ok());
  CHECK(bytes.size() == 24);
}

TEST_CASE("an absent sidecar is index 0") {
  const TempDir directory = test_directory();
  CHECK(read_index(Sidecar(directory.path() / "durable-index")) == 0);
}

TEST_CASE("a sidecar in a directory that is gone is an error") {
  const TempDir directory = test_directory();
  CHECK_FALSE(Sidecar(directory.path() / "gone" / "durable-index").persist(1, no_steps()).ok());
}

TEST_CASE("every flipped byte of a sidecar is corruption") {
  const TempDir directory = test_directory();
  const auto path = directory.path() / "durable-index";
  const Sidecar sidecar(path);
  REQUIRE(sidecar.persist(0x1122334455667788, no_steps()).ok());
  std::string good;
  REQUIRE(read_file(path, &good).ok());
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (const unsigned char mask : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ mask);
      replace_file(path, bad);
      std::uint64_t index = 0;
      INFO("byte " << at << " mask " << int{mask});
      CHECK(sidecar.read(&index).code() == StatusCode::corruption);
    }
  }
}

TEST_CASE("a sidecar of any other length is corruption and names its file") {
  const TempDir directory = test_directory();
  const auto path = directory.path() / "durable-index";
  const Sidecar sidecar(path);
  REQUIRE(sidecar.persist(42, no_steps()).ok());
  std::string good;
  REQUIRE(read_file(path, &good).ok());
  for (std::size_t size = 0; size <= good.size() + 1; ++size) {
    if (size == good.size()) {
      continue;
    }
    replace_file(path, (good + "x").substr(0, size));
    std::uint64_t index = 5;
    const Status status = sidecar.read(&index);
    INFO("length " << size);
    CHECK(status.code() == StatusCode::corruption);
    CHECK(index == 5);
    CHECK(status.message().find("durable-index") != std::string::npos);
  }
}

TEST_CASE("a crash between temporary file and rename leaves the old index") {
  const TempDir directory = test_directory();
  const Sidecar sidecar(directory.path() / "durable-index");
  persist_and_die(sidecar, 7, Step::before_sidecar_rename);
  CHECK(read_index(sidecar) == 0);
  REQUIRE(sidecar.persist(10, no_steps()).ok());
  persist_and_die(sidecar, 20, Step::before_sidecar_rename);
  CHECK(read_index(sidecar) == 10);
  // What the dead one left is in nobody's way.
  REQUIRE(sidecar.persist(30, no_steps()).ok());
  CHECK(read_index(sidecar) == 30);
}

TEST_CASE("a crash after the rename leaves the new index") {
  const TempDir directory = test_directory();
  const Sidecar sidecar(directory.path() / "durable-index");
  REQUIRE(sidecar.persist(10, no_steps()).ok());
  persist_and_die(sidecar, 20, Step::after_sidecar_rename);
  CHECK(read_index(sidecar) == 20);
}
