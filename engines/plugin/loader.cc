#include "engines/plugin/loader.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <set>
#include <string_view>

#include "engines/plugin/adapter.h"
#include "engines/plugin/chaosgate_engine.h"
#include "harness/base/error.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kNameBytesMax = 64;
constexpr const char* kSymbol = "chaosgate_engine_plugin";

// Names become parts of file names and of command lines.
bool is_name(const char* text) {
  const std::string_view name = text == nullptr ? "" : text;
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::isalnum(static_cast<unsigned char>(name[0])) != 0 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

bool is_line(const char* text) {
  const std::string_view line = text == nullptr ? "" : text;
  return !line.empty() && line.find('\n') == std::string_view::npos;
}

bool is_durability(chaosgate_durability durability) {
  return durability >= CHAOSGATE_SURVIVES_NOTHING && durability <= CHAOSGATE_SURVIVES_POWER_CUT;
}

std::string check_contract(const chaosgate_contract& contract) {
  if (!is_durability(contract.commit) || !is_durability(contract.flush)) {
    return "its durability is none that this version knows";
  }
  if (contract.commit > contract.flush) {
    return fmt::format("a commit survives more ({}) than a flush ({})",
                       to_string(static_cast<Durability>(contract.commit)),
                       to_string(static_cast<Durability>(contract.flush)));
  }
  if (contract.flush == CHAOSGATE_SURVIVES_NOTHING) {
    return "a flush survives nothing: it must at least survive a process crash";
  }
  if (contract.commit == CHAOSGATE_SURVIVES_POWER_CUT && contract.opens_after_power_cut == 0) {
    return "a commit survives a power cut, but the store need not open after one";
  }
  if (contract.atomic_batches == 0) {
    return "batches are not atomic: the applied index that travels in them would prove nothing";
  }
  for (std::size_t i = 0; i < contract.volatile_file_count; ++i) {
    if (!is_line(contract.volatile_files[i])) {
      return "a volatile file has no pattern";
    }
  }
  return "";
}

std::string check_file_classes(const chaosgate_configuration& configuration) {
  for (std::size_t i = 0; i < configuration.file_class_count; ++i) {
    const chaosgate_file_class& file_class = configuration.file_classes[i];
    if (!is_name(file_class.name) || !is_line(file_class.pattern)) {
      return fmt::format("file class {} has no name or no pattern", i);
    }
  }
  const chaosgate_file_class* last = configuration.file_class_count == 0
                                         ? nullptr
                                         : &configuration.file_classes[configuration.file_class_count - 1];
  return last == nullptr || std::string_view(last->pattern) != "*" || last->bytes_end != 0
             ? "the last file class must have the pattern \"*\", so that every file has one"
             : "";
}

std::string check_configuration(const chaosgate_configuration& configuration) {
  if (!is_name(configuration.family) || !is_line(configuration.summary)) {
    return "it has no family or no summary";
  }
  const std::string wrong = check_contract(configuration.contract);
  return wrong.empty() ? check_file_classes(configuration) : "its contract contradicts itself: " + wrong;
}

bool has_all_functions(const chaosgate_functions& functions) {
  // The table is nothing but pointers of one size.
  std::array<void*, sizeof functions / sizeof(void*)> pointers;
  static_assert(sizeof pointers == sizeof functions);
  std::memcpy(pointers.data(), &functions, sizeof functions);
  return std::find(pointers.begin(), pointers.end(), nullptr) == pointers.end();
}

EngineConfig make_config(const chaosgate_plugin& plugin, std::uint32_t number) {
  const chaosgate_configuration& described = plugin.configurations[number];
  EngineConfig config;
  config.name = described.name;
  config.family = described.family;
  config.summary = described.summary;
  config.version = plugin.version;
  const chaosgate_contract& contract = described.contract;
  config.contract.commit = static_cast<Durability>(contract.commit);
  config.contract.flush = static_cast<Durability>(contract.flush);
  config.contract.opens_after_power_cut = contract.opens_after_power_cut != 0;
  config.contract.atomic_batches = contract.atomic_batches != 0;
  config.contract.checksums = contract.checksums != 0;
  config.contract.modifies_in_place = contract.modifies_in_place != 0;
  config.contract.volatile_files.assign(contract.volatile_files,
                                        contract.volatile_files + contract.volatile_file_count);
  for (std::size_t i = 0; i < described.file_class_count; ++i) {
    const chaosgate_file_class& file_class = described.file_classes[i];
    config.file_classes.push_back({file_class.name, file_class.pattern, file_class.bytes_end,
                                   file_class.informational != 0, file_class.immutable != 0});
  }
  const chaosgate_functions& functions = plugin.functions;
  config.open = [&functions, number](const EngineConfig& self, const fs::path& directory,
                                     const EngineOptions& options, bool create,
                                     std::unique_ptr<Engine>* engine) {
    return open_plugin_engine(functions, number, self, directory, options, create, engine);
  };
  config.has_store = [&functions, number](const fs::path& directory) {
    return plugin_has_store(functions, number, directory);
  };
  return config;
}

[[noreturn]] void refuse(const fs::path& path, std::string why) {
  std::replace(why.begin(), why.end(), '\n', ' ');
  throw UsageError(fmt::format("plugin {}: {}", path.string(), why));
}

}  // namespace

