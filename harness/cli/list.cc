// chaosgate list: what this build knows: engines, workloads, planted faults, steps, invariants.
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/base/step.h"
#include "harness/campaign/engines.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"
#include "oracle/invariant.h"
#include "workloads/generator.h"

namespace chaosgate::cli {
namespace {

struct ListArguments {
  explicit ListArguments(CLI::App& app) : settings(app, {"engine", "worker"}, {{"engine", ""}}) {}
  Settings settings;
  std::string what;
  bool json = false;
};

nlohmann::json collect(const std::string& what, const wire::Hello& hello) {
  nlohmann::json rows = nlohmann::json::array();
  if (what == "engines") {
    for (const wire::EngineDescription& engine : hello.engines) {
      rows.push_back({{"name", engine.name},
                      {"version", engine.version},
                      {"commit survives", engine.commit_survives},
                      {"flush survives", engine.flush_survives},
                      {"plugin", engine.plugin},
                      {"summary", engine.summary}});
    }
  } else if (what == "faults") {
    for (const wire::FaultDescription& fault : hello.faults) {
      rows.push_back({{"name", fault.name},
                      {"layer", fault.layer},
                      {"shown on", fault.engine},
                      {"published as", fault.published_as},
                      {"mechanism", fault.mechanism}});
    }
  } else if (what == "workloads") {
    for (const workloads::ProfileInfo& profile : workloads::profiles()) {
      rows.push_back({{"name", profile.name}, {"summary", profile.summary}});
    }
  } else if (what == "steps") {
    for (const Step step : all_steps()) {
      rows.push_back({{"name", to_string(step)},
                      {"of", is_recovery_step(step) ? "recovery" : "load"},
                      {"kind", is_span(step) ? "span" : "point"}});
    }
  } else {
    for (std::size_t i = 0; i < oracle::kInvariantCount; ++i) {
      rows.push_back({{"name", oracle::to_string(static_cast<oracle::Invariant>(i))}});
    }
  }
  return rows;
}

// What the worker program knows; the rest is the driver's own.
wire::Hello hello_for(const ListArguments& options, campaign::CampaignConfig& config) {
  if (options.what != "engines") {
    options.settings.refuse({"engine"}, "does nothing with 'list " + options.what + "'");
  }
  if (options.what != "engines" && options.what != "faults") {
    options.settings.refuse({"worker"}, "does nothing with 'list " + options.what + "'");
    return {};
  }
  if (options.settings.source("engine") == "default") {
    config.engines.clear();
  }
  wire::Hello hello = campaign::resolve_engines(find_worker(config.worker), &config.engines);
  for (const std::string& engine : config.engines) {
    campaign::require_engine(hello, engine);
  }
  return hello;
}

report::ExitStatus list(ListArguments& options) {
  campaign::CampaignConfig config = options.settings.resolve();
  const nlohmann::json rows = collect(options.what, hello_for(options, config));
  if (options.json) {
    say_json(rows);
    return report::ExitStatus::pass;
  }
  for (const nlohmann::json& row : rows) {
    say("{}\n", row.at("name").get<std::string>());
    for (const auto& [key, value] : row.items()) {
      if (key != "name" && !value.get<std::string>().empty()) {
        say("    {:<16} {}\n", key, value.get<std::string>());
      }
    }
  }
  return report::ExitStatus::pass;
}

}  // namespace

Command make_list_command(CLI::App& parent, Globals&) {
  CLI::App* app = parent.add_subcommand("list", "what this build knows");
  auto options = std::make_shared<ListArguments>(*app);
  app->add_option("what", options->what, "engines, workloads, faults, steps or invariants")
      ->required()
      ->check(CLI::IsMember({"engines", "workloads", "faults", "steps", "invariants"}));
  app->add_flag("--json", options->json, "print the list as JSON");
  app->footer(
      "Examples:\n"
      "  chaosgate list faults\n"
      "  chaosgate list engines --engine PATH.so   # with those of a plugin");
  return {app, [options] { return list(*options); }};
}

}  // namespace chaosgate::cli
