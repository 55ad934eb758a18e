// The tap on real processes: a child issues each kind of call, and what the trace says, what the files hold
// and how the child ended must agree.
#include "harness/tap/tap.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <map>
#include <set>
#include <thread>

#include "harness/base/beneath.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/tap/filter.h"
#include "harness/tap/listener.h"
#include "harness/tap/tapped_process_for_test.h"

using namespace chaosgate;
using namespace chaosgate::tap;

namespace fs = std::filesystem;

namespace {

// In the child: what does not hold ends it with the line as exit status.
#define MUST(condition)                \
  do {                                 \
    if (!(condition)) {                \
      std::perror("line " #condition); \
      return 1 + __LINE__ % 250;       \
    }                                  \
  } while (false)

TempDir make_directory() { return {fs::temp_directory_path(), "chaosgate-tap-test-"}; }

TapOptions options_for(const TempDir& directory) {
  TapOptions options;
  options.directory = directory.path();
  options.rules = {{"head", "*.dat", 8192}, {"data", "*.dat"}, {"log", "*.log"}};
  options.keep_payloads = true;
  return options;
}

void put(const fs::path& path, std::string_view bytes) { replace_file(path, bytes); }

std::string content(const fs::path& path) {
  std::string bytes;
  REQUIRE(read_file(path, &bytes).ok());
  return bytes;
}

std::vector<std::string> calls_of(const Trace& trace) {
  std::vector<std::string> calls;
  for (const TraceRecord& record : trace.records) {
    calls.push_back(std::string(to_string(record.call)) + " " + record.path);
  }
  return calls;
}

constexpr ssize_t kPage = kPageBytes;

std::string page_of(char c) { return std::string(kPageBytes, c); }

}  // namespace

TEST_CASE("the tap works on this machine") { CHECK(why_unavailable().empty()); }

// Runs in a child in which a system call is forbidden, as a container does it, and exits with what `body`
// gives.
template <typename Body>
int where_forbidden(int system_call, const Body& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(system_call), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog filter{4, program};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
      ::_exit(99);
    }
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

TEST_CASE("a worker that may not be looked into is never answered unseen: the run ends and names the call") {
  for (const auto& [number, name] :
       {std::pair{SYS_process_vm_readv, "process_vm_readv"}, std::pair{SYS_pidfd_getfd, "pidfd_getfd"},
        std::pair{SYS_pidfd_open, "pidfd_open"}}) {
    const TempDir directory = make_directory();
    CAPTURE(name);
    CHECK(where_forbidden(static_cast<int>(number), [&, number = number, name = name] {
            // At the start, on trial.
            const std::string why = RemoteProcess::why_unreadable(::getpid());
            if (why != std::string(name) + " of a worker: Operation not permitted") {
              return 1;
            }
            if (number == SYS_pidfd_open) {
              return 0;  // no worker is started without one
            }
            // And at any call.
            try {
              run_tapped(options_for(directory), {}, [] {
                const int fd = ::open("a.dat", O_CREAT | O_RDWR, 0600);
                return ::write(fd, "unseen", 6) == 6 ? 0 : 1;
              });
              return 2;
            } catch (const EnvironmentError& error) {
              const std::string text = error.what();
              return text.find("storage call ") == 0 && text.find(why) != std::string::npos ? 0 : 3;
            }
          }) == 0);
    CHECK((!fs::exists(directory.path() / "a.dat") || content(directory.path() / "a.dat").empty()));
  }
  CHECK(RemoteProcess::why_unreadable(::getpid()).empty());
}

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)  // where signals are kept away
namespace {

volatile std::sig_atomic_t alarms = 0;

void every_us(long us) {
  const itimerval often{{0, us}, {0, us}};
  ::setitimer(ITIMER_REAL, &often, nullptr);
}

}  // namespace

