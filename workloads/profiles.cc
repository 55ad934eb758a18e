#include "workloads/profile.h"

namespace chaosgate::workloads {

const std::vector<Profile>& profile_table() {
  static const std::vector<Profile> table = {mixed_profile(),    kubernetes_profile(), churn_profile(),
                                             bigvalue_profile(), txn_profile(),        small_profile(),
                                             rollover_profile()};
  return table;
}

}  // namespace chaosgate::workloads
