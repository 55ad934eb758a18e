// The versions that every report and bundle carries.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace chaosgate::campaign {

std::string chaosgate_version();
// Name and version of each library the driver uses; engines report their own through the worker.
std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace chaosgate::campaign
