#include "harness/campaign/engines.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/limits.h"
#include "harness/campaign/scratch_directory.h"
#include "harness/campaign/worker_parent.h"
#include "harness/report/facts.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

struct Selected {
  std::string plugin;  // absolute path; empty: built in
  std::string name;    // empty: the plugin's first configuration
};

Selected parse_selector(const std::string& text) {
  constexpr std::string_view kSuffix = ".so";
  const std::size_t colon = text.rfind(".so:");
  if (colon != std::string::npos) {
    const std::size_t end = colon + kSuffix.size();
    return {fs::absolute(text.substr(0, end)).lexically_normal(), text.substr(end + 1)};
  }
  if (text.ends_with(kSuffix) || text.find('/') != std::string::npos) {
    return {fs::absolute(text).lexically_normal(), ""};
  }
  return {"", text};
}

// The configuration that is meant, of a plugin that was described.
const std::string& configuration_of(const Selected& selected, const wire::Hello& hello) {
  for (const wire::EngineDescription& engine : hello.engines) {
    if (engine.plugin == selected.plugin && (selected.name.empty() || engine.name == selected.name)) {
      return engine.name;
    }
  }
  std::string known;
  for (const wire::EngineDescription& engine : hello.engines) {
    if (engine.plugin == selected.plugin) {
      known += (known.empty() ? "" : ", ") + engine.name;
    }
  }
  throw UsageError(
      fmt::format("plugin {} has no configuration '{}'; it has: {}", selected.plugin, selected.name, known));
}

}  // namespace

std::string plugin_path(const std::string& selector) { return parse_selector(selector).plugin; }

std::string absolute_selector(const std::string& selector) {
  const Selected selected = parse_selector(selector);
  return selected.plugin.empty() ? selector
         : selected.name.empty() ? selected.plugin
                                 : selected.plugin + ":" + selected.name;
}

wire::Hello read_hello(const fs::path& worker, const std::vector<std::string>& plugins) {
  if (!fs::exists(worker)) {
    throw UsageError(fmt::format("there is no worker program {}", worker.string()));
  }
  check_limits();
  const ScratchDirectory directory(fs::temp_directory_path(), "hello-");
  wire::Hello hello;
  try {
    hello = WorkerParent(worker, plugins, directory.path() / "output", nullptr).hello();
  } catch (const EnvironmentError& error) {
    throw UsageError(fmt::format("the worker program {} cannot be used: {}", worker.string(), error.what()));
  }
  if (!hello.error.empty()) {
    throw UsageError(hello.error);
  }
  return hello;
}

wire::Hello resolve_engines(const fs::path& worker, std::vector<std::string>* engines) {
  std::vector<Selected> selected;
  std::vector<std::string> plugins;
  for (const std::string& text : *engines) {
    selected.push_back(parse_selector(text));
    const std::string& plugin = selected.back().plugin;
    require_utf8("--engine", plugin);
    if (!plugin.empty() && std::find(plugins.begin(), plugins.end(), plugin) == plugins.end()) {
      plugins.push_back(plugin);
    }
  }
  wire::Hello hello = read_hello(worker, plugins);
  for (std::size_t i = 0; i < selected.size(); ++i) {
    if (!selected[i].plugin.empty()) {
      (*engines)[i] = configuration_of(selected[i], hello);
    }
  }
  return hello;
}

const wire::EngineDescription& require_engine(const wire::Hello& hello, const std::string& name) {
  if (const wire::EngineDescription* engine = wire::find_engine(hello, name)) {
    return *engine;
  }
  std::string known;
  for (const wire::EngineDescription& engine : hello.engines) {
    known += (known.empty() ? "" : ", ") + engine.name;
  }
  throw UsageError(fmt::format("unknown engine '{}'; known: {}", name, known));
}

const wire::FaultDescription* find_fault(const wire::Hello& hello, const std::string& name) {
  const auto at = std::find_if(hello.faults.begin(), hello.faults.end(),
                               [&](const wire::FaultDescription& fault) { return fault.name == name; });
  return at == hello.faults.end() ? nullptr : &*at;
}

const wire::FaultDescription& require_fault(const wire::Hello& hello, const std::string& name) {
  if (const wire::FaultDescription* fault = find_fault(hello, name)) {
    return *fault;
  }
  throw UsageError(fmt::format("unknown planted fault '{}'; 'chaosgate list faults' names them", name));
}

std::uint64_t kept_by_power_cut(const wire::EngineDescription& engine, std::uint64_t applied,
                                std::uint64_t flushed) {
  return std::max(engine.flush_survives_power_cut ? flushed : 0,
                  engine.commit_survives_power_cut ? applied : 0);
}

std::vector<std::string> plugins_of(const std::string& plugin) {
  return plugin.empty() ? std::vector<std::string>{} : std::vector{plugin};
}

fs::path installed_plugin(const std::string& name) {
  if (name.find('/') != std::string::npos || !name.ends_with(".so")) {
    return {};
  }
  const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& place :
       {program / "plugins", program.parent_path() / CHAOSGATE_LIBRARY_DIRECTORY / "chaosgate"}) {
    std::error_code ignored;
    if (fs::is_regular_file(place / name, ignored)) {
      return place / name;
    }
  }
  return {};
}

bool is_installed(const fs::path& plugin) {
  const fs::path installed = installed_plugin(plugin.filename().string());
  std::error_code ignored;
  return !installed.empty() && fs::equivalent(installed, plugin, ignored);
}

void require_utf8(const std::string& name, const fs::path& path) {
  if (valid_utf8(path.native()) != path.native()) {
    throw UsageError(
        fmt::format("{} {}: not UTF-8, in which a worker is told paths", name, shell_quoted(path.native())));
  }
}

std::string selector(const wire::EngineDescription& engine) {
  return engine.plugin.empty() ? engine.name : engine.plugin + ":" + engine.name;
}

}  // namespace chaosgate::campaign
