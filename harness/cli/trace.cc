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
  std::string record;  // the only one to print; empty: all
};

// Numbered as findings cite them: "record 17". `notes`: what is said of some of them. `only`: the number of
// the one to print, or empty.
void print(const tap::Trace& trace, const std::string& only,
           const std::map<std::size_t, std::string>& notes = {}) {
  std::size_t begin = 0;
  std::size_t end = trace.records.size();
  if (!only.empty()) {
    if (end == 0) {
      throw UsageError(fmt::format("--record {}: there are no records", only));
    }
    begin = parse_number("--record", only, 0, end - 1);
    end = begin + 1;
  }
  say("record  begin thread and call\n");
  for (std::size_t i = begin; i < end; ++i) {
    const auto note = notes.find(i);
    say("{:>6} {}{}\n", i, tap::describe(trace.records[i]),
        note == notes.end() ? "" : "  <- " + note->second);
  }
  say("{} storage calls, signature {:016x}\n", trace.records.size(), tap::signature(trace));
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

ExitStatus print_bundle(const std::string& path, const std::string& record) {
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
  print(bundle.power->trace, record, notes_of(*bundle.power));
  return ExitStatus::pass;
}

bool is_bundle(const std::string& path) {
  constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
  std::string bytes;
  return std::filesystem::is_directory(path) ||
         (read_file(path, &bytes).ok() && bytes.starts_with(kZstdMagic));
}

ExitStatus print_file(const std::string& path, const std::string& record) {
  std::string bytes;
  if (const Status status = read_file(path, &bytes); !status.ok()) {
    throw UsageError(fmt::format("{}: {}", path, status.message()));
  }
  tap::Trace trace;
  if (const Status status = tap::load_trace(bytes, &trace); !status.ok()) {
    throw UsageError(fmt::format("{}: {}", path, status.message()));
  }
  print(trace, record);
  return ExitStatus::pass;
}

ExitStatus finish(const tap::Trace& trace, const TraceArguments& options) {
  if (options.output.empty()) {
    print(trace, options.record);
    return ExitStatus::pass;
  }
  std::string bytes;
  tap::save_trace(trace, &bytes);
  replace_file(options.output, bytes);
  say("{} storage calls, signature {:016x}, in {}\n", trace.records.size(), tap::signature(trace),
      options.output);
  return ExitStatus::pass;
}

// The storage calls of a load of power cuts, with those of the recovery after its kill.
ExitStatus trace_load(const TraceArguments& options, const campaign::CampaignConfig& config,
                      const Globals& globals) {
  campaign::LoadReplay replay = seed_load(options.target, config).replay;
  replay.trace = true;
  const campaign::WorkDirectory work(config.directory, {replay.engine.name}, globals.stop);
  log_line(fmt::format("seed {}: {} lane {}, loads 0 to {}", campaign::seed_text(replay.config.key.seed),
                       replay.engine.name, replay.lane, replay.load));
  const campaign::ReplayRun run = campaign::replay_load(replay, work.path() / "trace", *globals.stop);
  if (globals.stop->requested()) {
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  if (run.records.empty()) {
    log_line(fmt::format(
        "load {} has no trace: {}", replay.load,
        run.not_judged.empty() ? "the lane ended before it; 'chaosgate replay' says why" : run.not_judged));
    return ExitStatus::nothing_ran;
  }
  tap::Trace trace;
  trace.records = run.records;
  return finish(trace, options);
}

ExitStatus trace(TraceArguments& options, const CLI::App& app, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  if (std::filesystem::exists(options.target.seed)) {
    options.settings.refuse(seed_target_keys(), "does nothing with a file, which says it");
    refuse_flags(app, {"--cycle", "--lane", "--load", "--output", "--as-planned", "--plan-checksum"},
                 "does nothing with a file");
    return is_bundle(options.target.seed) ? print_bundle(options.target.seed, options.record)
                                          : print_file(options.target.seed, options.record);
  }
  config.worker = find_worker(config.worker);
  check_seed_target(options.target, app, options.settings, config, "seed, file or bundle");
  if (!options.output.empty()) {
    refuse_flags(app, {"--record"}, "does nothing with --output, which has all");
  }
  if (!options.target.load.empty()) {
    return trace_load(options, config, globals);
  }
  SeedCycle cycle = seed_cycle(options.target, config);
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
  return finish(trace, options);
}

}  // namespace

Command make_trace_command(CLI::App& parent, Globals& globals) {
  CLI::App* app =
      parent.add_subcommand("trace", "print the storage calls of one cycle, or of a trace file or bundle");
  auto options = std::make_shared<TraceArguments>(*app);
  app->add_option("target", options->target.seed,
                  "a seed, or the path of a trace file or of a power cut's bundle")
      ->required();
  add_seed_target(*app, &options->target);
  app->add_option("--record", options->record, "print this one only, by the number that findings cite")
      ->type_name("N");
  app->add_option("--output", options->output, "write the trace to this file instead of printing it")
      ->type_name("FILE");
  app->footer(
      "Examples:\n"
      "  chaosgate trace 0x2a --engine lmdb --cycle 3\n"
      "  chaosgate trace 0x2a --engine rocksdb --output calls.trace\n"
      "  chaosgate trace 0x2a --engine lmdb --load 3 --images 400 --profile strict --record 227\n"
      "  chaosgate trace calls.trace\n"
      "  chaosgate trace results/latest/failures/ID/bundle.tar.zst   # numbered as the finding cites them");
  return {app, [options, app, &globals] { return trace(*options, *app, globals); }};
}

}  // namespace chaosgate::cli
