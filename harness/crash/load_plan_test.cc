#include "harness/crash/load_plan.h"

#include <set>

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::crash;

TEST_CASE("the plan of a load is a function of seed, lane, workload and number") {
  const CyclePlan plan = plan_load({}, 7, 1, "small", 3);
  CHECK(plan == plan_load({}, 7, 1, "small", 3));
  CHECK(plan.lane == 1);
  CHECK(plan.cycle == 3);
  std::set<std::string> texts = {to_string(plan)};
  texts.insert(to_string(plan_load({}, 8, 1, "small", 3)));
  texts.insert(to_string(plan_load({}, 7, 2, "small", 3)));
  texts.insert(to_string(plan_load({}, 7, 1, "rollover", 3)));
  texts.insert(to_string(plan_load({}, 7, 1, "small", 4)));
  CHECK(texts.size() == 5);
  CyclePlan parsed;
  REQUIRE(parse_plan(to_string(plan), &parsed).ok());
  CHECK(parsed == plan);
}

TEST_CASE("loads die at storage calls, and suffer errors only where they are allowed") {
  int errors = 0;
  int free_running = 0;
  for (std::uint64_t load = 0; load < 200; ++load) {
    const CyclePlan plain = plan_load({.free_running = false}, 7, 0, "small", load);
    CHECK(plain.kind == CrashKind::call);
    CHECK_FALSE(plain.error);
    CHECK_FALSE(plain.free_running);
    const CyclePlan plan = plan_load({.io = true}, 7, 0, "small", load);
    errors += plan.error ? 1 : 0;
    free_running += plan.free_running ? 1 : 0;
    CHECK_FALSE((plan.error && plan.error->is_kill()));
    CHECK(plan_load({.io = true, .io_one_in = 1}, 7, 0, "small", load).error);
  }
  CHECK((errors > 150 && errors < 200));
  CHECK((free_running > 20 && free_running < 80));
}
