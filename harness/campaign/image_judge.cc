#include "harness/campaign/image_judge.h"

#include "harness/base/error.h"

namespace chaosgate::campaign {

ImageJudge::Verdict ImageJudge::judge(const RecoveryCase& recovery, const std::filesystem::path& data,
                                      tap::Tap* tap, bool keep) {
  Verdict verdict;
  if (const Status status = oracle::Oracle::load(recovery.belief, generator_, &verdict.oracle);
      !status.ok()) {
    throw UsageError("the bundle's belief cannot be read: " + status.to_string());
  }
  // A bundle's parts may contradict each other.
  if (const Status status =
          verdict.oracle->can_recover(recovery.order.term, recovery.crash, recovery.order.cut_suffix_from);
      !status.ok()) {
    throw UsageError("the bundle cannot be replayed: " + status.message());
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
    verdict.outside = verdict.driven.outcome == report::Outcome::outside;
    const bool ended = verdict.outside || report::is_abnormal(verdict.driven.outcome);
    verdict.abnormal = !judge.abnormal().empty() ? judge.abnormal() : ended ? verdict.driven.detail : "";
  }
  return verdict;
}

ImageJudge::Verdict ImageJudge::judge_again(const std::function<Verdict()>& attempt) {
  constexpr int kMore = 2;
  Verdict verdict = attempt();
  if (verdict.abnormal.empty()) {
    return verdict;
  }
  const std::string first = verdict.abnormal;
  const bool outside = verdict.outside;
  for (int i = 0; i < kMore; ++i) {
    verdict = attempt();
    const bool same = !verdict.abnormal.empty() && verdict.outside == outside;
    if (same || !verdict.violations.empty() || verdict.driven.outcome == report::Outcome::stopped) {
      return verdict;
    }
  }
  if (verdict.abnormal.empty()) {  // else the last end was of another kind: then that is the one to look at
    verdict.not_reproduced = first;
    verdict.outside = outside;
  }
  return verdict;
}

}  // namespace chaosgate::campaign
