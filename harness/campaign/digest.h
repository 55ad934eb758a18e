// SHA-256, for what has to be recognised for years: parts of bundles, files and configurations of engines.
#pragma once

#include <string>
#include <string_view>

namespace chaosgate::campaign {

// In hexadecimal. Throws EnvironmentError when the library has none.
std::string sha256(std::string_view bytes);

}  // namespace chaosgate::campaign