TEST_CASE("a signal whose handler does not restart calls interrupts what it interrupts without a tap") {
  const TempDir directory = make_directory();
  TapOptions options = options_for(directory);
  options.keep_payloads = false;
  const TappedRun run = run_tapped(std::move(options), {}, [] {
    struct sigaction action {};
    action.sa_handler = [](int) { alarms = alarms + 1; };
    MUST(::sigaction(SIGALRM, &action, nullptr) == 0);
    struct sigaction now {};
    MUST(::sigaction(SIGALRM, nullptr, &now) == 0);
    MUST(now.sa_handler == action.sa_handler && (now.sa_flags & (SA_RESTART | SA_SIGINFO)) == 0);

    // Somebody else keeps the driver busy, so that a call waits for it.
    std::atomic<bool> done{false};
    std::thread other([&done] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      const int fd = ::open("big.log", O_CREAT | O_RDWR, 0600);
      const std::string bytes(8 << 20, 'x');
      while (!done) {
        if (::pwrite(fd, bytes.data(), bytes.size(), 0) < 0) {
          break;
        }
      }
    });
    const int fd = ::open("a.dat", O_CREAT | O_RDWR, 0600);
    every_us(300);
    int interrupted = 0;
    for (int i = 0; i < 300; ++i) {
      interrupted += ::pwrite(fd, "one", 3, 0) != 3 || (i % 20 == 0 && ::fdatasync(fd) != 0) ? 1 : 0;
    }
    every_us(0);
    done = true;
    other.join();
    MUST(interrupted == 0);
    MUST(alarms > 10);

    int ends[2];
    MUST(::pipe(ends) == 0);
    char bytes[4096] = {};
    every_us(20'000);
    MUST(::read(ends[0], bytes, 1) == -1 && errno == EINTR);
    every_us(0);
    MUST(::fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (::write(ends[1], bytes, sizeof bytes) > 0) {
    }
    MUST(::fcntl(ends[1], F_SETFL, 0) == 0);
    every_us(20'000);
    MUST(::write(ends[1], bytes, sizeof bytes) == -1 && errno == EINTR);
    every_us(0);
    return 0;
  });
  CHECK(run.status() == 0);
}
#endif

TEST_CASE("every way of writing is seen with its place and its bytes") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const int fd = ::open("a.dat", O_CREAT | O_RDWR, 0600);
    MUST(fd >= 0);
    MUST(::write(fd, "one", 3) == 3);
    MUST(::pwrite(fd, "two", 3, 10) == 3);
    const iovec pieces[] = {{const_cast<char*>("th"), 2}, {const_cast<char*>("ree"), 3}};
    MUST(::writev(fd, pieces, 2) == 5);
    MUST(::pwritev(fd, pieces, 2, 20) == 5);
    MUST(::pwritev2(fd, pieces, 2, 30, RWF_DSYNC) == 5);
    MUST(::pwritev2(fd, pieces, 2, -1, 0) == 5);
    MUST(::lseek(fd, 0, SEEK_CUR) == 13);
    MUST(::pwritev2(fd, pieces, 1, 0, RWF_APPEND) == 2);
    const int append = ::open("a.dat", O_WRONLY | O_APPEND);
    MUST(append >= 0 && ::write(append, "end", 3) == 3);
    const int synced = ::open("a.dat", O_WRONLY | O_DSYNC);
    MUST(synced >= 0 && ::write(synced, "s", 1) == 1);
    MUST(::dup2(fd, 200) == 200 && ::pwrite(200, "dup", 3, 50) == 3);
    return 0;
  });
  REQUIRE(run.status() == 0);
  const auto writes = run.of(StorageCall::write);
  REQUIRE(writes.size() == 10);
  const auto is = [&](std::size_t i, std::uint64_t offset, std::string_view bytes, bool through) {
    INFO(i << " " << describe(*writes[i]));
    CHECK(writes[i]->offset == offset);
    CHECK(writes[i]->payload == bytes);
    CHECK(writes[i]->length == bytes.size());
    CHECK(writes[i]->write_through == through);
    CHECK(writes[i]->end > writes[i]->begin);
    CHECK(writes[i]->error == 0);
    CHECK(writes[i]->phase == "testing");
    CHECK(writes[i]->indexes == TraceIndexes{1, 2, 3, 4, 5});
  };
  is(0, 0, "one", false);
  is(1, 10, "two", false);
  is(2, 3, "three", false);
  is(3, 20, "three", false);
  is(4, 30, "three", true);
  is(5, 8, "three", false);
  is(6, 35, "th", false);
  is(7, 37, "end", false);
  is(8, 0, "s", true);
  is(9, 50, "dup", false);
  CHECK(writes[0]->system_call == "write");
  CHECK(writes[4]->system_call == "pwritev2");
  CHECK(writes[0]->file_class == "head");
  std::string expected(53, '\0');
  for (const TraceRecord* write : writes) {
    expected.replace(write->offset, write->length, write->payload);
  }
  CHECK(content(directory.path() / "a.dat") == expected);
}

