#include "harness/campaign/worker_parent.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/drive.h"
#include "harness/wire/message.h"
#include "workloads/generator.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
using report::Outcome;
using wire::Phase;

namespace {

// The only child process of `parent`, as the kernel lists it; 0 when there is none.
pid_t child_of(pid_t parent) {
  std::ifstream file("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
  pid_t child = 0;
  file >> child;
  return child;
}

class ParentRig {
 public:
  ParentRig() : parent(CHAOSGATE_WORKER, {}, directory_.path() / "output", nullptr) {
    order_.directory = (directory_.path() / "data").string();
    std::filesystem::create_directory(order_.directory);
    order_.engine = "lmdb";
    order_.workload = "mixed";
    order_.seed = 5;
    order_.segment_bytes = 24 << 10;
    order_.term = 1;
    order_.create = true;
    crash_.appended = generator_.preload_entries();
    oracle_.begin_term(order_.term);
    RecoveryJudge judge(oracle_, order_, crash_);
    REQUIRE(drive_recovery(parent, judge, RecoveryEnd::ready, 0, 60'000).outcome == Outcome::killed);
    order_.create = false;
    order_.load = true;
  }

  // Starts a worker and brings it to the point where it waits to load.
  Driven recover(const std::string& load_crash = {}, bool follow = false) {
    order_.load_crash = load_crash;
    order_.follow = follow;
    ++order_.term;
    oracle_.begin_term(order_.term);
    crash_.appended = std::max(crash_.appended, parent.recorder().appended.load());
    crash_.synced = std::max(crash_.synced, parent.recorder().synced.load());
    RecoveryJudge judge(oracle_, order_, crash_);
    const Driven driven = drive_recovery(parent, judge, RecoveryEnd::ready, 0, 60'000);
    CHECK(judge.violations().empty());
    return driven;
  }

  // As if the worker had said so itself, late.
  void send_notice() const {
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, worker(), 0)));
    const UniqueFd notices(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), wire::kNoticeFd, 0)));
    const std::uint64_t one = 1;
    REQUIRE(::write(notices.get(), &one, sizeof one) == sizeof one);
  }

  std::string output() const {
    std::string printed;
    REQUIRE(read_file(directory_.path() / "output", &printed).ok());
    return printed;
  }

  // Never 0, which kill(2) would take for this whole process group.
  pid_t worker() const {
    const pid_t pid = child_of(child_of(::getpid()));
    REQUIRE(pid > 1);
    return pid;
  }

 private:
  TempDir directory_{std::filesystem::temp_directory_path(), "chaosgate-worker-test-"};
  workloads::Generator generator_{"mixed", 5};
  oracle::Oracle oracle_{generator_};
  oracle::CrashIndexes crash_;
  wire::WorkerOrder order_;

 public:
  WorkerParent parent;
};

}  // namespace

TEST_CASE("the greeting names the engines and the planted faults", "[threads]") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-worker-test-");
  const WorkerParent parent(CHAOSGATE_WORKER, {}, directory.path() / "output", nullptr);
  std::vector<std::string> engines;
  for (const wire::EngineDescription& engine : parent.hello().engines) {
    engines.push_back(engine.name);
  }
  CHECK(engines == std::vector<std::string>{"rocksdb", "rocksdb-wal", "lmdb", "lmdb-nosync"});
  CHECK(parent.hello().faults.size() >= 12);
}

TEST_CASE("a program that does not greet is an error, and leaves no process", "[threads]") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-worker-test-");
  CHECK_THROWS_AS(WorkerParent("/bin/true", {}, directory.path() / "output", nullptr), EnvironmentError);
  CHECK_THROWS_AS(WorkerParent("/nonexistent", {}, directory.path() / "output", nullptr), EnvironmentError);
  CHECK(child_of(::getpid()) == 0);
}

