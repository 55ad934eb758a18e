// Loads an engine plugin (chaosgate_engine.h) into this process, and makes EngineConfigs of what it offers.
//
// For worker processes only: whatever a plugin does happens in the process that loaded it, so that one must
// be expendable. A plugin is never unloaded; the configurations are good as long as the process lives. A C++
// exception that leaves a plugin's function becomes a failed Status where the function has a code to return,
// and ends the process where it has not.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engines/engine.h"

// The C ABI's struct, which only users of the ABI need to know.
struct chaosgate_plugin;

namespace chaosgate::engines {

struct Plugin {
  std::filesystem::path path;
  std::string name;
  std::vector<EngineConfig> configs;  // at least one; the first is the default
};

// Throws UsageError, one line with the path, when the file cannot be loaded, is no plugin of this ABI
// version, or describes itself in a way that cannot be right.
Plugin load_plugin(const std::filesystem::path& path);

// What is wrong with a description, without `path`, or "" when it can be used.
std::string check_plugin(const chaosgate_plugin& plugin);

}  // namespace chaosgate::engines
