// chaosgate run: a campaign of random kills, and its verdict.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "harness/base/error.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/plans.h"
#include "harness/cli/command.h"
#include "harness/cli/plan_checksum.h"
#include "harness/cli/settings.h"
#include "harness/report/writers.h"

namespace chaosgate::cli {
namespace {

struct RunArguments {
  explicit RunArguments(CLI::App& app)
      : settings(app, {"engine",       "replicas",     "engines",  "kills",
                       "seed",         "lanes",        "workload", "protocol",
                       "crash",        "faults",       "images",   "loads",
                       "profile",      "tap",          "plan",     "recrash",
                       "maintenance",  "timer-us-max", "fault",    "segment-bytes",
                       "dir",          "results",      "worker",   "hang-ms",
                       "failures-max", "regressions",  "selftest", "at-risk-percent-min"}) {}

  Settings settings;
  bool print_config = false;
  bool print_plan = false;
  bool json = false;
  bool quiet = false;
  std::string plan_checksum;
};

// The engines of a replica group: one for each, or one for all.
void take_group(const Settings& settings, campaign::CampaignConfig* config) {
  const bool named = settings.source("engines") != "default";
  if (config->replicas == 0) {
    if (named) {
      throw UsageError("--engines: only with --replicas; name a single engine with --engine");
    }
    return;
  }
  if (!named || settings.source("engine") != "default") {
    throw UsageError(fmt::format("--replicas {}: name their engines with --engines", config->replicas));
  }
  if (config->engines.size() == 1) {
    config->engines.resize(config->replicas, config->engines.front());
  }
}

// What was asked for and would do nothing is a mistake: --images without power cuts tests less than was
// meant.
void refuse_idle(const Settings& settings, const campaign::CampaignConfig& config) {
  const std::string why = "does nothing with faults " + settings.value("faults");
  if (!config.power) {
    settings.refuse({"images", "loads", "profile"}, why + ": no power cuts");
  }
  if (!config.kill) {
    settings.refuse({"kills", "at-risk-percent-min", "plan", "crash", "recrash"}, why + ": no kills");
  }
  if (!config.key.plan.timer) {
    settings.refuse({"timer-us-max"}, "does nothing without timers in --crash");
  }
  if (config.replicas > 0) {
    settings.refuse({"at-risk-percent-min"}, "does nothing with --replicas");
    if (config.tap == campaign::TapUse::always) {
      settings.refuse({"tap"}, "always does nothing with --replicas: calls are seen where a plan needs it");
    }
  }
  for (const crash::CyclePlan& plan : config.plans) {
    if (plan.lane >= config.lanes) {
      throw UsageError(fmt::format("--plan {}: a plan of lane {}, and there are {} (--lanes), counted from 0",
                                   config.plan_file.string(), plan.lane, config.lanes));
    }
  }
}

report::ExitStatus run(RunArguments& options, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  take_group(options.settings, &config);
  config.plan_checksum = options.plan_checksum;
  const std::uint64_t work = config.kill ? config.kills : config.images;
  if (options.settings.source("lanes") == "default" && work > 0) {
    config.lanes = static_cast<std::uint32_t>(std::min<std::uint64_t>(config.lanes, work));
  }
  refuse_idle(options.settings, config);
  if (options.print_config) {
    say("{}", Lines{options.settings.toml()});
    return report::ExitStatus::pass;
  }
  if (options.print_plan) {
    campaign::for_each_plan(config, [](const std::string& line) { say("{}\n", line); });
    return report::ExitStatus::pass;
  }
  config.worker = find_worker(config.worker);
  const bool interactive = !options.quiet;
  report::Progress progress(interactive);
  campaign::CampaignOutput output;
  output.progress = &progress;
  output.log = [&](const std::string& line) {
    progress.clear();
    log_line(line);
  };
  output.settings = options.settings.lines();
  output.command = config.invocation.again;
  const report::CampaignReport result = campaign::run_campaign(config, *globals.stop, output);
  progress.clear();
  bool written = true;
  for (const std::string& complaint : report::write_results(result, output.directory)) {
    log_line("a report could not be written: " + complaint);
    written = false;
  }
  if (const char* actions = std::getenv("GITHUB_ACTIONS");
      actions != nullptr && std::string(actions) == "true") {
    say_error("{}", Lines{report::render_github_errors(result)});
  }
  log_line("reports in " + output.directory.string());
  const std::string text =
      options.json ? report::render_json(result) : report::render_terminal(result, use_color(globals, 1));
  written = print_result(text) && written;
  return after_writing(result.exit_status(), written);
}

}  // namespace

Command make_run_command(CLI::App& parent, Globals& globals) {
  CLI::App* app =
      parent.add_subcommand("run", "kill workers at random points, recover, and compare with the oracle");
  auto options = std::make_shared<RunArguments>(*app);
  app->add_flag("--print-config", options->print_config,
                "print every setting with its source, as TOML for --config, and do nothing");
  app->add_flag("--print-plan", options->print_plan,
                "print what the seed plans, one cycle or load a line, for --plan; and do nothing");
  add_plan_checksum(*app, &options->plan_checksum);
  app->add_flag("--json", options->json, "print the result as JSON");
  app->add_flag("--quiet", options->quiet, "no progress on stderr");
  app->footer(
      "Examples:\n"
      "  chaosgate run --engine lmdb --kills 1000\n"
      "  chaosgate run --engine rocksdb --engine lmdb --kills 100 --seed 0x2a --selftest\n"
      "  chaosgate run --engine rocksdb --crash step --maintenance scheduled   # repeats exactly\n"
      "  chaosgate run --engine lmdb --faults power --images 1000 --profile ext4-ordered\n\n"
      "Exit status: 0 pass, 1 violation, 2 usage, 3 inconclusive, 4 nothing ran, 70 internal error,\n"
      "130 or 143 interrupted.");
  return {app, [options, &globals] { return run(*options, globals); }};
}

}  // namespace chaosgate::cli