TEST_CASE("openat2 resolves under the tap as it does without") {
  const TempDir directory = make_directory();
  std::filesystem::create_directory(directory.path() / "sub");
  std::filesystem::create_directory(directory.path() / "other");
  std::filesystem::create_directory_symlink("../other", directory.path() / "sub" / "away");
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const int sub = ::open("sub", O_PATH | O_DIRECTORY);
    struct open_how how {};
    how.flags = O_CREAT | O_EXCL | O_WRONLY;
    how.mode = 0600;
    how.resolve = RESOLVE_BENEATH;
    MUST(::syscall(SYS_openat2, sub, "../other/a.dat", &how, sizeof how) < 0 && errno == EXDEV);
    MUST(::syscall(SYS_openat2, sub, "away/b.dat", &how, sizeof how) < 0 && errno == EXDEV);
    MUST(::syscall(SYS_openat2, sub, "c.dat", &how, sizeof how) >= 0);
    return 0;
  });
  REQUIRE(run.status() == 0);
  CHECK(std::filesystem::is_empty(directory.path() / "other"));
  const std::vector<std::string> calls = calls_of(run.trace);
  CHECK(calls.back() == "create sub/c.dat");
}

TEST_CASE("where a sandbox forbids openat2, names are resolved as well, and lead nowhere else") {
  const TempDir directory = make_directory();
  const fs::path in = directory.path() / "in";
  fs::create_directories(in / "deep");
  fs::create_directory(directory.path() / "out");
  fs::create_directory_symlink(directory.path() / "out", in / "away");
  put(in / "file", "content");
  std::thread([&] {  // of its own: its filter ends with it
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
    const Beneath below(in);
    const std::string outside = (directory.path() / "out/evil").string();
    for (const std::string& name : {std::string("../out/evil"), std::string("away/evil"), std::string("away"),
                                    std::string("file/evil"), outside, "/" + outside, std::string()}) {
      CAPTURE(name);
      UniqueFd fd;
      CHECK(below.open(name, O_WRONLY | O_CREAT, &fd).code() == StatusCode::invalid_argument);
      CHECK_FALSE(fd);
      CHECK(below.write_new(name, "evil").code() == StatusCode::invalid_argument);
      CHECK(below.make_directory(name).code() == StatusCode::invalid_argument);
    }
    CHECK(below.make_parents("a/b/c").ok());
    CHECK(below.write_new("a/b/c", "bytes").ok());
    UniqueFd fd;
    CHECK(below.open("nosuch", O_RDONLY, &fd).is_not_found());
    CHECK(below.open("deep/../../out", O_RDONLY, &fd).code() == StatusCode::invalid_argument);
    CHECK(below.open("file", O_RDONLY, &fd).ok());
    CHECK(fd);
  })
      .join();
  CHECK(fs::is_empty(directory.path() / "out"));
  CHECK(content(in / "a/b/c") == "bytes");
}

