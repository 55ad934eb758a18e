// All legal images of a small history: the yardstick that the explorer and the rules are measured with.
#pragma once

#include <cstddef>
#include <vector>

#include "harness/disk/image.h"
#include "harness/disk/order.h"

namespace chaosgate::disk {

// One spec for each different image that is legal at the cut, in no particular order. The work doubles with
// each pending operation, and grows with 2^(tearing units) for each pending write.
//
// REQUIRES: at most 2^22 combinations; about 20 pending operations without tears.
std::vector<ImageSpec> enumerate_all(const Order& order, Imager* imager, std::uint64_t cut);

}  // namespace chaosgate::disk
