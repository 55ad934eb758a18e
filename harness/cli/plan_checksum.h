// --plan-checksum: a command that was printed with it is refused, with exit status 125, by a build that would
// do something else.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace chaosgate::cli {

void add_plan_checksum(CLI::App& app, std::string* checksum);

}  // namespace chaosgate::cli
