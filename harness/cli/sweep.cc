// chaosgate sweep: one death at every storage call of a small load and of a recovery.
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/sweep.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"
#include "harness/report/writers.h"

namespace chaosgate::cli {
namespace {

using report::ExitStatus;

struct SweepArguments {
  explicit SweepArguments(CLI::App& app)
      : settings(app,
                 {"engine", "seed", "workload", "protocol", "fault", "segment-bytes", "dir", "results",
                  "worker", "hang-ms", "failures-max"},
                 {{"segment-bytes", "4096"}}) {}

  Settings settings;
  std::string entries = "60";
  bool json = false;
  bool quiet = false;
};

struct Swept {
  std::string engine;
  std::string protocol;
  campaign::SweepResult result;
};

std::string first_failure(const report::CycleEvent& event) {
  if (!event.violations.empty()) {
    return event.violations.front().detail;
  }
  const report::Death& death = event.last_death();
  return nlohmann::json(death.outcome).get<std::string>() + ": " + death.detail + "\n";
}

void print_counts(const char* what, const std::map<std::string, std::uint64_t>& counts) {
  say("  {:<16}", what);
  for (const auto& [name, count] : counts) {
    say("  {} {}", name, count);
  }
  say("\n");
}

void print_text(const Swept& swept) {
  const campaign::SweepResult& result = swept.result;
  say("{}, {}: {} storage calls in the load, {} in the recovery\n", swept.engine, swept.protocol,
      result.load_calls, result.recovery_calls);
  print_counts("points by phase:", result.by_phase);
  print_counts("points by call:", result.by_call);
  for (const std::string& missed : result.missed) {
    say("  not reached: {}\n", missed);
  }
  for (std::size_t i = 0; i < result.failures.size(); ++i) {
    say("\n{}  died: {}\n", Lines{first_failure(result.failures[i])}, result.failures[i].crash.planned);
  }
  say("  {} of {} points\n", result.judged, result.points);
  if (!result.harness_fault.empty()) {
    say("  ended early: {}\n", result.harness_fault);
  }
}

nlohmann::json to_json(const Swept& swept) {
  const campaign::SweepResult& result = swept.result;
  return {{"engine", swept.engine},
          {"protocol", swept.protocol},
          {"load_calls", result.load_calls},
          {"recovery_calls", result.recovery_calls},
          {"points", result.points},
          {"judged", result.judged},
          {"by_phase", result.by_phase},
          {"by_call", result.by_call},
          {"missed", result.missed},
          {"failures", result.failures},
          {"harness_fault",
           result.harness_fault.empty() ? nlohmann::json() : nlohmann::json(result.harness_fault)},
          {"complete", result.complete}};
}

ExitStatus sweep(SweepArguments& options, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  config.worker = find_worker(config.worker);
  const wire::Hello hello = campaign::resolve_engines(config.worker, &config.engines);
  campaign::validate(config, hello);
  campaign::SweepOptions sweep;
  sweep.key = config.key;
  if (options.settings.source("segment-bytes") == "default") {
    sweep.key.segment_bytes = 4096;  // so that so few entries cut the log and drop its prefix
  }
  sweep.entries = static_cast<std::uint32_t>(parse_number("--entries", options.entries, 1, 100'000));
  sweep.worker = config.worker;
  sweep.hang_ms = config.hang_ms;
  sweep.failures_max = config.failures_max;
  const campaign::WorkDirectory work(config.directory, config.engines, globals.stop);
  const std::filesystem::path failures =
      config.results / fmt::format("sweep-{}", campaign::seed_text(config.key.seed));
  log_line(fmt::format("seed {}, {} entries", campaign::seed_text(config.key.seed), sweep.entries));
  std::vector<Swept> all;
  report::Progress progress(!options.quiet);
  for (const std::string& engine : config.engines) {
    for (const std::uint64_t lane : {0, 1}) {
      const wire::Protocol protocol = campaign::lane_protocol(config.protocol, lane);
      if (globals.stop->requested() || (lane == 1 && config.protocol != campaign::ProtocolChoice::both)) {
        continue;
      }
      sweep.plugin = campaign::require_engine(hello, engine).plugin;
      sweep.engine = engine;
      sweep.protocol = protocol;
      const std::filesystem::path directory = work.path() / fmt::format("{}-{}", engine, lane);
      std::filesystem::create_directory(directory);
      all.push_back({engine, std::string(wire::to_string(protocol)),
                     campaign::run_sweep(sweep, directory, failures, *globals.stop, &progress)});
      std::filesystem::remove_all(directory);
      progress.clear();
      if (!options.json) {
        print_text(all.back());
      }
    }
  }
  if (options.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const Swept& swept : all) {
      list.push_back(to_json(swept));
    }
    say_json(list);
  }
  bool missed = false;
  bool found = false;
  std::string fault;
  for (const Swept& swept : all) {
    if (!found && !swept.result.bundles.empty()) {
      say_error("{}\n", campaign::bundle_command(config.invocation, swept.result.bundles.front(),
                                                 campaign::plugin_path(swept.engine)));
    }
    found = found || !swept.result.failures.empty();
    missed = missed || swept.result.judged != swept.result.points;
    fault = fault.empty() ? swept.result.harness_fault : fault;
  }
  if (found) {
    return ExitStatus::violation;
  }
  if (!fault.empty()) {
    throw EnvironmentError(fault);
  }
  if (globals.stop->requested()) {
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  return missed ? ExitStatus::inconclusive : ExitStatus::pass;
}

}  // namespace

Command make_sweep_command(CLI::App& parent, Globals& globals) {
  CLI::App* app = parent.add_subcommand(
      "sweep", "die before, after and inside every storage call of a small load and of a recovery");
  auto options = std::make_shared<SweepArguments>(*app);
  app->add_option("--entries", options->entries, "entries of the load (default 60)")->type_name("N");
  app->add_flag("--json", options->json, "print the result as JSON");
  app->add_flag("--quiet", options->quiet, "no progress on stderr");
  app->footer(
      "Examples:\n"
      "  chaosgate sweep --engine lmdb\n"
      "  chaosgate sweep --engine rocksdb --protocol sidecar --entries 200\n\n"
      "Exit status: 0 every point was judged and clean, 1 violation, 2 usage, 3 a point was not reached.");
  return {app, [options, &globals] { return sweep(*options, globals); }};
}

}  // namespace chaosgate::cli
