// chaosgate conform: does an engine do what the gate expects of every engine?
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/conform.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"

namespace chaosgate::cli {
namespace {

using campaign::ConformResult;
using report::ExitStatus;

struct ConformArguments {
  explicit ConformArguments(CLI::App& app)
      : settings(app, {"engine", "seed", "dir", "worker", "hang-ms"}, {{"engine", ""}}) {}

  Settings settings;
  bool json = false;
};

nlohmann::json to_json(const wire::EngineDescription& engine, const std::vector<ConformResult>& results) {
  nlohmann::json rows = nlohmann::json::array();
  for (const ConformResult& row : results) {
    rows.push_back({{"check", row.check},
                    {"outcome", row.outcome},
                    {"detail", row.detail},
                    {"note", row.note},
                    {"ms", row.ms}});
  }
  return {{"engine", engine.name}, {"version", engine.version}, {"plugin", engine.plugin}, {"checks", rows}};
}

void print(const wire::EngineDescription& engine, const std::vector<ConformResult>& results) {
  say("{} ({} {})\n", engine.name, engine.family, engine.version);
  for (const ConformResult& row : results) {
    say("  {:<84} {:<6} {:>7} ms\n", row.check, row.outcome, row.ms);
    if (!row.passed()) {
      say("    {}\n", Lines{row.detail});
    } else if (!row.note.empty()) {
      say("    note: {}\n", Lines{row.note});
    }
  }
  const auto passed =
      std::count_if(results.begin(), results.end(), [](const auto& row) { return row.passed(); });
  say("{}: {} of {} checks passed\n\n", engine.name, passed, results.size());
}

ExitStatus conform(ConformArguments& options, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  if (options.settings.source("engine") == "default") {
    throw UsageError("conform needs --engine");
  }
  campaign::ConformOptions conform;
  conform.seed = config.key.seed;
  conform.worker = find_worker(config.worker);
  conform.hang_ms = config.hang_ms;
  const wire::Hello hello = campaign::resolve_engines(conform.worker, &config.engines);
  for (const std::string& name : config.engines) {
    campaign::require_engine(hello, name);
  }
  const campaign::WorkDirectory work(config.directory, config.engines, globals.stop);
  log_line(fmt::format("seed {}", campaign::seed_text(conform.seed)));
  nlohmann::json all = nlohmann::json::array();
  bool conforms = true;
  for (const std::string& name : config.engines) {
    const wire::EngineDescription& engine = campaign::require_engine(hello, name);
    const TempDir directory(work.path(), "conform-");
    const std::vector<ConformResult> results =
        campaign::run_conformance(hello, engine, conform, directory.path(), *globals.stop);
    conforms =
        conforms && std::all_of(results.begin(), results.end(), [](const auto& row) { return row.passed(); });
    if (options.json) {
      all.push_back(to_json(engine, results));
    } else {
      print(engine, results);
    }
  }
  if (options.json) {
    say_json(all);
  }
  if (globals.stop->requested()) {
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  return conforms ? ExitStatus::pass : ExitStatus::violation;
}

}  // namespace

Command make_conform_command(CLI::App& parent, Globals& globals) {
  CLI::App* app =
      parent.add_subcommand("conform", "check that an engine does what the gate expects of every engine");
  auto options = std::make_shared<ConformArguments>(*app);
  app->add_flag("--json", options->json, "print the result as JSON");
  app->footer(
      "Examples:\n"
      "  chaosgate conform --engine lmdb\n"
      "  chaosgate conform --engine build/release/plugins/sqlite.so:sqlite-wal-full --seed 7\n\n"
      "Exit status: 0 every check passed, 1 one did not, 2 usage.");
  return {app, [options, &globals] { return conform(*options, globals); }};
}

}  // namespace chaosgate::cli
