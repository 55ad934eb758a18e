#include "harness/crash/plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "harness/base/hash.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::crash;
using chaosgate::wire::Protocol;

TEST_CASE("a plan is a pure function of seed, lane and cycle") {
  const PlanOptions options;
  CHECK(plan_cycle(options, Protocol::in_batch, 1, 0, 5) == plan_cycle(options, Protocol::in_batch, 1, 0, 5));
  std::set<std::string> plans;
  for (std::uint64_t seed : {1, 2}) {
    for (std::uint64_t lane : {0, 1}) {
      for (std::uint64_t cycle = 0; cycle < 50; ++cycle) {
        plans.insert(to_string(plan_cycle(options, Protocol::in_batch, seed, lane, cycle)));
      }
    }
  }
  CHECK(plans.size() == 200);
}

TEST_CASE("a seed means the same plans in every build") {
  std::string all;
  for (std::uint64_t cycle = 0; cycle < 1000; ++cycle) {
    all += to_string(plan_cycle({}, Protocol::sidecar, 42, 0, cycle));
  }
  INFO("a deliberate change of the plan must change this number, and says so in the log of changes");
  CHECK(hash64(all) == 0xf4f67cbd79fece47);
}

TEST_CASE("a thousand cycles plan every step, every kind and every mode") {
  for (const Protocol protocol : {Protocol::in_batch, Protocol::sidecar}) {
    std::map<Step, int> load;
    std::map<Step, int> recovery;
    int timers = 0, calls = 0, recovery_timers = 0, recovery_calls = 0, free_running = 0, stock = 0, cut = 0;
    std::set<std::size_t> recrash_counts;
    for (std::uint64_t cycle = 0; cycle < 1000; ++cycle) {
      const CyclePlan plan = plan_cycle({}, protocol, 7, 0, cycle);
      if (plan.kind == CrashKind::step) {
        ++load[plan.point.step];
      } else {
        ++(plan.kind == CrashKind::timer ? timers : calls);
      }
      recrash_counts.insert(plan.recrashes.size());
      for (const Recrash& recrash : plan.recrashes) {
        if (recrash.point) {
          ++recovery[recrash.point->step];
        } else {
          ++(recrash.call ? recovery_calls : recovery_timers);
        }
      }
      free_running += plan.free_running;
      stock += plan.stock_tuning;
      cut += plan.cut_suffix;
    }
    CHECK(load.size() == load_steps(protocol).size());
    CHECK(recovery.size() == recovery_steps().size());
    CHECK((timers > 200 && timers < 400));
    CHECK((calls > 200 && calls < 400));
    CHECK(recovery_timers > 20);
    CHECK(recovery_calls > 40);
    CHECK(recrash_counts == std::set<std::size_t>{0, 1, 2, 3});
    CHECK((free_running > 250 && stock > 30 && cut > 250));
  }
}

TEST_CASE("sidecar steps are planned only where there is a sidecar") {
  const std::vector<Step> steps = load_steps(Protocol::in_batch);
  CHECK(std::find(steps.begin(), steps.end(), Step::before_sidecar_rename) == steps.end());
  CHECK(load_steps(Protocol::sidecar).size() == steps.size() + 2);
}

TEST_CASE("a step that only a chore reaches comes with that chore") {
  for (std::uint64_t cycle = 0; cycle < 500; ++cycle) {
    const CyclePlan plan = plan_cycle({.timer = false, .call = false}, Protocol::sidecar, 9, 0, cycle);
    CHECK(plan.kind == CrashKind::step);
    if (plan.point.step == Step::during_compaction) {
      CHECK(plan.schedule.forced == wire::Chore::compact);
      CHECK(plan.schedule.forced_every >= 1);
    }
    if (plan.point.step == Step::before_log_sync) {
      CHECK(plan.schedule.forced == wire::Chore::none);
    }
  }
}

TEST_CASE("what a campaign does not allow is not planned") {
  for (std::uint64_t cycle = 0; cycle < 200; ++cycle) {
    const CyclePlan timers =
        plan_cycle({.step = false, .call = false, .recrash = false, .free_running = false},
                   Protocol::in_batch, 3, 0, cycle);
    CHECK(timers.kind == CrashKind::timer);
    CHECK(timers.recrashes.empty());
    CHECK_FALSE(timers.free_running);
    const CyclePlan steps = plan_cycle({.timer = false, .call = false}, Protocol::in_batch, 3, 0, cycle);
    CHECK_FALSE(steps.error);
    for (const Recrash& recrash : steps.recrashes) {
      CHECK(recrash.point);
    }
  }
}

TEST_CASE("without timers and engines' threads nothing that is planned depends on the clock") {
  const auto delays = [](bool timer, bool free_running) {
    PlanOptions options;
    options.timer = timer;
    options.free_running = free_running;
    std::size_t count = 0;
    for (std::uint64_t cycle = 0; cycle < 500; ++cycle) {
      const CyclePlan plan = plan_cycle(options, wire::Protocol::sidecar, 3, 0, cycle);
      count += plan.kind == CrashKind::step && plan.point.delay_us > 0;
      for (const Recrash& recrash : plan.recrashes) {
        count += recrash.timer_us > 0 || (recrash.point && recrash.point->delay_us > 0);
      }
    }
    return count;
  };
  CHECK(delays(false, false) == 0);
  CHECK(delays(true, false) > 0);
  CHECK(delays(false, true) > 0);
}

