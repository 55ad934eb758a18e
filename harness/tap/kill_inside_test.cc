// What the page on faults says of this machine, measured on it: what a SIGKILL leaves of a write, and what a
// signal or a limit does to calls on files. On tmpfs and on the file system of this program.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/page.h"
#include "harness/base/rng.h"
#include "harness/base/test.h"
#include "harness/base/unique_fd.h"

using namespace chaosgate;

namespace fs = std::filesystem;

namespace {

struct Shape {
  std::size_t bytes = 0;
  off_t offset = 0;
};

// Where the content changes from one write to another, in a file that was written over and over, each time
// with one byte of its own.
struct Tears {
  int between_pages = 0;
  int inside_a_page = 0;
};

Tears tears_of(std::string_view content, std::uint64_t offset) {
  Tears tears;
  for (std::size_t at = 1; at < content.size(); ++at) {
    if (content[at] != content[at - 1]) {
      ++((offset + at) % kPageBytes == 0 ? tears.between_pages : tears.inside_a_page);
    }
  }
  return tears;
}

// Writes for ever; says through `told` when the first write is done.
[[noreturn]] void write_for_ever(const fs::path& file, const Shape& shape, int told) {
  const int fd = ::open(file.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  std::string bytes(shape.bytes, 'a');
  for (char letter = 'a';; letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)) {
    std::fill(bytes.begin(), bytes.end(), letter);
    if (::pwrite(fd, bytes.data(), bytes.size(), shape.offset) != static_cast<ssize_t>(bytes.size()) ||
        (told >= 0 && ::write(told, "x", 1) != 1)) {
      ::_exit(1);
    }
    told = -1;
  }
}

// What one SIGKILL, `delay_us` after the first write, leaves.
Tears kill_once(const fs::path& file, const Shape& shape, std::uint64_t delay_us) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd hear(ends[0]);
  UniqueFd tell(ends[1]);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    write_for_ever(file, shape, tell.get());
  }
  tell.reset();
  char byte = 0;
  const bool began = ::read(hear.get(), &byte, 1) == 1;
  const timespec delay{0, static_cast<long>(delay_us) * 1000};
  ::nanosleep(&delay, nullptr);
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE((began && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  std::string content;
  REQUIRE(read_file(file, &content).ok());
  content.erase(0, static_cast<std::size_t>(shape.offset));
  REQUIRE(content.size() == shape.bytes);
  return tears_of(content, static_cast<std::uint64_t>(shape.offset));
}

std::vector<fs::path> file_systems() {
  return {"/dev/shm", fs::read_symlink("/proc/self/exe").parent_path()};
}

// Runs in a child, where limits and signals are its own; what it returns is its exit status.
template <typename Body>
int in_child(const Body& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

}  // namespace

TEST_CASE("the eye that looks for tears sees one inside a page, and one between pages") {
  const std::string page(kPageBytes, 'a');
  CHECK(tears_of(page + page, 0).inside_a_page == 0);
  CHECK(tears_of(std::string(512, 'b') + page, 0).inside_a_page == 1);
  CHECK(tears_of(std::string(512, 'b') + page, kPageBytes - 512).inside_a_page == 0);
  CHECK(tears_of(std::string(512, 'b') + page, kPageBytes - 512).between_pages == 1);
}

TEST_CASE("a SIGKILL tears no page of a write on this machine") {
  constexpr int kKills = 30;  // of each shape, on each file system
  Rng rng(7);
  for (const fs::path& place : file_systems()) {
    const TempDir directory(place, "chaosgate-kill-inside-");
    Tears all;
    int torn = 0;
    for (const Shape& shape : {Shape{4096, 0}, Shape{4096, 1000}, Shape{16 << 10, 0}, Shape{64 << 10, 1234},
                               Shape{256 << 10, 100}}) {
      for (int i = 0; i < kKills; ++i) {
        const Tears tears = kill_once(directory.path() / "file", shape, rng.below(300));
        all.inside_a_page += tears.inside_a_page;
        all.between_pages += tears.between_pages;
        // Of one write in flight there is one border between what it wrote and what it did not.
        CHECK(tears.between_pages <= 1);
        torn += tears.between_pages;
      }
    }
    CAPTURE(place, torn);
    CHECK(all.inside_a_page == 0);
  }
}

TEST_CASE("a signal whose handler does not restart calls interrupts no write, sync or rename of a file") {
  for (const fs::path& place : file_systems()) {
    const TempDir directory(place, "chaosgate-kill-inside-");
    const int status = in_child([&] {
      struct sigaction action {};
      action.sa_handler = [](int) {};
      ::sigaction(SIGALRM, &action, nullptr);
      const itimerval often{{0, 20}, {0, 20}};
      ::setitimer(ITIMER_REAL, &often, nullptr);
      const std::string a = directory.path() / "a";
      const std::string b = directory.path() / "b";
      const std::string bytes(256 << 10, 'x');
      for (int i = 0; i < 100; ++i) {
        const int fd = ::open(a.c_str(), O_CREAT | O_WRONLY, 0600);
        const bool whole =
            fd >= 0 && ::pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()) &&
            (i % 10 != 0 || ::fdatasync(fd) == 0) && ::ftruncate(fd, 100) == 0 &&
            ::rename(a.c_str(), b.c_str()) == 0;
        if (!whole) {
          return errno == 0 ? 1 : errno;
        }
        ::close(fd);
      }
      return 0;
    });
    CAPTURE(place);
    CHECK(status == 0);
  }
}

TEST_CASE("a limit of a file's size cuts a write at any byte, and the next one goes on when it is lifted") {
  for (const fs::path& place : file_systems()) {
    const TempDir directory(place, "chaosgate-kill-inside-");
    const int status = in_child([&] {
      ::signal(SIGXFSZ, SIG_IGN);
      const std::string name = directory.path() / "a";
      const int fd = ::open(name.c_str(), O_CREAT | O_WRONLY, 0600);
      const std::string bytes(3000, 'x');
      const rlimit limit{777, RLIM_INFINITY};
      const rlimit lifted{RLIM_INFINITY, RLIM_INFINITY};
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0 || ::write(fd, bytes.data(), bytes.size()) != 777) {
        return 1;
      }
      if (::write(fd, bytes.data(), bytes.size()) != -1 || errno != EFBIG) {
        return 2;
      }
      return ::setrlimit(RLIMIT_FSIZE, &lifted) == 0 && ::write(fd, bytes.data(), bytes.size()) == 3000 ? 0
                                                                                                        : 3;
    });
    CAPTURE(place);
    CHECK(status == 0);
  }
}
