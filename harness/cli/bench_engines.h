// chaosgate bench --engines: engines beside each other under one load, as a table or as JSON.
#pragma once

#include "harness/campaign/config.h"
#include "harness/campaign/engine_bench.h"
#include "harness/cli/command.h"

namespace chaosgate::cli {

// `config.engines`: selectors. Violation when an engine broke an invariant or the engines ended in different
// states. Throws UsageError or EnvironmentError.
report::ExitStatus run_engine_bench(campaign::CampaignConfig config,
                                    const campaign::EngineBenchOptions& options, bool json,
                                    const Globals& globals);

}  // namespace chaosgate::cli