TEST_CASE("no I/O error that is planned stays for good: an engine that waits for the disk does not hang") {
  std::uint64_t lasting = 0;
  const auto look = [&](const tap::StorageFault& error) {
    const std::uint64_t times = error.action == tap::FaultAction::full ? error.refusals : error.site.times;
    CHECK(times <= kLastingErrors);
    lasting += times == kLastingErrors ? 1 : 0;
  };
  for (std::uint64_t cycle = 0; cycle < 500; ++cycle) {
    const CyclePlan plan = plan_cycle({.io = true, .io_one_in = 1}, Protocol::in_batch, 11, 1, cycle);
    REQUIRE(plan.error);
    look(*plan.error);
    for (const Recrash& recrash : plan.recrashes) {
      if (recrash.call && !recrash.call->is_kill()) {
        look(*recrash.call);
      }
    }
  }
  CHECK(lasting > 30);
}

TEST_CASE("a plan's printed form parses back to the same plan") {
  int errors = 0;
  for (std::uint64_t cycle = 0; cycle < 500; ++cycle) {
    const CyclePlan plan = plan_cycle({.io = true}, Protocol::sidecar, 11, 1, cycle);
    errors += plan.error ? 1 : 0;
    CyclePlan parsed;
    const std::string text = to_string(plan);
    INFO(text);
    REQUIRE(parse_plan(text, &parsed).ok());
    CHECK(parsed == plan);
  }
  CHECK(errors > 100);
}

TEST_CASE("a plan that cannot be is refused with the part that is wrong") {
  const std::string good = to_string(plan_cycle({}, Protocol::in_batch, 1, 0, 0));
  const auto message = [&](const std::string& key, const std::string& value) {
    const std::size_t at = good.find(" " + key + "=");
    REQUIRE(at != std::string::npos);
    const std::size_t end = std::min(good.find(' ', at + 1), good.size());
    CyclePlan plan;
    const Status status = parse_plan(
        good.substr(0, at) + (value.empty() ? "" : " " + key + "=" + value) + good.substr(end), &plan);
    CHECK(status.code() == StatusCode::invalid_argument);
    return status.message();
  };
  CHECK(message("crash", "explode#1").find("unknown fault 'explode#1'") != std::string::npos);
  CHECK(message("crash", "kill-before@any.any#0").find("occurrence '0'") != std::string::npos);
  CHECK(message("crash", "error~EIO@any.write#1").find("a kill") != std::string::npos);
  CHECK(message("crash", "during-replay#1").find("recrash=") != std::string::npos);
  CHECK(message("crash", "during-flush#1").find("expected during-flush#N+DELAYus") != std::string::npos);
  CHECK(message("crash", "during-flush").find("expected during-flush#N+DELAYus") != std::string::npos);
  CHECK(message("crash", "inside-log-append#2").find("expected inside-log-append#N~PERMILLE") !=
        std::string::npos);
  CHECK(message("crash", "after-flush#0").find("expected after-flush#N with N > 0") != std::string::npos);
  CHECK(message("recrash", "during-replay#0").find("expected during-replay#N with N > 0") !=
        std::string::npos);
  CHECK(message("crash", "timer:99999999999us").find("a number up to 4294967295") != std::string::npos);
  CHECK(message("error", "error~EFOO@any.write#1").find("errno 'EFOO'") != std::string::npos);
  CHECK(message("error", "kill-before@any.any#1").find("an I/O error") != std::string::npos);
  CHECK(message("recrash", "before-log-sync#1").find("a step of recovery") != std::string::npos);
  CHECK(message("recrash", "timer:1us,timer:1us,timer:1us,timer:1us").find("at most 3") != std::string::npos);
  CHECK(message("maintenance", "none").find("scheduled or free-running") != std::string::npos);
  CHECK(message("flush", "1/0").find("N > 0") != std::string::npos);
  CHECK(message("forced", "dance/1").find("compact or checkpoint") != std::string::npos);
  CHECK(message("entries", "0").find("above 0") != std::string::npos);
  CHECK(message("reopen", "2").find("0 or 1") != std::string::npos);
  CHECK(message("reopen", "").find("has no reopen=") != std::string::npos);
  CyclePlan plan;
  CHECK(parse_plan(good + " colour=red", &plan).message().find("colour=red") != std::string::npos);
  CHECK(parse_plan(good + " reopen=1", &plan).message().find("each key once") != std::string::npos);
}

TEST_CASE("a plan that was printed before space= and border-sizes= came parses, and plans neither") {
  const std::string old =
      "lane=0 cycle=3 crash=after-log-sync#2 error=none recrash=none maintenance=scheduled tuning=lean "
      "sync-group=8 apply-group=4 flush=1/250 truncate=1/150 compact=1/600 checkpoint=1/2000 forced=none/0 "
      "entries=4000 cut-suffix=0 flush-after-replay=1 reopen=1 backward=0 integrity=1";
  CyclePlan plan;
  plan.check_space = plan.border_sizes = true;
  REQUIRE(parse_plan(old, &plan).ok());
  CHECK(plan.check_reopen);
  CHECK_FALSE(plan.check_space);
  CHECK_FALSE(plan.border_sizes);
  CHECK(to_string(plan) == old + " space=0 border-sizes=0");
}
