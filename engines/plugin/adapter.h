// Engine over the function table of a plugin. Internal to engines/plugin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "engines/engine.h"
#include "engines/plugin/chaosgate_engine.h"

namespace chaosgate::engines {

// Opens configuration number `configuration` of the plugin, whose table outlives the engine.
Status open_plugin_engine(const chaosgate_functions& functions, std::uint32_t configuration,
                          const EngineConfig& config, const std::filesystem::path& directory,
                          const EngineOptions& options, bool create, std::unique_ptr<Engine>* engine);

bool plugin_has_store(const chaosgate_functions& functions, std::uint32_t configuration,
                      const std::filesystem::path& directory);

}  // namespace chaosgate::engines