TEST_CASE("a driver that is stopped while it hands over a file hands it over all the same") {
  const TempDir directory = make_directory();
  const pid_t driver = ::fork();
  REQUIRE(driver >= 0);
  if (driver == 0) {
    const TappedRun run = run_tapped(options_for(directory), {}, [] {
      for (int i = 0; i < 6000; ++i) {
        const int fd = ::open("a.dat", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
        MUST(fd > STDERR_FILENO);
        MUST(::pwrite(fd, "x", 1, 0) == 1);
        MUST(::close(fd) == 0);
      }
      return 0;
    });
    ::_exit(run.status() == 0 && run.of(StorageCall::write).size() == 6000 ? 0 : 1);
  }
  int status = 0;
  for (int stops = 0; ::waitpid(driver, &status, WNOHANG) == 0; ++stops) {
    ::kill(driver, SIGSTOP);
    std::this_thread::sleep_for(std::chrono::microseconds(stops % 400));
    ::kill(driver, SIGCONT);
    std::this_thread::sleep_for(std::chrono::microseconds(100 + stops % 300));
  }
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("every change of names and sizes is seen, and inodes stay what they are") {
  const TempDir directory = make_directory();
  put(directory.path() / "old.dat", "0123456789");
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    MUST(::mkdir("sub", 0700) == 0);
    const int dir = ::open("sub", O_RDONLY | O_DIRECTORY);
    MUST(dir >= 0);
    const int fd = ::openat(dir, "x.log", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
    MUST(fd >= 0 && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    struct open_how how {};
    how.flags = O_CREAT | O_WRONLY;
    how.mode = 0600;
    const long second = ::syscall(SYS_openat2, AT_FDCWD, "y.dat", &how, sizeof how);
    MUST(second >= 0);
    MUST(::creat("z.dat", 0600) >= 0);
    MUST(::link("y.dat", "sub/l.dat") == 0);
    MUST(::renameat(AT_FDCWD, "y.dat", dir, "r.dat") == 0);
    MUST(::syscall(SYS_renameat2, AT_FDCWD, "z.dat", AT_FDCWD, "w.dat", RENAME_NOREPLACE) == 0);
    MUST(::rename("sub/r.dat", "old.dat") == 0);
    MUST(::unlinkat(dir, "x.log", 0) == 0);
    MUST(::write(fd, "orphan", 6) == 6);
    MUST(::ftruncate(fd, 3) == 0);
    MUST(::truncate("old.dat", 4) == 0);
    MUST(::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10000) == 0);
    MUST(::fallocate(fd, 0, 0, 100) == 0);
    MUST(::open("w.dat", O_WRONLY | O_TRUNC) >= 0);  // empty: changes nothing
    MUST(::open("old.dat", O_WRONLY | O_TRUNC) >= 0);
    MUST(::fsync(fd) == 0 && ::fdatasync(fd) == 0 && ::fsync(dir) == 0);
    MUST(::sync_file_range(fd, 0, 3, SYNC_FILE_RANGE_WRITE) == 0);
    MUST(::syncfs(dir) == 0);
    MUST(::mkdir("gone", 0700) == 0 && ::rmdir("gone") == 0);
    MUST(::mkdir("sub", 0700) == -1 && errno == EEXIST);
    MUST(::unlink("nothing") == -1 && errno == ENOENT);
    return 0;
  });
  REQUIRE(run.status() == 0);
  CHECK(calls_of(run.trace) ==
        std::vector<std::string>{
            "mkdir sub",          "create sub/x.log",   "create y.dat",         "create z.dat",
            "link sub/l.dat",     "rename sub/r.dat",   "rename w.dat",         "rename old.dat",
            "unlink sub/x.log",   "write sub/x.log",    "truncate sub/x.log",   "truncate old.dat",
            "allocate sub/x.log", "allocate sub/x.log", "truncate old.dat",     "sync sub/x.log",
            "datasync sub/x.log", "sync sub",           "range-sync sub/x.log", "sync-all ",
            "mkdir gone",         "rmdir gone"});
  const auto& records = run.trace.records;
  CHECK(records[4].inode == records[2].inode);  // the link names the file that was made as y.dat
  CHECK(records[5].inode == records[2].inode);
  CHECK(records[7].replaced != 0);
  CHECK(records[9].inode == records[1].inode);  // after its name is gone
  CHECK(records[10].size_before == 6);
  CHECK(records[10].size_after == 3);
  CHECK(records[11].size_after == 4);
  CHECK(records[12].size_after == 3);  // KEEP_SIZE
  CHECK(records[13].size_after == 100);
  CHECK(records[14].size_after == 0);
  CHECK(records[17].is_directory);
  CHECK(records[17].file_class == "dir");
  struct stat info {};
  CHECK(::stat((directory.path() / "sub/l.dat").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("a truncating open of a file with content is a truncation") {
  const TempDir directory = make_directory();
  put(directory.path() / "old.dat", "0123456789");
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const int fd = ::open("old.dat", O_WRONLY | O_TRUNC);
    MUST(fd >= 0 && ::write(fd, "new", 3) == 3);
    MUST(::truncate("old.dat", 2) == 0);
    return 0;
  });
  REQUIRE(run.status() == 0);
  REQUIRE(run.trace.records.size() == 3);
  CHECK(run.trace.records[0].call == StorageCall::truncate);
  CHECK(run.trace.records[0].size_before == 10);
  CHECK(run.trace.records[0].size_after == 0);
  CHECK(run.trace.records[2].size_after == 2);
  CHECK(content(directory.path() / "old.dat") == "ne");
}

TEST_CASE("what is not in the data directory passes unseen") {
  const TempDir directory = make_directory();
  const TempDir other = make_directory();
  const std::string outside = (other.path() / "f").string();
  const TappedRun run = run_tapped(options_for(directory), {fault("kill-before@any.any#1")}, [&] {
    const int fd = ::open(outside.c_str(), O_CREAT | O_RDWR, 0600);
    MUST(fd >= 0 && ::write(fd, "x", 1) == 1 && ::fsync(fd) == 0);
    int pipes[2];
    MUST(::pipe(pipes) == 0 && ::write(pipes[1], "y", 1) == 1);
    MUST(::rename(outside.c_str(), (outside + "2").c_str()) == 0);
    return 0;
  });
  CHECK(run.status() == 0);
  CHECK(run.trace.records.empty());
  CHECK_FALSE(run.end.killed_by);
}

TEST_CASE("calls that the tap cannot follow are refused with the error that programs fall back on") {
  const TempDir directory = make_directory();
  put(directory.path() / "in.dat", "0123456789");
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const int in = ::open("in.dat", O_RDONLY);
    const int out = ::open("out.dat", O_CREAT | O_RDWR, 0600);
    MUST(in >= 0 && out >= 0);
    MUST(::copy_file_range(in, nullptr, out, nullptr, 5, 0) == -1 && errno == ENOSYS);
    MUST(::sendfile(out, in, nullptr, 5) == -1 && errno == EINVAL);
    int pipes[2];
    MUST(::pipe(pipes) == 0 && ::write(pipes[1], "y", 1) == 1);
    MUST(::splice(pipes[0], nullptr, out, nullptr, 1, 0) == -1 && errno == EINVAL);
    MUST(::symlink("in.dat", "link") == -1 && errno == EPERM);
    MUST(::mknod("node", S_IFREG | 0600, 0) == -1 && errno == EPERM);
    MUST(::open(".", O_TMPFILE | O_RDWR, 0600) == -1 && errno == EOPNOTSUPP);
    MUST(::syscall(SYS_renameat2, AT_FDCWD, "in.dat", AT_FDCWD, "out.dat", RENAME_EXCHANGE) == -1 &&
         errno == EINVAL);
    MUST(::syscall(SYS_io_uring_setup, 4, nullptr) == -1 && errno == ENOSYS);
    MUST(::syscall(SYS_io_setup, 4, nullptr) == -1 && errno == ENOSYS);
    return 0;
  });
  REQUIRE(run.status() == 0);
  CHECK(run.of(StorageCall::refused).size() == 7);
  CHECK(run.of(StorageCall::refused)[0]->system_call == "copy_file_range");
  CHECK(content(directory.path() / "out.dat").empty());
}

