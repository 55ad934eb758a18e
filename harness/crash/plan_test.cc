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
  CHECK(hash64(all) == 0xa17a2120b6f19857);
}

TEST_CASE("a thousand cycles plan every step, every kind and every mode") {
  for (const Protocol protocol : {Protocol::in_batch, Protocol::sidecar}) {
    std::map<Step, int> load;
    std::map<Step, int> recovery;
    int timers = 0, recovery_timers = 0, free_running = 0, stock = 0, cut = 0;
    std::set<std::size_t> recrash_counts;
    for (std::uint64_t cycle = 0; cycle < 1000; ++cycle) {
      const CyclePlan plan = plan_cycle({}, protocol, 7, 0, cycle);
      if (plan.kind == CrashKind::step) {
        ++load[plan.point.step];
      } else {
        ++timers;
      }
      recrash_counts.insert(plan.recrashes.size());
      for (const Recrash& recrash : plan.recrashes) {
        if (recrash.point) {
          ++recovery[recrash.point->step];
        } else {
          ++recovery_timers;
        }
      }
      free_running += plan.free_running;
      stock += plan.stock_tuning;
      cut += plan.cut_suffix;
    }
    CHECK(load.size() == load_steps(protocol).size());
    CHECK(recovery.size() == recovery_steps().size());
    CHECK((timers > 300 && timers < 500));
    CHECK(recovery_timers > 20);
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
    const CyclePlan plan = plan_cycle({.timer = false}, Protocol::sidecar, 9, 0, cycle);
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
        plan_cycle({.step = false, .recrash = false, .free_running = false}, Protocol::in_batch, 3, 0, cycle);
    CHECK(timers.kind == CrashKind::timer);
    CHECK(timers.recrashes.empty());
    CHECK_FALSE(timers.free_running);
    const CyclePlan steps = plan_cycle({.timer = false}, Protocol::in_batch, 3, 0, cycle);
    for (const Recrash& recrash : steps.recrashes) {
      CHECK(recrash.point);
    }
  }
}
