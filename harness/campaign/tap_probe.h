// Whether the storage calls of an engine can be seen at all, tried before anything is planned on it.
#pragma once

#include <filesystem>
#include <string>

#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"

namespace chaosgate::campaign {

// Makes, preloads, opens and closes a store under the tap, in `directory`, which must not exist and is gone
// again afterwards. Says why the engine cannot be tapped: it stores through a mapping that is not volatile,
// or it works only when nobody stands between it and the kernel (io_uring). Empty when it can, and when it
// does not work without the tap either. `stop` may be null. Throws EnvironmentError.
std::string why_untappable(LaneTarget target, const std::filesystem::path& directory, StopSignal* stop);

}  // namespace chaosgate::campaign
