// chaosgate replay: one failure again, from its seed or from its bundle.
#include <fmt/format.h>

#include <map>
#include <set>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/replay.h"
#include "harness/campaign/versions.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/seed_target.h"
#include "harness/cli/settings.h"
#include "harness/report/facts.h"

namespace chaosgate::cli {
namespace {

using campaign::ReplayRun;
using report::ExitStatus;

struct ReplayArguments {
  explicit ReplayArguments(CLI::App& app) : settings(app, seed_target_keys(), {{"engine", ""}}) {}

  Settings settings;
  SeedTarget target;  // its seed may be the path of a bundle
  std::string repeat = "1";
  bool json = false;
};

struct Outcome {
  std::uint64_t reproduced = 0;
  std::uint64_t runs = 0;                           // that came to a verdict
  std::uint64_t otherwise = 0;                      // of them, showed something that is not the finding
  std::map<std::string, std::uint64_t> not_judged;  // why -> how many runs that say nothing
  std::map<std::string, std::uint64_t> positions;   // of the wanted cycle's crash, from the seed
  ReplayRun last;
  std::set<std::string> invariants;
};

// `same`: what the run shows, if anything, is what is looked for.
void take(Outcome& outcome, ReplayRun run, bool same) {
  const bool shows = !run.violations.empty() || !run.abnormal.empty();
  if (!run.not_judged.empty() && !(shows && same)) {
    ++outcome.not_judged[run.not_judged];
    outcome.last = std::move(run);
    return;
  }
  ++outcome.runs;
  outcome.reproduced += shows && same ? 1 : 0;
  outcome.otherwise += shows && !same ? 1 : 0;
  for (const report::ViolationEvent& violation : run.violations) {
    outcome.invariants.insert(violation.invariant);
  }
  outcome.last = std::move(run);
}

void print_json(const Outcome& outcome, const std::string& what) {
  nlohmann::json positions = nlohmann::json::object();
  for (const auto& [position, count] : outcome.positions) {
    positions[position] = count;
  }
  nlohmann::json violations = nlohmann::json::array();
  for (const report::ViolationEvent& violation : outcome.last.violations) {
    violations.push_back({{"invariant", violation.invariant},
                          {"explanation", violation.explanation},
                          {"detail", violation.detail}});
  }
  const nlohmann::json result = {{"what", what},
                                 {"runs", outcome.runs},
                                 {"reproduced", outcome.reproduced},
                                 {"otherwise", outcome.otherwise},
                                 {"not_judged", outcome.not_judged},
                                 {"positions", positions},
                                 {"abnormal", outcome.last.abnormal},
                                 {"images", outcome.last.images},
                                 {"images_failed", outcome.last.images_failed},
                                 {"not_promised", outcome.last.not_promised},
                                 {"violations", violations}};
  say_json(result);
}

void print_text(const Outcome& outcome, const std::string& what) {
  say("{}\n", Lines{what});
  for (const auto& [position, count] : outcome.positions) {
    say("  {} of {}: {}\n", count, outcome.runs, position);
  }
  for (const report::ViolationEvent& violation : outcome.last.violations) {
    say("{}\n", Lines{violation.detail});
  }
  for (const std::string& finding : outcome.last.not_promised) {
    say("  not promised: {}\n", finding);
  }
  if (!outcome.last.abnormal.empty()) {
    say("  abnormal end: {}\n", outcome.last.abnormal);
  }
  for (const auto& [why, count] : outcome.not_judged) {
    say("{} not judged: {}\n", report::plural(count, "run"), why);
  }
  const std::string invariants =
      outcome.invariants.empty() ? "" : fmt::format(": {}", fmt::join(outcome.invariants, ", "));
  if (outcome.otherwise > 0) {
    say("failed otherwise in {} of {}{}\n", outcome.otherwise, report::plural(outcome.runs, "run"),
        outcome.reproduced == 0 ? invariants : "");
  }
  if (outcome.reproduced > 0) {
    say("reproduced {} of {}{}\n", outcome.reproduced, outcome.runs, invariants);
  } else if (outcome.runs > 0 && outcome.otherwise == 0) {
    say("clean in {} of {} runs\n", outcome.runs, outcome.runs);
  }
}

ExitStatus print(const Outcome& outcome, const std::string& what, bool json,
                 const campaign::StopSignal& stop) {
  if (json) {
    print_json(outcome, what);
  } else {
    print_text(outcome, what);
  }
  if (outcome.reproduced > 0) {
    return ExitStatus::violation;
  }
  // "Clean" must not be said of what was not run to its end, nor "reproduced" of something else: git bisect
  // believes it.
  if (stop.requested()) {
    return static_cast<ExitStatus>(128 + stop.signal());
  }
  const bool clean = outcome.runs > 0 && outcome.otherwise == 0 && outcome.not_judged.empty();
  return clean ? ExitStatus::pass : ExitStatus::untestable;
}

ExitStatus replay_by_seed(const ReplayArguments& options, const campaign::CampaignConfig& config,
                          std::uint64_t repeat, const Globals& globals) {
  const SeedCycle cycle = seed_cycle(options.target, config);
  const campaign::SeedReplay& replay = cycle.replay;
  const campaign::WorkDirectory work(config.directory, {replay.engine}, globals.stop);
  if (!replay.as_planned && replay.cycle > 0 && (replay.key.plan.timer || replay.key.plan.free_running)) {
    log_line(
        "timers and free-running maintenance before the wanted cycle are replaced by step kills and "
        "scheduled "
        "maintenance, so that it begins at the same place every time (--as-planned keeps them)");
  }
  log_line(fmt::format("seed {}, plan {}: {} {} lane {}, cycles 0 to {}",
                       campaign::seed_text(replay.key.seed), cycle.plan, replay.engine,
                       wire::to_string(replay.protocol), replay.lane, replay.cycle));
  Outcome outcome;
  for (std::uint64_t i = 0; i < repeat && !globals.stop->requested(); ++i) {
    ReplayRun run = campaign::replay_seed(replay, work.path() / fmt::format("replay-{}", i), *globals.stop);
    if (run.reached && run.not_judged.empty()) {
      ++outcome.positions[report::position(run.event.crash)];
    }
    take(outcome, std::move(run), true);
  }
  return print(outcome,
               text("{} seed {} lane {} cycle {}\n  {}", replay.engine, campaign::seed_text(replay.key.seed),
                    replay.lane, replay.cycle,
                    crash::to_string(crash::plan_cycle(replay.key.plan, replay.protocol, replay.key.seed,
                                                       replay.lane, replay.cycle))),
               options.json, *globals.stop);
}

ExitStatus replay_by_load(const ReplayArguments& options, const campaign::CampaignConfig& config,
                          std::uint64_t repeat, const Globals& globals) {
  const SeedLoad load = seed_load(options.target, config);
  const campaign::LoadReplay& replay = load.replay;
  const std::string seed = campaign::seed_text(replay.config.key.seed);
  const campaign::WorkDirectory work(config.directory, {replay.engine.name}, globals.stop);
  if (replay.config.key.plan.free_running) {
    log_line(
        "loads with free-running maintenance are among them, which no seed repeats (--maintenance scheduled "
        "has none)");
  }
  log_line(fmt::format("seed {}, plan {}: {} lane {}, loads 0 to {}, and the disk images of the last", seed,
                       load.plan, replay.engine.name, replay.lane, replay.load));
  Outcome outcome;
  for (std::uint64_t i = 0; i < repeat && !globals.stop->requested(); ++i) {
    take(outcome, campaign::replay_load(replay, work.path() / fmt::format("replay-{}", i), *globals.stop),
         true);
  }
  return print(
      outcome,
      text("{} seed {} lane {} load {}: {} of power cuts, {} failed", replay.engine.name, seed, replay.lane,
           replay.load, report::plural(outcome.last.images, "disk image"), outcome.last.images_failed),
      options.json, *globals.stop);
}

ExitStatus replay_by_bundle(const ReplayArguments& options, const campaign::CampaignConfig& config,
                            std::uint64_t repeat, const Globals& globals) {
  const campaign::WorkDirectory work(config.directory, {"bundle"}, globals.stop);
  const std::filesystem::path image = work.path() / "image";
  std::filesystem::create_directory(image);
  campaign::Bundle bundle = campaign::read_bundle(options.target.seed, image);
  const bool names_engine = options.settings.source("engine") == "flag";
  campaign::choose_plugin(names_engine ? config.engines : std::vector<std::string>{}, &bundle);
  const wire::Hello hello =
      campaign::read_hello(config.worker, campaign::plugins_of(bundle.recovery.order.plugin));
  const wire::EngineDescription& engine = campaign::require_engine(hello, bundle.recovery.order.engine);
  campaign::validate_key(bundle.key, hello);
  if (engine.version != bundle.engine_version) {
    log_line(fmt::format("the bundle was made with {} {}, this is {}", engine.name, bundle.engine_version,
                         engine.version));
  }
  if (bundle.version != campaign::chaosgate_version()) {
    log_line(fmt::format("the bundle was made by chaosgate {}, this is {}", bundle.version,
                         campaign::chaosgate_version()));
  }
  Outcome outcome;
  for (std::uint64_t i = 0; i < repeat && !globals.stop->requested(); ++i) {
    ReplayRun run = campaign::replay_bundle(bundle, image, work.path() / fmt::format("replay-{}", i),
                                            config.worker, config.hang_ms, *globals.stop);
    const bool same = campaign::is_same_finding(bundle, run);
    take(outcome, std::move(run), same);
  }
  std::string was;
  for (const oracle::Violation& violation : bundle.recovery.violations) {
    was += (was.empty() ? "" : ", ") + std::string(oracle::to_string(violation.invariant));
  }
  return print(outcome,
               text("{} {} seed {} lane {} {}; the bundle says: {}", bundle.recovery.order.engine,
                    bundle.engine_version, campaign::seed_text(bundle.key.seed), bundle.lane,
                    bundle.power ? "power cut" : fmt::format("cycle {}", bundle.cycle),
                    was.empty() ? "the load failed" : was),
               options.json, *globals.stop);
}

// What is wrong with the command line, before anything is looked at. Throws UsageError.
void check_usage(const ReplayArguments& options, const CLI::App& app, const campaign::CampaignConfig& config,
                 bool is_number) {
  if (is_number) {
    check_seed_target(options.target, app, options.settings, config, "seed");
    return;
  }
  refuse_flags(app, {"--cycle", "--lane", "--load", "--plan-checksum", "--as-planned"},
               "does not go with a bundle: it is of a seed");
  options.settings.refuse({"workload", "protocol", "crash", "faults", "images", "loads", "profile", "lanes",
                           "plan", "recrash", "maintenance", "timer-us-max", "fault", "segment-bytes"},
                          "does not go with a bundle: the bundle says it");
  if (options.settings.source("engine") == "flag" &&
      (config.engines.size() != 1 || campaign::plugin_path(config.engines.front()).empty())) {
    throw UsageError(
        "--engine does not go with a bundle, which says it, but to name where the plugin is, PATH.so");
  }
}

ExitStatus replay(ReplayArguments& options, const CLI::App& app, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  config.worker = find_worker(config.worker);
  const std::uint64_t repeat = parse_number("--repeat", options.repeat, 1, 1'000'000);
  const bool is_number =
      !options.target.seed.empty() &&
      options.target.seed.find_first_not_of("0123456789abcdefABCDEFxX") == std::string::npos &&
      !std::filesystem::exists(options.target.seed);
  check_usage(options, app, config, is_number);
  try {
    return !is_number                    ? replay_by_bundle(options, config, repeat, globals)
           : options.target.load.empty() ? replay_by_seed(options, config, repeat, globals)
                                         : replay_by_load(options, config, repeat, globals);
  } catch (const std::exception& error) {
    // Whatever it is (no bundle, no worker, no such engine in it): nothing is known of the failure. Any other
    // status would be a verdict for git bisect.
    log_line(error.what());
    return globals.stop->requested() ? static_cast<ExitStatus>(128 + globals.stop->signal())
                                     : ExitStatus::untestable;
  }
}

}  // namespace

Command make_replay_command(CLI::App& parent, Globals& globals) {
  CLI::App* app = parent.add_subcommand("replay", "run one failure again, from its seed or from its bundle");
  auto options = std::make_shared<ReplayArguments>(*app);
  app->add_option("target", options->target.seed, "a seed, or the path of a bundle")->required();
  add_seed_target(*app, &options->target);
  app->add_option("--repeat", options->repeat,
                  "run it N times and say how often it was reproduced (default 1)")
      ->type_name("N");
  app->add_flag("--json", options->json, "print the result as JSON");
  app->footer(
      "Examples:\n"
      "  chaosgate replay 0x2a --engine rocksdb --cycle 17 --repeat 20\n"
      "  chaosgate replay 0x2a --engine lmdb --load 3 --images 400 --profile strict\n"
      "  chaosgate replay results/latest/failures/ID/bundle.tar.zst\n\n"
      "Exit status: 0 clean, 1 reproduced, 2 usage, 125 untestable, or it fails otherwise (so that 'git "
      "bisect run' works), 130 or 143 interrupted.");
  return {app, [options, app, &globals] { return replay(*options, *app, globals); }};
}

}  // namespace chaosgate::cli
