// chaosgate trace: the storage calls of one cycle, or of a file or bundle that holds some.
#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <memory>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/replay.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/seed_target.h"
#include "harness/cli/settings.h"
#include "harness/disk/micro_op.h"
#include "harness/tap/trace.h"

namespace chaosgate::cli {
namespace {

using report::ExitStatus;

struct TraceArguments {
  explicit TraceArguments(CLI::App& app) : settings(app, seed_target_keys(), {{"engine", ""}}) {
    target.cycle = "0";
  }

  Settings settings;
  SeedTarget target;  // its seed may be the path of a trace file
  std::string output;
};

// Numbered as findings cite them: "record 17". `notes`: what is said of some of them.
void print(const tap::Trace& trace, const std::map<std::size_t, std::string>& notes = {}) {
  fmt::print("record  begin thread and call\n");
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    const auto note = notes.find(i);
    fmt::print("{:>6} {}{}\n", i, tap::describe(trace.records[i]),
               note == notes.end() ? "" : "  <- " + note->second);
  }
  fmt::print("{} storage calls, signature {:016x}\n", trace.records.size(), tap::signature(trace));
}

// What the image of a power cut has of each call that it does not have whole, and where it was cut.
std::map<std::size_t, std::string> notes_of(const campaign::PowerCase& power) {
  std::unique_ptr<const disk::History> history;
  std::map<std::size_t, std::string> notes;
  if (!disk::History::create(power.trace, &history).ok()) {
    return notes;
  }
  const auto note = [&](disk::OpId op, const char* what) {
    if (op < history->ops().size()) {
      notes[history->ops()[op].record] = what;
    }
  };
  if (power.spec.cut > 0 && power.spec.cut <= power.trace.records.size()) {
    notes[power.spec.cut - 1] = "the power failed after this call";
  }
  for (const disk::OpId op : power.spec.dropped) {
    note(op, "lost, or a part of it");
  }
  for (const disk::Tear& tear : power.spec.torn) {
    note(tear.op, "torn");
  }
  return notes;
}

ExitStatus print_bundle(const std::string& path) {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-trace-");
  std::filesystem::create_directory(directory.path() / "image");
  std::filesystem::create_directory(directory.path() / "base");
  const campaign::Bundle bundle =
      campaign::read_bundle(path, directory.path() / "image", directory.path() / "base");
  if (!bundle.power) {
    throw UsageError(
        fmt::format("{}: of a kill, so no trace is in it; 'chaosgate trace {} --cycle {} ...' makes one",
                    path, campaign::seed_text(bundle.key.seed), bundle.cycle));
  }
  print(bundle.power->trace, notes_of(*bundle.power));
  return ExitStatus::pass;
}

bool is_bundle(const std::string& path) {
  constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
  std::string bytes;
  return std::filesystem::is_directory(path) ||
         (read_file(path, &bytes).ok() && bytes.starts_with(kZstdMagic));
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

ExitStatus trace(TraceArguments& options, const CLI::App& app, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  if (std::filesystem::exists(options.target.seed)) {
    options.settings.refuse(seed_target_keys(), "does nothing with a file, which says it");
    refuse_flags(app, {"--cycle", "--lane", "--output", "--as-planned"}, "does nothing with a file");
    return is_bundle(options.target.seed) ? print_bundle(options.target.seed)
                                          : print_file(options.target.seed);
  }
  config.worker = find_worker(config.worker);
  SeedCycle cycle = seed_cycle(options.target, options.settings, config, "a trace", "seed, file or bundle");
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
  CLI::App* app =
      parent.add_subcommand("trace", "print the storage calls of one cycle, or of a trace file or bundle");
  auto options = std::make_shared<TraceArguments>(*app);
  app->add_option("target", options->target.seed,
                  "a seed, or the path of a trace file or of a power cut's bundle")
      ->required();
  app->add_option("--cycle", options->target.cycle, "from a seed: the cycle (default 0)")->type_name("N");
  app->add_option("--lane", options->target.lane, "from a seed: its lane (default 0)")->type_name("N");
  app->add_option("--output", options->output, "write the trace to this file instead of printing it")
      ->type_name("FILE");
  app->add_flag("--as-planned", options->target.as_planned, "do not pin the cycles before; see 'replay'");
  app->footer(
      "Examples:\n"
      "  chaosgate trace 0x2a --engine lmdb --cycle 3\n"
      "  chaosgate trace 0x2a --engine rocksdb --output calls.trace\n"
      "  chaosgate trace calls.trace\n"
      "  chaosgate trace results/latest/failures/ID/bundle.tar.zst   # numbered as the finding cites them");
  return {app, [options, app, &globals] { return trace(*options, *app, globals); }};
}

}  // namespace chaosgate::cli