TEST_CASE("a worker that dies at its step is killed as ordered", "[threads]") {
  ParentRig rig;
  REQUIRE(rig.recover("after-log-sync#3").ready);
  const Driven driven = drive_load(rig.parent, std::nullopt, 60'000);
  CHECK(driven.outcome == Outcome::killed);
  CHECK(rig.parent.recorder().step == static_cast<std::uint32_t>(Step::after_log_sync));
  CHECK(rig.parent.recorder().step_count.at(static_cast<std::size_t>(Step::after_log_sync)) == 3);
}

TEST_CASE("a timer kills a worker wherever it is, even before it has heard the word to load", "[threads]") {
  ParentRig rig;
  for (const std::uint32_t timer_us : {0U, 0U, 2000U}) {
    REQUIRE(rig.recover().ready);
    CHECK(rig.parent.recorder().phase == Phase::ready);
    CHECK(drive_load(rig.parent, timer_us, 60'000).outcome == Outcome::killed);
  }
}

TEST_CASE("a crash point that is never reached is missed, not a kill", "[threads]") {
  ParentRig rig;
  REQUIRE(rig.recover("during-compaction#1000+0us").ready);
  CHECK(drive_load(rig.parent, std::nullopt, 60'000).outcome == Outcome::missed);
}

TEST_CASE("any other death is reported as what it is, never as a kill", "[threads]") {
  ParentRig rig;
  for (const int signal : {SIGABRT, SIGSEGV, SIGKILL}) {
    INFO("signal " << signal);
    REQUIRE(rig.recover("during-compaction#1000+0us").ready);
    REQUIRE(::kill(rig.worker(), signal) == 0);  // a stranger's, before the word to load
    const Driven driven = drive_load(rig.parent, std::nullopt, 60'000);
    CHECK(driven.outcome == (signal == SIGKILL ? Outcome::outside : Outcome::died));
    CHECK(driven.detail.find("killed by signal " + std::to_string(signal)) != std::string::npos);
    CHECK((driven.detail.find("OOM killer") != std::string::npos) == (signal == SIGKILL));
  }
}

TEST_CASE("a worker that dies by a fault of its own leaves its stack in what it printed", "[threads]") {
  ParentRig rig;
  REQUIRE(rig.recover("during-compaction#1000+0us").ready);
  REQUIRE(::kill(rig.worker(), SIGABRT) == 0);
  CHECK(drive_load(rig.parent, std::nullopt, 60'000).outcome == Outcome::died);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const std::string printed = rig.output();
  CHECK(printed.find("ABRT, the stack is:") != std::string::npos);
  CHECK(printed.find("chaosgate-worker(") != std::string::npos);
#endif
}

TEST_CASE("a core file does not have the gigabytes of the observation buffer", "[threads]") {
  ParentRig rig;
  REQUIRE(rig.recover().ready);
  // VmFlags of each mapping; "dd": not dumped.
  std::ifstream maps("/proc/" + std::to_string(rig.worker()) + "/smaps");
  int found = 0;
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    here = line.find("chaosgate-observations") != std::string::npos ||
           (here && line.find("memfd:") == std::string::npos);
    if (here && line.starts_with("VmFlags:")) {
      ++found;
      here = false;
      CHECK(line.find(" dd") != std::string::npos);
    }
  }
  CHECK(found == 1);
}

TEST_CASE("a worker parent that somebody has stopped is named, and nothing hangs", "[threads]") {
  ParentRig rig;
  REQUIRE(rig.recover().ready);
  const pid_t parent = child_of(::getpid());
  REQUIRE(::kill(parent, SIGSTOP) == 0);
  CHECK_THROWS_WITH(drive_load(rig.parent, 0U, 60'000),
                    Catch::Matchers::Contains("was stopped by somebody (SIGSTOP)"));
}

TEST_CASE("a late notice of the recovery is not taken for an answer of a worker that follows", "[threads]") {
  ParentRig rig;
  REQUIRE(rig.recover({}, true).ready);
  rig.parent.go({});
  rig.send_notice();
  wire::Message question;
  question.kind = wire::MessageKind::observe;
  rig.parent.network().send(wire::encode(question));
  REQUIRE(drive_answer(rig.parent, std::nullopt, 60'000).ready);
  CHECK(rig.parent.network().receive(0));
  rig.send_notice();  // and nobody asks
  CHECK(drive_answer(rig.parent, std::nullopt, 200).outcome == Outcome::hung);
}

TEST_CASE("a worker without progress hangs, and is ended", "[threads]") {
  ParentRig rig;
  REQUIRE(rig.recover("during-compaction#1000+0us").ready);
  REQUIRE(::kill(rig.worker(), SIGSTOP) == 0);
  const Driven driven = drive_load(rig.parent, std::nullopt, 200);
  CHECK(driven.outcome == Outcome::outside);  // found stopped: it is not the engine that hangs
  CHECK(driven.detail.find("SIGSTOP") != std::string::npos);
  CHECK_FALSE(rig.parent.running());
}

TEST_CASE("a parent that goes takes its worker with it", "[threads]") {
  pid_t parent = 0;
  pid_t worker = 0;
  {
    ParentRig rig;
    REQUIRE(rig.recover().ready);
    parent = child_of(::getpid());
    worker = rig.worker();
    REQUIRE(worker > 0);
  }
  CHECK(::kill(worker, 0) != 0);
  CHECK(::kill(parent, 0) != 0);
  CHECK(child_of(::getpid()) == 0);
}
