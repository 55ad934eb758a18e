// parse_json() reads JSON that comes from outside: files, bundles, other processes.
//
// A text may be nested as deep as it is long, and what later walks or prints the value does so by recursion;
// so what is nested deeper than anything that chaosgate writes is refused before a value is made of it.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

namespace chaosgate {

inline constexpr std::size_t kJsonDepthMax = 64;

// Throws nlohmann::json::exception, whose text says what is wrong and where, for what is not JSON or nested
// deeper than kJsonDepthMax.
nlohmann::json parse_json(std::string_view text);

}  // namespace chaosgate
