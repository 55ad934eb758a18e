#include "harness/campaign/image_judge.h"

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/campaign/replay.h"

using namespace chaosgate;
using namespace chaosgate::campaign;

namespace {

using Verdict = ImageJudge::Verdict;
enum class End { fine, killed_from_outside, aborted, violation };

Verdict verdict_of(End end) {
  Verdict verdict;
  verdict.outside = end == End::killed_from_outside;
  verdict.abnormal = end == End::killed_from_outside ? "killed by signal 9"
                     : end == End::aborted           ? "killed by signal 6"
                                                     : "";
  if (end == End::violation) {
    verdict.violations.push_back({oracle::Invariant::log_acked, "", {}, 0});
  }
  return verdict;
}

struct Again {
  Verdict verdict;
  std::size_t attempts = 0;
};

// The attempts end one after the other like this, and then fine.
Again judge(const std::vector<End>& ends) {
  Again again;
  again.verdict = ImageJudge::judge_again([&] {
    const std::size_t number = again.attempts++;
    return verdict_of(number < ends.size() ? ends[number] : End::fine);
  });
  return again;
}

}  // namespace

TEST_CASE("an end that nobody ordered is blamed on an image only when it comes again") {
  CHECK(judge({}).attempts == 1);
  CHECK(judge({End::violation}).attempts == 1);  // shown by what was published, however the worker ended

  const Again once = judge({End::killed_from_outside});
  CHECK(once.attempts == 3);
  CHECK_FALSE(once.verdict.failed());
  CHECK(once.verdict.not_reproduced == "killed by signal 9");
  CHECK(once.verdict.outside);

  const Again aborted = judge({End::aborted});
  CHECK_FALSE(aborted.verdict.failed());
  CHECK(aborted.verdict.not_reproduced == "killed by signal 6");
  CHECK_FALSE(aborted.verdict.outside);

  const Again twice = judge({End::aborted, End::fine, End::aborted});
  CHECK(twice.verdict.abnormal == "killed by signal 6");
  CHECK(twice.verdict.not_reproduced.empty());

  const Again always = judge({End::killed_from_outside, End::killed_from_outside});
  CHECK(always.verdict.failed());  // it kills itself, or takes all memory
  CHECK(always.attempts == 2);

  const Again found = judge({End::killed_from_outside, End::violation});
  CHECK(found.verdict.first_broken() == "log.acked");
}

TEST_CASE("a bundle is reproduced by what it is of, not by any failure") {
  Bundle bundle;
  ReplayRun run;
  CHECK_FALSE(is_same_finding(bundle, run));
  run.abnormal = "killed by signal 6";
  CHECK(is_same_finding(bundle, run));  // the load failed, and so does this
  bundle.recovery.violations.push_back({oracle::Invariant::log_acked, "", {}, 0});
  CHECK_FALSE(is_same_finding(bundle, run));
  run.violations.push_back({"engine.opens", "", "", "", ""});
  CHECK_FALSE(is_same_finding(bundle, run));
  run.violations.push_back({"log.acked", "", "", "", ""});
  CHECK(is_same_finding(bundle, run));
}

TEST_CASE("a worker that cannot do what it is told reproduces nothing") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-judge-test-");
  const workloads::Generator generator("mixed", 5);
  Bundle bundle;
  bundle.key.seed = 5;
  oracle::Oracle oracle(generator);
  oracle.mark();
  oracle.save(&bundle.recovery.belief);
  wire::WorkerOrder& order = bundle.recovery.order;
  order.engine = "lmdb";
  order.workload = "mixed";
  order.seed = 5;
  order.term = 1;
  order.create = true;
  order.fault = "nosuch";
  StopSignal stop;
  CHECK_THROWS_WITH(replay_bundle(bundle, directory.path() / "image", directory.path() / "replay",
                                  CHAOSGATE_WORKER, 60'000, stop),
                    Catch::Matchers::Contains("a worker cannot do its work"));
}
