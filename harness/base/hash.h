// The 64-bit checksum of every record and plan: XXH3. It finds accidents, not adversaries.
#pragma once

#include <cstdint>
#include <string_view>

namespace chaosgate {

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace chaosgate