std::string check_plugin(const chaosgate_plugin& plugin) {
  if (plugin.abi_version != CHAOSGATE_ENGINE_ABI_VERSION) {
    return fmt::format("it has ABI version {}, this program has {}", plugin.abi_version,
                       CHAOSGATE_ENGINE_ABI_VERSION);
  }
  if (plugin.struct_size != sizeof(chaosgate_plugin)) {
    return fmt::format("its description has {} bytes, expected {}", plugin.struct_size,
                       sizeof(chaosgate_plugin));
  }
  if (!is_name(plugin.name) || !is_line(plugin.version)) {
    return "it has no usable name or version";
  }
  if (!has_all_functions(plugin.functions)) {
    return "a function of its table is missing";
  }
  if (plugin.configurations == nullptr || plugin.configuration_count == 0) {
    return "it has no configuration";
  }
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < plugin.configuration_count; ++i) {
    const chaosgate_configuration& configuration = plugin.configurations[i];
    if (!is_name(configuration.name)) {
      return fmt::format("configuration {} has no usable name", i);
    }
    if (!names.insert(configuration.name).second) {
      return fmt::format("two configurations are named '{}'", configuration.name);
    }
    if (const std::string wrong = check_configuration(configuration); !wrong.empty()) {
      return fmt::format("configuration '{}': {}", configuration.name, wrong);
    }
  }
  return "";
}

Plugin load_plugin(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    refuse(path, "there is no such file");
  }
  // An absolute path: dlopen() would look for a bare name elsewhere.
  void* library = ::dlopen(fs::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    refuse(path, fmt::format("cannot be loaded as a shared object: {}", ::dlerror()));
  }
  using Entry = const chaosgate_plugin* (*)();
  const auto entry = reinterpret_cast<Entry>(::dlsym(library, kSymbol));
  if (entry == nullptr) {
    refuse(path, fmt::format("it is no engine plugin: it has no symbol {}", kSymbol));
  }
  const chaosgate_plugin* plugin = entry();
  if (plugin == nullptr) {
    refuse(path, fmt::format("{}() returned nothing", kSymbol));
  }
  if (const std::string wrong = check_plugin(*plugin); !wrong.empty()) {
    refuse(path, wrong);
  }
  Plugin loaded{path, plugin->name, {}};
  for (std::uint32_t i = 0; i < plugin->configuration_count; ++i) {
    loaded.configs.push_back(make_config(*plugin, i));
  }
  return loaded;
}

}  // namespace chaosgate::engines
