#include "harness/crash/group_plan.h"

#include <algorithm>
#include <set>

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::crash;
using chaosgate::wire::Protocol;

namespace {

const std::vector<Protocol> kThree = {Protocol::in_batch, Protocol::sidecar, Protocol::in_batch};

}  // namespace

TEST_CASE("a group's plan is a pure function of seed, group and cycle") {
  std::set<std::string> plans;
  for (const std::uint64_t seed : {1, 2}) {
    for (const std::uint64_t group : {0, 1}) {
      for (std::uint64_t cycle = 0; cycle < 50; ++cycle) {
        const std::string text = to_string(plan_group({}, kThree, seed, group, cycle));
        CHECK(text == to_string(plan_group({}, kThree, seed, group, cycle)));
        CHECK(text.find('\n') == std::string::npos);
        plans.insert(text);
      }
    }
  }
  CHECK(plans.size() == 200);
}

TEST_CASE("a hundred cycles of a group plan every danger, and always leave somebody to send a snapshot") {
  std::set<StreamFault> streams;
  std::set<CrashKind> kinds;
  std::set<std::string> calls;
  std::uint64_t cut_off = 0;
  std::uint64_t stores_renamed = 0;
  for (std::uint64_t cycle = 0; cycle < 100; ++cycle) {
    const GroupPlan plan = plan_group({}, kThree, 9, 0, cycle);
    REQUIRE(plan.members.size() == 3);
    CHECK(plan.entries > 0);
    streams.insert(plan.stream);
    std::size_t there = 0;
    for (const MemberPlan& member : plan.members) {
      kinds.insert(member.cycle.kind);
      cut_off += member.cut_off ? 1 : 0;
      there += member.cut_off ? 0 : 1;
      // The leader loses nothing, so no replica may discard what it was sent.
      CHECK_FALSE(member.cycle.cut_suffix);
      CHECK_FALSE(member.cycle.error);
      if (member.transfer_kill) {
        calls.insert(to_string(member.transfer_kill->site).substr(0, 8));
        stores_renamed += member.transfer_kill->site.file_class == "dir" ? 1 : 0;
      }
    }
    CHECK(there >= 1);
  }
  CHECK(streams.size() == 5);
  CHECK(kinds.size() == 3);
  CHECK(cut_off > 20);
  CHECK(stores_renamed > 60);  // a third of the deaths: there an old store makes way for a new one
  CHECK(calls.size() >= 5);
}

TEST_CASE("without kills at storage calls a group plans none for its loads") {
  PlanOptions options;
  options.call = false;
  for (std::uint64_t cycle = 0; cycle < 50; ++cycle) {
    for (const MemberPlan& member : plan_group(options, kThree, 9, 0, cycle).members) {
      CHECK(member.cycle.kind != CrashKind::call);
      CHECK_FALSE(member.transfer_kill);
      CHECK(std::none_of(member.cycle.recrashes.begin(), member.cycle.recrashes.end(),
                         [](const Recrash& recrash) { return recrash.call.has_value(); }));
    }
  }
}
