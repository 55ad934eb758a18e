#include "harness/campaign/image_judge.h"

#include <fmt/format.h>

#include "harness/base/error.h"

namespace chaosgate::campaign {

ImageJudge::Verdict ImageJudge::judge(const RecoveryCase& recovery, const std::filesystem::path& data,
                                      tap::Tap* tap, bool keep) {
  Verdict verdict;
  if (const Status status = oracle::Oracle::load(recovery.belief, generator_, &verdict.oracle);
      !status.ok()) {
    throw UsageError("the bundle's belief cannot be read: " + status.to_string());
  }
  if (recovery.order.term <= verdict.oracle->newest_term()) {
    throw UsageError(fmt::format("the bundle's worker has term {}, but term {} had begun before it",
                                 recovery.order.term, verdict.oracle->newest_term()));
  }
  wire::WorkerOrder order = recovery.order;
  order.directory = data.string();
  order.recovery_crash.clear();
  order.tap = tap != nullptr;
  verdict.oracle->begin_term(order.term);
  RecoveryJudge judge(*verdict.oracle, order, recovery.crash);
  verdict.driven = drive_recovery(parent_, judge, RecoveryEnd::ready, 0, hang_ms_, {tap, {}});
  if (verdict.driven.ready && !keep) {
    parent_.kill();
    parent_.reap();
  }
  verdict.violations = judge.violations();
  verdict.reported = judge.reported();
  verdict.events = judge.violation_events();
  verdict.checked = judge.checked();
  if (verdict.violations.empty()) {
    verdict.abnormal = !judge.abnormal().empty()                     ? judge.abnormal()
                       : report::is_abnormal(verdict.driven.outcome) ? verdict.driven.detail
                                                                     : "";
  }
  return verdict;
}

}  // namespace chaosgate::campaign