TEST_CASE("a kill lands before, after or inside exactly the ordered call") {
  const auto body = [] {
    const int fd = ::open("a.dat", O_CREAT | O_RDWR, 0600);
    MUST(fd >= 0);
    for (const char c : {'1', '2', '3'}) {
      MUST(::write(fd, page_of(c).data(), kPageBytes) == kPage);
      MUST(::fdatasync(fd) == 0);
    }
    const std::string large = page_of('4') + page_of('5') + page_of('6');
    MUST(::write(fd, large.data(), large.size()) == static_cast<ssize_t>(large.size()));
    return 0;
  };
  const auto file_after = [&](std::string_view order, bool killed = true) {
    const TempDir directory = make_directory();
    const TappedRun run = run_tapped(options_for(directory), {fault(order)}, body);
    INFO(order);
    CHECK(run.killed() == killed);
    CHECK(run.ordered_kills == (killed ? 1 : 0));
    CHECK(run.end.killed_by.has_value() == killed);
    return content(directory.path() / "a.dat");
  };
  CHECK(file_after("kill-before@any.write#2") == page_of('1'));
  CHECK(file_after("kill-after@any.write#2") == page_of('1') + page_of('2'));
  CHECK(file_after("kill-before@any.datasync#2") == page_of('1') + page_of('2'));
  CHECK(file_after("kill-before@any.any#4") == page_of('1'));
  CHECK(file_after("kill-inside~1p@any.write#1") ==
        page_of('1') + page_of('2') + page_of('3') + page_of('4'));
  CHECK(file_after("kill-inside~3p@any.write#1", false).size() == 6 * kPageBytes);  // no write is that long
  CHECK(file_after("kill-before@data.write#1") == page_of('1') + page_of('2'));     // class by offset
  CHECK(file_after("kill-before@any.write#9", false).size() == 6 * kPageBytes);
}

