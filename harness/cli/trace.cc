// chaosgate trace: the storage calls of one cycle, or of a file that holds some.
#include <fmt/format.h>

#include <cstdio>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/replay.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/seed_target.h"
#include "harness/cli/settings.h"
#include "harness/tap/trace.h"

namespace chaosgate::cli {
namespace {

using report::ExitStatus;

struct TraceArguments {
  explicit TraceArguments(CLI::App& app) : settings(app, seed_target_keys()) { target.cycle = "0"; }

  Settings settings;
  SeedTarget target;  // its seed may be the path of a trace file
  std::string output;
};

void print(const tap::Trace& trace) {
  for (const tap::TraceRecord& record : trace.records) {
    fmt::print("{}\n", tap::describe(record));
  }
  fmt::print("{} storage calls, signature {:016x}\n", trace.records.size(), tap::signature(trace));
}

ExitStatus print_file(const std::string& path) {
  std::string bytes;
  if (const Status status = read_file(path, &bytes); !status.ok()) {
    throw UsageError(fmt::format("{}: {}", path, status.message()));
  }
  tap::Trace trace;
  if (const Status status = tap::load_trace(bytes, &trace); !status.ok()) {
    throw UsageError(fmt::format("{}: {}", path, status.message()));
  }
  print(trace);
  return ExitStatus::pass;
}

ExitStatus trace(TraceArguments& options, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  if (std::filesystem::exists(options.target.seed)) {
    return print_file(options.target.seed);
  }
  config.worker = find_worker(config.worker);
  SeedCycle cycle = seed_cycle(options.target, options.settings, config, "a trace", "seed or file");
  campaign::SeedReplay& replay = cycle.replay;
  replay.trace = true;
  if (!cycle.hello.tap_unavailable.empty()) {
    throw UsageError("storage calls cannot be seen here: " + cycle.hello.tap_unavailable);
  }
  const campaign::WorkDirectory work(config.directory, {replay.engine}, globals.stop);
  const campaign::ReplayRun run = campaign::replay_seed(replay, work.path() / "trace", *globals.stop);
  if (globals.stop->requested()) {
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  if (!run.reached || !run.not_judged.empty()) {
    log_line(
        fmt::format("cycle {} has no trace: {}", replay.cycle,
                    run.not_judged.empty()
                        ? fmt::format("the lane ended in cycle {} before it, {}; 'chaosgate replay' says why",
                                      run.event.cycle, report::position(run.event.crash))
                        : run.not_judged));
    return ExitStatus::nothing_ran;
  }
  tap::Trace trace;
  trace.records = run.records;
  log_line(report::position(run.event.crash));
  if (options.output.empty()) {
    print(trace);
    return ExitStatus::pass;
  }
  std::string bytes;
  tap::save_trace(trace, &bytes);
  replace_file(options.output, bytes);
  fmt::print("{} storage calls, signature {:016x}, in {}\n", trace.records.size(), tap::signature(trace),
             options.output);
  return ExitStatus::pass;
}

}  // namespace

Command make_trace_command(CLI::App& parent, Globals& globals) {
  CLI::App* app = parent.add_subcommand("trace", "print the storage calls of one cycle, or of a trace file");
  auto options = std::make_shared<TraceArguments>(*app);
  app->add_option("target", options->target.seed, "a seed, or the path of a trace file")->required();
  app->add_option("--cycle", options->target.cycle, "from a seed: the cycle (default 0)")->type_name("N");
  app->add_option("--lane", options->target.lane, "from a seed: its lane")->type_name("N");
  app->add_option("--output", options->output, "write the trace to this file instead of printing it")
      ->type_name("FILE");
  app->add_flag("--as-planned", options->target.as_planned, "do not pin the cycles before; see 'replay'");
  app->footer(
      "Examples:\n"
      "  chaosgate trace 0x2a --engine lmdb --cycle 3\n"
      "  chaosgate trace 0x2a --engine rocksdb --output calls.trace\n"
      "  chaosgate trace calls.trace");
  return {app, [options, &globals] { return trace(*options, globals); }};
}

}  // namespace chaosgate::cli
