// Which engine a user means: a configuration of the worker program by name, or one of a plugin by its path.
//
//   NAME            a built-in configuration
//   PATH.so         the first configuration of a plugin
//   PATH.so:NAME    any of its configurations
//
// The driver never loads a plugin: the worker program describes it (harness/replica/offer.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/campaign/config.h"
#include "harness/wire/order.h"

namespace chaosgate::campaign {

// What the worker program offers, with the engines of these plugins. Throws UsageError when it cannot be
// started or a plugin cannot be used.
wire::Hello read_hello(const std::filesystem::path& worker, const std::vector<std::string>& plugins = {});

// The same with the plugins that `engines` name. Afterwards these are names of configurations. Throws
// UsageError for a configuration that a plugin does not have; names of others are not looked at.
wire::Hello resolve_engines(const std::filesystem::path& worker, std::vector<std::string>* engines);

// Throws UsageError when there is none of this name.
const wire::EngineDescription& require_engine(const wire::Hello& hello, const std::string& name);

// nullptr, or UsageError, when no planted fault has this name.
const wire::FaultDescription* find_fault(const wire::Hello& hello, const std::string& name);
const wire::FaultDescription& require_fault(const wire::Hello& hello, const std::string& name);

// The last index that the engine's files hold after a power cut, as its contract says: of an engine that
// applied so far, and whose last flush returned with `flushed`.
std::uint64_t kept_by_power_cut(const wire::EngineDescription& engine, std::uint64_t applied,
                                std::uint64_t flushed);

// A list of this plugin, or an empty one when `plugin` is.
std::vector<std::string> plugins_of(const std::string& plugin);

// Where the plugin of a selector is, absolute; empty for the name of a built-in engine.
std::string plugin_path(const std::string& selector);

// The plugin of this file name that was built or installed with this program: in "plugins" beside it, or in
// the library directory of its prefix. Empty when there is none.
std::filesystem::path installed_plugin(const std::string& name);
// Whether this file is that one.
bool is_installed(const std::filesystem::path& plugin);

// The same selector, valid in every directory.
std::string absolute_selector(const std::string& selector);

// Throws UsageError, which begins with `name`, for a path that no order to a worker can hold: orders are
// JSON.
void require_utf8(const std::string& name, const std::filesystem::path& path);

// What a user writes to mean this engine.
std::string selector(const wire::EngineDescription& engine);

}  // namespace chaosgate::campaign
