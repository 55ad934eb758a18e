#include "harness/replica/crash_trigger.h"

#include <csignal>
#include <ctime>

#include <unistd.h>

#include "harness/base/check.h"
#include "harness/base/page.h"

namespace chaosgate::replica {

void await_death() {
  for (;;) {
    ::pause();
  }
}

void CrashTrigger::enter_load() {
  loading_ = true;
  for (const Step step : all_steps()) {
    if (!is_recovery_step(step)) {
      recorder_.step_count[static_cast<std::size_t>(step)] = 0;
    }
  }
}

const CrashPoint* CrashTrigger::reached(Step step) {
  recorder_.step.store(static_cast<std::uint32_t>(step), std::memory_order_relaxed);
  const std::uint64_t count =
      recorder_.step_count[static_cast<std::size_t>(step)].fetch_add(1, std::memory_order_relaxed) + 1;
  const std::optional<CrashPoint>& point = loading_ ? load_ : recovery_;
  return point && point->step == step && point->occurrence == count ? &*point : nullptr;
}

void CrashTrigger::at(Step step) {
  if (reached(step) != nullptr) {
    die();
  }
}

void CrashTrigger::begin(Step step) {
  const CrashPoint* point = reached(step);
  if (point == nullptr) {
    return;
  }
  armed_ = true;
  recorder_.crash_ordered = 1;
  if (point->delay_us == 0) {
    die();
  }
  // A timer may deliver SIGKILL itself: no thread, no handler, and the engine's locks do not matter.
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer{};
  CHECK(::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  itimerspec when{};
  when.it_value.tv_sec = point->delay_us / 1'000'000;
  when.it_value.tv_nsec = static_cast<long>(point->delay_us % 1'000'000) * 1000;
  CHECK(::timer_settime(timer, 0, &when, nullptr) == 0);
}

void CrashTrigger::end(Step) {
  if (armed_) {
    await_death();
  }
}

std::size_t CrashTrigger::bytes_before_crash(Step step, std::uint64_t offset, std::size_t size) {
  const CrashPoint* point = reached(step);
  return point == nullptr ? size : bytes_to_page_border(offset, size * point->permille / 1000);
}

void CrashTrigger::die() {
  recorder_.crash_ordered = 1;
  ::kill(::getpid(), SIGKILL);
  await_death();
}

}  // namespace chaosgate::replica
