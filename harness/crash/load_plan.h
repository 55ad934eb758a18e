// What the seed decided for a load whose storage calls are recorded, so that power cuts can be tried on them.
//
// Printed and carried out like a CyclePlan, whose `cycle` is here the number of the load: counted from 0 in
// each lane and workload. A pure function of its arguments, like plan_cycle().
#pragma once

#include <cstdint>
#include <string_view>

#include "harness/base/rng.h"
#include "harness/crash/plan.h"

namespace chaosgate::crash {

// Where the draws of a lane's power cuts begin. Lanes over two workloads draw apart.
Rng power_stream(std::uint64_t seed, std::uint64_t lane, std::string_view workload);

CyclePlan plan_load(const PlanOptions& options, std::uint64_t seed, std::uint64_t lane,
                    std::string_view workload, std::uint64_t load);

}  // namespace chaosgate::crash
