// What the worker program offers: its engines, those of plugins, planted faults, the conformance suite.
//
// A plugin is described by a child process that loads it and is gone afterwards: nothing of a plugin, least
// of all a language's runtime with its threads, may live in the process that forks the workers. What a plugin
// does meanwhile (crash, exit, hang past kDescribeMs) becomes one line that names it.
#pragma once

#include <string>
#include <vector>

#include "engines/engine.h"
#include "harness/wire/order.h"

namespace chaosgate::replica {

inline constexpr int kDescribeMs = 10'000;  // for each plugin

// The greeting. `plugins` are paths. What is wrong with one of them, a configuration that two engines share
// included, is the Hello's error. REQUIRES: this process has one thread.
wire::Hello make_offer(const std::vector<std::string>& plugins);

// The engines of a plugin, which is loaded into this process once and stays; the built-in ones when `plugin`
// is empty. Throws UsageError when it cannot be used. One thread.
const std::vector<engines::EngineConfig>& load_engines(const std::string& plugin);
// Throws UsageError when there is none of this name.
const engines::EngineConfig& find_engine(const std::vector<engines::EngineConfig>& configs,
                                         const std::string& name);

}  // namespace chaosgate::replica
