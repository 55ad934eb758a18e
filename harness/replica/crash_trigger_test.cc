// CrashTrigger ends processes, so each test runs it in a child and looks at how that died and at what it
// wrote into memory that survives it.
#include "harness/replica/crash_trigger.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <new>
#include <optional>
#include <string>

#include "harness/base/error.h"
#include "harness/base/page.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;

namespace {

// Shared with the child.
struct Page {
  wire::FlightRecorder recorder;
  std::atomic<std::uint64_t> progress;  // the child's own count of what it got past
  std::atomic<std::uint64_t> value;
};

class SharedPage {
 public:
  SharedPage() {
    void* memory = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw_errno("mmap");
    }
    page_ = new (memory) Page();
    page_->recorder.reset();
  }
  ~SharedPage() { ::munmap(page_, sizeof(Page)); }
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;
  Page* operator->() { return page_; }
  Page& operator*() { return *page_; }

 private:
  Page* page_;
};

// Runs `body` in a child with this trigger; true when SIGKILL ended it, false when it came through.
bool dies(SharedPage& page, std::optional<CrashPoint> recovery, std::optional<CrashPoint> load,
          const std::function<void(CrashTrigger&, Page&)>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(60);  // a trigger that never fires where it must would hang the test
    CrashTrigger trigger(page->recorder, recovery, load);
    body(trigger, *page);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WIFSIGNALED(status)) {
    REQUIRE(WTERMSIG(status) == SIGKILL);
    CHECK(page->recorder.crash_ordered == 1);
    return true;
  }
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
  CHECK(page->recorder.crash_ordered == 0);
  return false;
}

std::uint64_t count_of(SharedPage& page, Step step) {
  return page->recorder.step_count[static_cast<std::size_t>(step)];
}

}  // namespace

TEST_CASE("a point kills at exactly its step and occurrence") {
  for (const std::uint64_t occurrence : {1, 2, 7}) {
    SharedPage page;
    CHECK(dies(page, std::nullopt, CrashPoint{Step::after_apply, occurrence},
               [](CrashTrigger& trigger, Page& shared) {
                 trigger.enter_load();
                 for (int i = 0; i < 20; ++i) {
                   trigger.at(Step::before_apply);
                   trigger.at(Step::after_apply);
                   ++shared.progress;
                 }
               }));
    CHECK(page->progress == occurrence - 1);
    CHECK(page->recorder.step == static_cast<std::uint32_t>(Step::after_apply));
    CHECK(count_of(page, Step::after_apply) == occurrence);
    CHECK(count_of(page, Step::before_apply) == occurrence);
  }
}

TEST_CASE("a point that is never reached kills nobody") {
  SharedPage page;
  CHECK_FALSE(dies(page, CrashPoint{Step::after_replay, 1}, CrashPoint{Step::after_apply, 21},
                   [](CrashTrigger& trigger, Page&) {
                     trigger.enter_load();
                     for (int i = 0; i < 20; ++i) {
                       trigger.at(Step::after_apply);
                       trigger.begin(Step::inside_apply);
                       trigger.end(Step::inside_apply);
                     }
                   }));
  CHECK(count_of(page, Step::after_apply) == 20);
  CHECK(count_of(page, Step::inside_apply) == 20);
}

TEST_CASE("without an order every step passes and is counted") {
  SharedPage page;
  CHECK_FALSE(dies(page, std::nullopt, std::nullopt, [](CrashTrigger& trigger, Page& shared) {
    trigger.enter_load();
    for (const Step step : all_steps()) {
      if (is_span(step)) {
        trigger.begin(step);
        trigger.end(step);
      } else {
        trigger.at(step);
      }
    }
    shared.value = trigger.bytes_before_crash(Step::inside_log_append, 0, 1000);
  }));
  for (const Step step : all_steps()) {
    INFO(to_string(step));
    CHECK(count_of(page, step) == (step == Step::inside_log_append ? 2 : 1));
  }
  CHECK(page->value == 1000);
}

TEST_CASE("a span without a delay kills at its begin") {
  SharedPage page;
  CHECK(dies(page, std::nullopt, CrashPoint{Step::during_flush, 2}, [](CrashTrigger& trigger, Page& shared) {
    trigger.enter_load();
    for (int i = 0; i < 5; ++i) {
      trigger.begin(Step::during_flush);
      ++shared.progress;
      trigger.end(Step::during_flush);
    }
  }));
  CHECK(page->progress == 1);
}

