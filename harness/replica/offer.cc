#include "harness/replica/offer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <map>

#include "engines/conformance/conformance.h"
#include "engines/plugin/loader.h"
#include "engines/registry.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/unique_fd.h"
#include "harness/replica/planted_faults.h"
#include "harness/tap/filter.h"
#include "harness/wire/flight_recorder.h"

namespace chaosgate::replica {
namespace {

wire::EngineDescription describe(const engines::EngineConfig& config, const std::string& plugin) {
  const auto survives = [](engines::Durability durability) {
    return std::string(engines::to_string(durability));
  };
  wire::EngineDescription description;
  description.plugin = plugin;
  description.name = config.name;
  description.family = config.family;
  description.summary = config.summary;
  description.version = config.version;
  description.commit_survives = survives(config.contract.commit);
  description.flush_survives = survives(config.contract.flush);
  description.commit_survives_kill = config.contract.commit >= engines::Durability::process_crash;
  description.commit_survives_power_cut = config.contract.commit >= engines::Durability::power_cut;
  description.flush_survives_power_cut = config.contract.flush >= engines::Durability::power_cut;
  description.opens_after_power_cut = config.contract.opens_after_power_cut;
  description.checksums = config.contract.checksums;
  description.volatile_files = config.contract.volatile_files;
  for (const engines::FileClass& file_class : config.file_classes) {
    description.file_classes.push_back({file_class.name, file_class.pattern, file_class.bytes_end,
                                        file_class.informational, file_class.immutable});
  }
  return description;
}

// A plugin as its child describes it, on one line.
struct Description {
  std::string name;
  std::vector<wire::EngineDescription> engines;
  std::string error;
};
JSON_FIELDS(Description, name, engines, error)

// The child: loads the plugin and writes its description.
[[noreturn]] void describe_and_exit(const std::string& path, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Description description;
  try {
    const engines::Plugin plugin = engines::load_plugin(path);
    description.name = plugin.name;
    for (const engines::EngineConfig& config : plugin.configs) {
      description.engines.push_back(describe(config, path));
    }
  } catch (const UsageError& error) {
    description.error = error.what();
  } catch (const std::exception& error) {
    description.error = fmt::format("plugin {}: describing itself, it threw: {}", path, error.what());
  }
  const std::string line = nlohmann::json(description).dump() + "\n";
  const Status written = write_all(out, line, "description");
  ::_exit(written.ok() ? 0 : 1);
}

// Reads up to the end of the line, the end of the child's output or the deadline.
std::string read_line(int in, std::uint64_t deadline_ns, bool* timed_out) {
  std::string line;
  for (char buffer[4096]; line.empty() || line.back() != '\n';) {
    const std::uint64_t now = wire::monotonic_ns();
    pollfd readable{in, POLLIN, 0};
    const int left_ms = now < deadline_ns ? static_cast<int>((deadline_ns - now) / 1'000'000) + 1 : 0;
    const int count = ::poll(&readable, 1, left_ms);
    if (count == 0) {
      *timed_out = true;
      break;
    }
    const ssize_t size = count < 0 ? -1 : ::read(in, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size <= 0) {
      break;
    }
    line.append(buffer, static_cast<std::size_t>(size));
  }
  return line;
}

std::string describe_end(int wait_status) {
  return WIFSIGNALED(wait_status) ? fmt::format("was killed by signal {} ({})", WTERMSIG(wait_status),
                                                ::strsignal(WTERMSIG(wait_status)))
                                  : fmt::format("exited with status {}", WEXITSTATUS(wait_status));
}

Description ask_child(const std::string& path) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw_errno("make a pipe");
  }
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    throw_errno("fork");
  }
  if (child == 0) {
    describe_and_exit(path, out.get());
  }
  out.reset();
  bool timed_out = false;
  const std::string line = read_line(in.get(), wire::monotonic_ns() + kDescribeMs * 1'000'000ULL, &timed_out);
  const bool whole = !line.empty() && line.back() == '\n';
  if (timed_out || whole) {
    ::kill(child, SIGKILL);  // it has nothing left to do
  }
  int wait_status = 0;
  while (::waitpid(child, &wait_status, 0) < 0) {
    if (errno != EINTR) {
      throw_errno("waitpid");
    }
  }
  if (whole) {
    return parse_json(line).get<Description>();
  }
  Description failed;
  failed.error =
      timed_out
          ? fmt::format("plugin {}: it did not describe itself within {} s", path, kDescribeMs / 1000)
          : fmt::format("plugin {}: describing itself, its process {}", path, describe_end(wait_status));
  return failed;
}

// Adds the engines of a plugin; what is wrong with it, or "".
std::string add_plugin(const std::string& path, std::map<std::string, std::string>* plugin_names,
                       wire::Hello* hello) {
  const Description description = ask_child(path);
  if (!description.error.empty()) {
    return description.error;
  }
  const auto [known, fresh] = plugin_names->emplace(description.name, path);
  if (!fresh) {
    return fmt::format("plugin {}: its name '{}' is that of {}", path, description.name, known->second);
  }
  for (const wire::EngineDescription& engine : description.engines) {
    for (const wire::EngineDescription& other : hello->engines) {
      if (engine.name == other.name) {
        return fmt::format("plugin {}: its configuration '{}' has the name of {}", path, engine.name,
                           other.plugin.empty() ? "a built-in engine" : "one of " + other.plugin);
      }
    }
    hello->engines.push_back(engine);
  }
  return "";
}

}  // namespace

wire::Hello make_offer(const std::vector<std::string>& plugins) {
  wire::Hello hello;
  hello.version = CHAOSGATE_VERSION;
  hello.tap_unavailable = tap::why_unavailable();
  for (const engines::EngineConfig& config : engines::engine_configs()) {
    hello.engines.push_back(describe(config, ""));
  }
  std::map<std::string, std::string> plugin_names;
  for (const std::string& path : plugins) {
    if (const std::string wrong = add_plugin(path, &plugin_names, &hello); !wrong.empty()) {
      wire::Hello refused;
      refused.error = wrong;
      return refused;
    }
  }
  hello.faults = planted_faults();
  for (const engines::ConformanceCheck& check : engines::conformance_checks()) {
    hello.conformance_checks.push_back(check.name);
  }
  return hello;
}

const std::vector<engines::EngineConfig>& load_engines(const std::string& plugin) {
  if (plugin.empty()) {
    return engines::engine_configs();
  }
  static std::map<std::string, std::vector<engines::EngineConfig>> loaded;
  const auto known = loaded.find(plugin);
  return known != loaded.end() ? known->second
                               : loaded.emplace(plugin, engines::load_plugin(plugin).configs).first->second;
}

const engines::EngineConfig& find_engine(const std::vector<engines::EngineConfig>& configs,
                                         const std::string& name) {
  for (const engines::EngineConfig& config : configs) {
    if (config.name == name) {
      return config;
    }
  }
  throw UsageError(fmt::format("unknown engine '{}'", name));
}

}  // namespace chaosgate::replica
