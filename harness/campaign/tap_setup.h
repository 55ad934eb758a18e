// What a lane tells its tap: which files belong to which class, which may be mapped, and when a plan needs
// one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/crash/plan.h"
#include "harness/tap/tap.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

// `data`: a data directory of this engine: log/, engine/, durable-index and checkpoint/.
tap::TapOptions tap_options(const wire::EngineDescription& engine, const std::filesystem::path& data);

// The classes that a call site may name: ours, the engine's, "dir", "other" and "any".
std::vector<std::string> file_classes(const wire::EngineDescription& engine);

// Whether this file of the data directory, once written, is never changed in place.
bool is_immutable(const wire::EngineDescription& engine, const std::string& path);

// Throws UsageError when a fault of the plan names a class that the engine does not have.
void check_classes(const crash::CyclePlan& plan, const wire::EngineDescription& engine);

bool load_needs_tap(const crash::CyclePlan& plan);
std::vector<tap::StorageFault> load_faults(const crash::CyclePlan& plan);

}  // namespace chaosgate::campaign