TEST_CASE("a name that was to change when the kill came has not changed, or has") {
  for (const auto& [order, renamed] :
       {std::pair{"kill-before@any.rename#1", false}, std::pair{"kill-after@any.rename#1", true}}) {
    const TempDir directory = make_directory();
    put(directory.path() / "a.dat", "x");
    const TappedRun run =
        run_tapped(options_for(directory), {fault(order)}, [] { return ::rename("a.dat", "b.dat"); });
    CHECK(run.killed());
    CHECK(fs::exists(directory.path() / "b.dat") == renamed);
    CHECK(fs::exists(directory.path() / "a.dat") != renamed);
    CHECK(run.trace.records.size() == (renamed ? 1 : 0));
  }
}

TEST_CASE("ordered errors are what the worker sees, and nothing is carried out") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory),
                                   {fault("error~EIO@any.write#2x2"), fault("short~500@any.write#4"),
                                    fault("error~EINTR@any.allocate#1"), fault("error~ENOSPC@any.mkdir#1x*")},
                                   [] {
                                     const int fd = ::open("a.dat", O_CREAT | O_RDWR, 0600);
                                     MUST(::write(fd, "aaaa", 4) == 4);
                                     MUST(::write(fd, "bbbb", 4) == -1 && errno == EIO);
                                     MUST(::write(fd, "bbbb", 4) == -1 && errno == EIO);
                                     MUST(::write(fd, "cccc", 4) == 2);
                                     MUST(::write(fd, "dd", 2) == 2);
                                     MUST(::fallocate(fd, 0, 0, 8) == -1 && errno == EINTR);
                                     MUST(::fsync(fd) == 0);
                                     MUST(::mkdir("m", 0700) == -1 && errno == ENOSPC);
                                     MUST(::mkdir("m", 0700) == -1 && errno == ENOSPC);
                                     return 0;
                                   });
  REQUIRE(run.status() == 0);
  CHECK(content(directory.path() / "a.dat") == "aaaaccdd");
  CHECK(run.end.faulted.size() == 6);
  for (const std::size_t at : run.end.faulted) {
    CHECK(run.trace.records.at(at).injected);
  }
}

TEST_CASE("a disk that is full has room again later") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory), {fault("full~9000x1")}, [] {
    const int fd = ::open("a.dat", O_CREAT | O_RDWR, 0600);
    MUST(::write(fd, page_of('a').data(), 6000 - kPageBytes) == 6000 - kPage);
    MUST(::write(fd, (page_of('b') + page_of('b')).data(), 2 * kPageBytes) == 8192 - (6000 - kPageBytes));
    MUST(::write(fd, "c", 1) == -1 && errno == ENOSPC);
    MUST(::write(fd, "d", 1) == 1);
    return 0;
  });
  CHECK(run.status() == 0);
  CHECK(content(directory.path() / "a.dat").size() == 8193);
}

