#include "harness/campaign/scratch_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/error.h"
#include "harness/base/test.h"
#include "harness/campaign/work_directory.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
namespace fs = std::filesystem;

namespace {

std::uint64_t directories_in(const fs::path& path) {
  std::uint64_t count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
    count += entry.is_directory() ? 1 : 0;
  }
  return count;
}

// As a process that is killed leaves it.
void leave_one(const fs::path& parent) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const ScratchDirectory left(parent);
    ::_exit(fs::create_directory(left.path() / "data") ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(status == 0);
}

}  // namespace

TEST_CASE("what a killed process left is removed by the next, and nothing else") {
  const TempDir parent(fs::temp_directory_path(), "scratch-test-");
  leave_one(parent.path());
  const ScratchDirectory mine(parent.path(), "mine-");
  fs::create_directory(parent.path() / "chaosgate-without-an-owner");
  fs::create_directory(parent.path() / "other");
  CHECK(directories_in(parent.path()) == 4);
  CHECK(ScratchDirectory::remove_abandoned(parent.path()) == 1);
  CHECK(fs::exists(mine.path()));
  CHECK(directories_in(parent.path()) == 3);
}

TEST_CASE("a work directory that nobody named makes room first") {
  const TempDir parent(fs::temp_directory_path(), "scratch-test-");
  leave_one(parent.path());
  REQUIRE(::setenv("TMPDIR", parent.path().c_str(), 1) == 0);
  {
    const WorkDirectory work("", {"lmdb"}, nullptr, Storage::temporary);
    CHECK(work.path().parent_path() == parent.path());
    CHECK(directories_in(parent.path()) == 1);
  }
  REQUIRE(::unsetenv("TMPDIR") == 0);
  CHECK(directories_in(parent.path()) == 0);
}

TEST_CASE("an engine that says the disk is full, although nobody told it so, is the machine's failure") {
  const TempDir directory(fs::temp_directory_path(), "scratch-test-");
  CHECK_NOTHROW(check_room(directory.path(), "engine: corruption at byte 4"));
  CHECK_THROWS_AS(check_room(directory.path(), "IO error: No space left on device: While appending to file"),
                  EnvironmentError);
}

TEST_CASE("a work directory that somebody removed is gone, not full") {
  fs::path path;
  {
    const TempDir directory(fs::temp_directory_path(), "scratch-test-");
    path = directory.path();
  }
  CHECK_THROWS_WITH(check_room(path, ""), Catch::Matchers::Contains("is gone"));
}
