// The engine configurations this program was built with, and the one way to open a directory with them.
//
// A directory that holds an engine carries a marker file (see marker.h). Creation happens beside the final
// place and is renamed into it, so a directory is either absent or whole; a crash in between leaves
// `<directory>.creating`, which the next creation removes.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "engines/engine.h"

namespace chaosgate::engines {

const std::vector<EngineConfig>& engine_configs();
// Null when no configuration has this name.
const EngineConfig* find_engine_config(std::string_view name);

// Creates a new, empty store. `directory` must not exist; its parent must.
Status create_engine(const EngineConfig& config, const std::filesystem::path& directory,
                     const EngineOptions& options, std::unique_ptr<Engine>* engine);

// Opens an existing store, and never makes one: a missing, unmarked, foreign, half-installed or
// empty-but-marked directory is an error that names what was found and what was expected.
Status open_engine(const EngineConfig& config, const std::filesystem::path& directory,
                   const EngineOptions& options, std::unique_ptr<Engine>* engine);

// A store that is filled over a longer time and must not be taken for a whole one before it is: until
// finish_engine() it has no marker, so open_engine() refuses it.
//
// Makes it, empty, durable and closed. `directory` must not exist; its parent must.
Status create_unfinished_engine(const EngineConfig& config, const std::filesystem::path& directory,
                                const EngineOptions& options);
Status open_unfinished_engine(const EngineConfig& config, const std::filesystem::path& directory,
                              const EngineOptions& options, std::unique_ptr<Engine>* engine);
// Makes every file in it durable, then marks it. REQUIRES: it is closed.
Status finish_engine(const EngineConfig& config, const std::filesystem::path& directory,
                     const EngineOptions& options);

}  // namespace chaosgate::engines
