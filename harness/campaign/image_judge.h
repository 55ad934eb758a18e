// ImageJudge recovers from data directories, one after the other, and judges each: after a power cut, or when
// a bundle is looked at again.
//
// One worker parent serves all of them. One thread for its whole life (see WorkerParent). Throws
// EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/campaign/drive.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/recovery.h"
#include "harness/campaign/stop.h"
#include "harness/campaign/worker_parent.h"
#include "oracle/oracle.h"
#include "workloads/generator.h"

namespace chaosgate::campaign {

class ImageJudge {
 public:
  // `plugin`: path of the engine's; empty: built in. What workers print goes to `output`. `stop` may be null.
  ImageJudge(const std::filesystem::path& worker, const std::string& plugin,
             const std::filesystem::path& output, const std::string& workload, std::uint64_t seed,
             std::uint32_t hang_ms, StopSignal* stop)
      : generator_(workload, seed), parent_(worker, plugins_of(plugin), output, stop), hang_ms_(hang_ms) {}

  struct Verdict {
    Driven driven;
    std::vector<oracle::Violation> violations;
    std::vector<report::ViolationEvent> events;  // the same, for reports
    std::string abnormal;                        // a death nobody ordered, or an error; else empty
    // Such an end came once, and not when the same was judged again: how it was. Set by judge_again() only.
    std::string not_reproduced;
    bool outside = false;                    // what these two tell of came from outside
    std::size_t reported = 0;                // violations that the engine reported itself
    std::vector<std::string> checked;        // invariants
    std::unique_ptr<oracle::Oracle> oracle;  // what it believes afterwards

    bool failed() const { return !violations.empty() || !abnormal.empty(); }
    // The first invariant that does not hold, or "abnormal death". REQUIRES: failed().
    std::string first_broken() const {
      return violations.empty() ? "abnormal death"
                                : std::string(oracle::to_string(violations.front().invariant));
    }
  };

  // Recovers in `data`, which changes, in place of the order's directory. The order's own crash points are
  // left out: they would only hide what follows. A worker that is ready to load is killed, unless `keep`. The
  // worker's calls go through `tap`, if there is one. Throws UsageError when the belief cannot be read.
  Verdict judge(const RecoveryCase& recovery, const std::filesystem::path& data, tap::Tap* tap = nullptr,
                bool keep = false);

  // Calls `attempt`, which judges the same data anew each time, once, and twice more when the worker ended in
  // a way that nobody ordered: only what comes again is blamed on the data.
  static Verdict judge_again(const std::function<Verdict()>& attempt);

  WorkerParent& parent() { return parent_; }

 private:
  workloads::Generator generator_;
  WorkerParent parent_;
  std::uint32_t hang_ms_;
};

}  // namespace chaosgate::campaign