TEST_CASE("after a lost sync a later one succeeds and the pages are gone, but for those written again") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(
      options_for(directory), {fault("lost-sync@any.datasync#2"), fault("kill-before@any.mkdir#1")}, [] {
        const int fd = ::open("a.dat", O_CREAT | O_WRONLY, 0600);
        MUST(::pwrite(fd, (page_of('1') + page_of('2')).data(), 2 * kPageBytes, 0) == 2 * kPage);
        MUST(::fdatasync(fd) == 0);
        MUST(::pwrite(fd, (page_of('3') + page_of('4')).data(), 2 * kPageBytes, 0) == 2 * kPage);
        MUST(::pwrite(fd, page_of('5').data(), kPageBytes, 2 * kPageBytes) == kPage);
        MUST(::fdatasync(fd) == -1 && errno == EIO);
        MUST(::pwrite(fd, "x", 1, kPageBytes) == 1);  // this page is dirty again
        MUST(::fdatasync(fd) == 0);
        ::mkdir("die", 0700);
        return 0;
      });
  CHECK(run.killed());
  std::string again = page_of('4');
  again[0] = 'x';
  CHECK(content(directory.path() / "a.dat") == page_of('1') + again + std::string(kPageBytes, '\0'));
}

TEST_CASE("what was written through is on the disk, whatever sync fails later") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory),
                                   {fault("lost-sync@any.datasync#1"), fault("kill-before@any.mkdir#1")}, [] {
                                     const int through = ::open("a.dat", O_CREAT | O_WRONLY | O_DSYNC, 0600);
                                     const int fd = ::open("a.dat", O_WRONLY);
                                     MUST(::pwrite(through, page_of('1').data(), kPageBytes, 0) == kPage);
                                     MUST(::pwrite(fd, page_of('2').data(), kPageBytes, kPageBytes) == kPage);
                                     MUST(::fdatasync(fd) == -1 && errno == EIO);
                                     ::mkdir("die", 0700);
                                     return 0;
                                   });
  CHECK(run.killed());
  CHECK(content(directory.path() / "a.dat") == page_of('1') + std::string(kPageBytes, '\0'));
}

TEST_CASE("a data file that is mapped writable ends the worker with a reason; a volatile one may be") {
  const auto mapped = [](const std::vector<std::string>& volatile_files, int protection) {
    const TempDir directory = make_directory();
    put(directory.path() / "m.dat", page_of('m'));
    TapOptions options = options_for(directory);
    options.volatile_files = volatile_files;
    return run_tapped(options, {}, [protection] {
      const int fd = ::open("m.dat", O_RDWR);
      void* memory = ::mmap(nullptr, kPageBytes, protection, MAP_SHARED, fd, 0);
      MUST(memory != MAP_FAILED);
      MUST(protection != PROT_READ || ::mprotect(memory, kPageBytes, PROT_READ | PROT_WRITE) == 0);
      return 0;
    });
  };
  const TappedRun refused = mapped({}, PROT_READ | PROT_WRITE);
  CHECK(refused.killed());
  CHECK(refused.ordered_kills == 0);
  CHECK(refused.end.refusal.find("m.dat is mapped writable") == 0);
  CHECK(mapped({}, PROT_READ).end.refusal.find("m.dat is mapped writable") == 0);
  CHECK(mapped({"m.*"}, PROT_READ | PROT_WRITE).status() == 0);
  CHECK(mapped({"m.*"}, PROT_READ).end.refusal.empty());
}

