#include "harness/campaign/tap_setup.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "harness/base/error.h"

namespace chaosgate::campaign {
namespace {

// The files of the replica itself. A checkpoint is the engine's doing, but no file of its store.
const std::vector<tap::FileRule>& our_rules() {
  static const std::vector<tap::FileRule> rules = {
      {"segment", "log/*.log"},           {"segment-new", "log/*.tmp"},
      {"sidecar", "durable-index*"},      {"checkpoint", "checkpoint/*"},
      {"snapshot", "snapshot.*"},         {"installing", "engine.installing*"},
      {"installing", "engine.replaced*"}, {"installing", "engine.placing*"}};
  return rules;
}

// Where stores of the engine are besides its own place, while a snapshot is made or installed.
constexpr std::array kFurtherStores = {"engine.*/", "snapshot.*/"};

void check_class(const tap::StorageFault& fault, const wire::EngineDescription& engine) {
  const std::vector<std::string> known = file_classes(engine);
  if (fault.action != tap::FaultAction::full &&
      std::find(known.begin(), known.end(), fault.site.file_class) == known.end()) {
    throw UsageError(fmt::format("{}: unknown file class '{}' of {}; known: {}", to_string(fault),
                                 fault.site.file_class, engine.name, fmt::join(known, ", ")));
  }
}

}  // namespace

tap::TapOptions tap_options(const wire::EngineDescription& engine, const std::filesystem::path& data) {
  tap::TapOptions options;
  options.directory = data;
  for (const wire::FileClassDescription& file_class : engine.file_classes) {
    for (const char* store : kFurtherStores) {
      if (file_class.informational) {
        options.rules.push_back({file_class.name, store + file_class.pattern, file_class.bytes_end, true});
      }
    }
  }
  options.rules.insert(options.rules.end(), our_rules().begin(), our_rules().end());
  for (const wire::FileClassDescription& file_class : engine.file_classes) {
    options.rules.push_back(
        {file_class.name, "engine/" + file_class.pattern, file_class.bytes_end, file_class.informational});
  }
  for (const std::string& name : engine.volatile_files) {
    options.volatile_files.push_back("engine/" + name);
    options.volatile_files.push_back("checkpoint/" + name);
    for (const char* store : kFurtherStores) {
      options.volatile_files.push_back(store + name);
    }
  }
  return options;
}

std::vector<std::string> file_classes(const wire::EngineDescription& engine) {
  std::vector<std::string> names = {std::string(tap::kAnyClass), std::string(tap::kDirectoryClass),
                                    std::string(tap::kOtherClass)};
  for (const tap::FileRule& rule : our_rules()) {
    if (std::find(names.begin(), names.end(), rule.file_class) == names.end()) {
      names.push_back(rule.file_class);
    }
  }
  for (const wire::FileClassDescription& file_class : engine.file_classes) {
    if (std::find(names.begin(), names.end(), file_class.name) == names.end()) {
      names.push_back(file_class.name);
    }
  }
  return names;
}

bool is_immutable(const wire::EngineDescription& engine, const std::string& path) {
  return std::any_of(engine.file_classes.begin(), engine.file_classes.end(),
                     [&](const wire::FileClassDescription& file_class) {
                       return file_class.immutable &&
                              ::fnmatch(("engine/" + file_class.pattern).c_str(), path.c_str(), 0) == 0;
                     });
}

void check_classes(const crash::CyclePlan& plan, const wire::EngineDescription& engine) {
  if (plan.kind == crash::CrashKind::call) {
    check_class(plan.call, engine);
  }
  if (plan.error) {
    check_class(*plan.error, engine);
  }
  for (const crash::Recrash& recrash : plan.recrashes) {
    if (recrash.call) {
      check_class(*recrash.call, engine);
    }
  }
}

bool load_needs_tap(const crash::CyclePlan& plan) {
  return plan.kind == crash::CrashKind::call || plan.error.has_value();
}

std::vector<tap::StorageFault> load_faults(const crash::CyclePlan& plan) {
  std::vector<tap::StorageFault> faults;
  if (plan.kind == crash::CrashKind::call) {
    faults.push_back(plan.call);
  }
  if (plan.error) {
    faults.push_back(*plan.error);
  }
  return faults;
}

}  // namespace chaosgate::campaign
