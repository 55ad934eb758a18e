// What comes from outside: names below a directory and text for a terminal.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "harness/base/beneath.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/printable.h"
#include "harness/base/test.h"

namespace chaosgate {
namespace {

namespace fs = std::filesystem;

// A directory "in" with a file, a link that leads out and a pipe; beside it "out", which must stay empty.
struct Place {
  Place() : directory(fs::temp_directory_path(), "chaosgate-beneath-test-") {
    fs::create_directories(directory.path() / "in" / "deep");
    fs::create_directory(directory.path() / "out");
    replace_file(directory.path() / "in" / "file", "content");
    fs::create_symlink(directory.path() / "out", directory.path() / "in" / "away");
    fs::create_symlink("deep", directory.path() / "in" / "inside");
    REQUIRE(::mkfifo((directory.path() / "in" / "pipe").c_str(), 0600) == 0);
  }

  TempDir directory;
};

// Runs it where openat2 is refused, as in some containers: in a thread of its own, whose filter ends with it.
void without_openat2(const std::function<void()>& judge) {
  std::thread([&] {
    sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(instructions), instructions};
    REQUIRE(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    REQUIRE(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    REQUIRE(::syscall(SYS_openat2, AT_FDCWD, ".", nullptr, 0) < 0);
    REQUIRE(errno == ENOSYS);
    judge();
  }).join();
}

}  // namespace

TEST_CASE("a name from an input never leads out of its directory, with openat2 and without") {
  const auto judge = [] {
    const Place place;
    const Beneath in(place.directory.path() / "in");
    const std::string outside = (place.directory.path() / "out" / "evil").string();
    for (const std::string& name :
         {std::string("../out/evil"), std::string("deep/../../out/evil"), outside, "/" + outside,
          std::string("away/evil"), std::string("inside/evil"), std::string(), std::string("a\0b", 3),
          std::string("file/evil"), std::string(300, 'x'), std::string(5000, 'x')}) {
      CAPTURE(name);
      UniqueFd fd;
      CHECK(in.open(name, O_WRONLY | O_CREAT | O_EXCL, &fd).code() == StatusCode::invalid_argument);
      CHECK_FALSE(fd);
      CHECK(in.write_new(name, "evil").code() == StatusCode::invalid_argument);
      CHECK(in.make_directory(name).code() == StatusCode::invalid_argument);
      bool linked = false;
      CHECK(Beneath::link(in, "file", in, name, &linked).code() == StatusCode::invalid_argument);
      CHECK_FALSE(linked);
    }
    CHECK(in.make_parents("away/more/evil").code() == StatusCode::invalid_argument);
    CHECK(in.make_parents("../out/more/evil").code() == StatusCode::invalid_argument);
    CHECK(fs::is_empty(place.directory.path() / "out"));
    CHECK(fs::is_empty(place.directory.path() / "in" / "deep"));
  };
  judge();
  without_openat2(judge);
}

TEST_CASE("below a directory files are made, opened and linked, with openat2 and without") {
  const auto judge = [] {
    const Place place;
    const Beneath in(place.directory.path() / "in");
    throw_if_refused(in.make_parents("a/b/c"));
    throw_if_refused(in.write_new("a/b/c", "bytes"));
    std::string bytes;
    REQUIRE(read_file(place.directory.path() / "in" / "a" / "b" / "c", &bytes).ok());
    CHECK(bytes == "bytes");
    CHECK(in.write_new("a/b/c", "again").code() == StatusCode::invalid_argument);
    bool linked = false;
    throw_if_refused(Beneath::link(in, "a/b/c", in, "deep/c", &linked));
    CHECK(linked);
    CHECK(fs::hard_link_count(place.directory.path() / "in" / "deep" / "c") == 2);
    UniqueFd fd;
    CHECK(in.open("nosuch", O_RDONLY, &fd).is_not_found());
    CHECK_THROWS_AS(throw_if_refused(in.open("nosuch", O_RDONLY, &fd)), UsageError);
    CHECK_THROWS_AS(Beneath(place.directory.path() / "nosuch"), EnvironmentError);
  };
  judge();
  without_openat2(judge);
}

TEST_CASE("a pipe or a device that is named for output is written to, not replaced") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-output-test-");
  const fs::path path = directory.path() / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const UniqueFd reader(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  replace_file(path, "bytes");
  CHECK(fs::is_fifo(path));
  std::string bytes(5, '\0');
  CHECK(::read(reader.get(), bytes.data(), bytes.size()) == 5);
  CHECK(bytes == "bytes");
  CHECK(std::distance(fs::directory_iterator(directory.path()), fs::directory_iterator()) == 1);
}

TEST_CASE("text from outside cannot command a terminal") {
  CHECK(printable_line("plain text, \xc3\xa4 \xe2\x82\xac") == "plain text, \xc3\xa4 \xe2\x82\xac");
  CHECK(printable_line("\x1b[31mred\nchaosgate: all is well\r") ==
        "\\x1b[31mred chaosgate: all is well\\x0d");
  CHECK(printable("\xe2\x80\xae") == "\\xe2\\x80\\xae");  // turns the direction of writing
  CHECK(printable("\xe2\x81\xa7") == "\\xe2\\x81\\xa7");  // so does this
  CHECK(printable("\xe2\x80\xa8") == "\\xe2\\x80\\xa8");  // ends a line, too
  CHECK(printable("\xe2\x81\xaa") == "\xe2\x81\xaa");
  CHECK(printable("two\n\tlines\x07") == "two\n\tlines\\x07");
}

}  // namespace chaosgate