TEST_CASE("a private mapping, and a shared one to read, are nobody's business") {
  const TempDir directory = make_directory();
  put(directory.path() / "m.dat", page_of('m'));
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const int fd = ::open("m.dat", O_RDWR);
    MUST(::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
    MUST(::mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
    void* other = ::mmap(nullptr, kPageBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(other != MAP_FAILED && ::mprotect(other, kPageBytes, PROT_READ | PROT_WRITE) == 0);
    return 0;
  });
  CHECK(run.status() == 0);
  CHECK(run.end.refusal.empty());
}

TEST_CASE("threads and children of the worker are seen, each under its own number") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const auto work = [](const std::string& name) {
      const int fd = ::open(name.c_str(), O_CREAT | O_WRONLY, 0600);
      for (int i = 0; i < 50; ++i) {
        if (::pwrite(fd, &i, sizeof i, i * 4) != sizeof i || ::fdatasync(fd) != 0) {
          std::abort();
        }
      }
    };
    std::vector<std::thread> threads;
    for (const char* name : {"a.dat", "b.dat", "c.dat"}) {
      threads.emplace_back(work, name);
    }
    const pid_t child = ::fork();
    if (child == 0) {
      work("d.dat");
      ::_exit(0);
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    int status = -1;
    MUST(::waitpid(child, &status, 0) == child && status == 0);
    return 0;
  });
  REQUIRE(run.status() == 0);
  CHECK(run.trace.records.size() == 4 * 101);
  std::map<std::string, std::set<std::uint32_t>> threads;
  std::set<std::uint32_t> processes;
  for (const TraceRecord& record : run.trace.records) {
    threads[record.path].insert(record.thread);
    processes.insert(record.process);
  }
  for (const auto& [path, numbers] : threads) {
    CHECK(numbers.size() == 1);
  }
  CHECK(processes.size() == 2);
  for (const char* name : {"a.dat", "b.dat", "c.dat", "d.dat"}) {
    CHECK(content(directory.path() / name).size() == 200);
  }
}

TEST_CASE(
    "a worker that is killed from outside in the middle of its calls leaves a trace that fits the files") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const int fd = ::open("a.log", O_CREAT | O_WRONLY, 0600);
    std::thread([] {
      ::usleep(3000);
      ::kill(::getpid(), SIGKILL);
    }).detach();
    for (;;) {
      MUST(::write(fd, "0123456789", 10) == 10);
    }
  });
  CHECK(run.killed());
  CHECK_FALSE(run.end.killed_by);
  std::string expected;
  for (const TraceRecord* write : run.of(StorageCall::write)) {
    expected += write->payload;
  }
  CHECK(content(directory.path() / "a.log") == expected);
}

TEST_CASE("a child that outlives the worker is ended with it") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    const int fd = ::open("a.log", O_CREAT | O_WRONLY, 0600);
    if (::fork() == 0) {
      for (;;) {
        if (::write(fd, "x", 1) != 1) {
          ::_exit(0);
        }
      }
    }
    ::usleep(2000);
    return 0;
  });
  CHECK(run.status() == 0);
  const std::size_t size = content(directory.path() / "a.log").size();
  ::usleep(5000);
  CHECK(content(directory.path() / "a.log").size() == size);
}

TEST_CASE("an inode that the file system uses again gets a new number") {
  const TempDir directory = make_directory();
  const TappedRun run = run_tapped(options_for(directory), {}, [] {
    for (int i = 0; i < 20; ++i) {
      const int fd = ::open("a.dat", O_CREAT | O_WRONLY, 0600);
      MUST(fd >= 0 && ::close(fd) == 0 && ::unlink("a.dat") == 0);
    }
    return 0;
  });
  REQUIRE(run.status() == 0);
  std::set<InodeId> numbers;
  for (const TraceRecord* record : run.of(StorageCall::create)) {
    numbers.insert(record->inode);
  }
  CHECK(numbers.size() == 20);
}

TEST_CASE("syncs that are not carried out are recorded all the same") {
  const TempDir directory = make_directory();
  TapOptions options = options_for(directory);
  options.sync_disk = false;
  const TappedRun run = run_tapped(options, {}, [] {
    const int fd = ::open("a.dat", O_CREAT | O_WRONLY, 0600);
    MUST(::fsync(fd) == 0 && ::fdatasync(fd) == 0);
    return 0;
  });
  CHECK(run.status() == 0);
  CHECK(run.of(StorageCall::sync).size() == 1);
  CHECK(run.of(StorageCall::datasync).size() == 1);
}