TEST_CASE("a span kill lands inside a call that does not return") {
  SharedPage page;
  CHECK(dies(page, std::nullopt, CrashPoint{Step::during_flush, 1, 0, 500},
             [](CrashTrigger& trigger, Page& shared) {
               trigger.enter_load();
               trigger.begin(Step::during_flush);
               for (;;) {
                 ++shared.progress;
               }
             }));
  CHECK(page->progress > 0);
}

TEST_CASE("a span kill never lands after the span") {
  // The call returns at once, long before the timer: the worker must wait at the end of the span.
  for (const std::uint32_t delay_us : {1, 50, 3000}) {
    for (int round = 0; round < 10; ++round) {
      SharedPage page;
      CHECK(dies(page, std::nullopt, CrashPoint{Step::inside_apply, 3, 0, delay_us},
                 [](CrashTrigger& trigger, Page& shared) {
                   trigger.enter_load();
                   for (int i = 0; i < 5; ++i) {
                     { const StepSpan span(trigger, Step::inside_apply); }
                     ++shared.progress;
                   }
                 }));
      CHECK(page->progress == 2);
      CHECK(page->recorder.step == static_cast<std::uint32_t>(Step::inside_apply));
    }
  }
}

TEST_CASE("the load counts its steps from one, whatever recovery did") {
  SharedPage page;
  CHECK(dies(page, std::nullopt, CrashPoint{Step::after_flush, 2}, [](CrashTrigger& trigger, Page& shared) {
    for (int i = 0; i < 5; ++i) {
      trigger.at(Step::after_flush);
    }
    trigger.at(Step::after_replay);
    trigger.enter_load();
    for (int i = 0; i < 5; ++i) {
      trigger.at(Step::after_flush);
      ++shared.progress;
    }
  }));
  CHECK(page->progress == 1);
  CHECK(count_of(page, Step::after_flush) == 2);
  CHECK(count_of(page, Step::after_replay) == 1);  // recovery's own steps stay
}

TEST_CASE("a point of the load does not fire in recovery") {
  SharedPage page;
  CHECK_FALSE(dies(page, std::nullopt, CrashPoint{Step::after_flush, 1},
                   [](CrashTrigger& trigger, Page&) { trigger.at(Step::after_flush); }));
}

TEST_CASE("a point of recovery does not fire in the load") {
  SharedPage page;
  CHECK_FALSE(dies(page, CrashPoint{Step::after_replay, 1}, std::nullopt, [](CrashTrigger& trigger, Page&) {
    trigger.enter_load();
    trigger.at(Step::after_replay);
  }));
}

TEST_CASE("a point of recovery fires in recovery") {
  SharedPage page;
  CHECK(dies(page, CrashPoint{Step::during_replay, 3}, CrashPoint{Step::after_apply, 1},
             [](CrashTrigger& trigger, Page& shared) {
               for (int i = 0; i < 5; ++i) {
                 trigger.at(Step::during_replay);
                 ++shared.progress;
               }
             }));
  CHECK(page->progress == 2);
}

TEST_CASE("a torn append carries out what is before the last border of pages in its share, and then dies") {
  // 100 bytes up to the end of a page of the file, and four pages more.
  constexpr std::uint64_t kOffset = 7 * kPageBytes - 100;
  constexpr std::size_t kSize = 100 + 4 * kPageBytes;
  for (const auto& [permille, written] : {std::pair{0U, 0UL},
                                          {4U, 0UL},
                                          {10U, 100UL},
                                          {417U, 100 + kPageBytes},
                                          {999U, 100 + 3 * kPageBytes}}) {
    SharedPage page;
    CHECK(dies(page, std::nullopt, CrashPoint{Step::inside_log_append, 2, permille},
               [&](CrashTrigger& trigger, Page& shared) {
                 trigger.enter_load();
                 if (trigger.bytes_before_crash(Step::inside_log_append, 0, kSize) != kSize) {
                   ::_exit(1);
                 }
                 shared.value = trigger.bytes_before_crash(Step::inside_log_append, kOffset, kSize);
                 trigger.die();
               }));
    CHECK(page->value == written);
  }
}

TEST_CASE("an append within one page is not torn: nothing of it is carried out") {
  SharedPage page;
  CHECK(dies(page, std::nullopt, CrashPoint{Step::inside_log_append, 1, 999},
             [](CrashTrigger& trigger, Page& shared) {
               trigger.enter_load();
               shared.value = trigger.bytes_before_crash(Step::inside_log_append, 50, 1000) + 100;
               trigger.die();
             }));
  CHECK(page->value == 100);
}
