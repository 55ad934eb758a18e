// The one include that tests take Catch2 from, version 2 or 3.
//
// In a test, CHECK is Catch2's; ours is for product code. Headers therefore must not use CHECK.
#pragma once

#include "harness/base/check.h"
#undef CHECK

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif
