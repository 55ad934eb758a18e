// chaosgate minimize: from the bundle of a power cut to its cause, in one sentence, and a smaller bundle.
#include <fmt/format.h>

#include <cstdio>

#include "harness/base/error.h"
#include "harness/base/printable.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/minimize.h"
#include "harness/campaign/replay.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"

namespace chaosgate::cli {
namespace {

namespace fs = std::filesystem;

using report::ExitStatus;

struct MinimizeArguments {
  explicit MinimizeArguments(CLI::App& app)
      : settings(app, {"engine", "dir", "worker", "hang-ms"}, {{"engine", ""}}) {}

  Settings settings;
  std::string bundle;
  std::string out;
  std::string tests = "400";
  std::string repeat = "20";
  bool json = false;
};

// Beside the bundle: "bundle.min.tar.zst".
fs::path default_out(const fs::path& bundle) {
  fs::path file = fs::is_directory(bundle) ? bundle / "bundle.tar.zst" : bundle;
  std::string name = file.filename().string();
  const std::string_view ending = ".tar.zst";
  if (name.ends_with(ending)) {
    name.resize(name.size() - ending.size());
  }
  return file.parent_path() / (name + ".min.tar.zst");
}

ExitStatus minimize(MinimizeArguments& options, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  config.worker = find_worker(config.worker);
  const auto tests = static_cast<std::uint32_t>(parse_number("--tests", options.tests, 1, 1'000'000));
  const std::uint64_t repeat = parse_number("--repeat", options.repeat, 1, 1'000'000);
  const campaign::WorkDirectory work(config.directory, {"bundle"}, globals.stop);
  fs::create_directory(work.path() / "image");
  fs::create_directory(work.path() / "base");
  campaign::Bundle bundle =
      campaign::read_bundle(options.bundle, work.path() / "image", work.path() / "base");
  const bool names_engine = options.settings.source("engine") == "flag";
  const std::vector<std::string> named = names_engine ? config.engines : std::vector<std::string>{};
  campaign::choose_plugin(named, &bundle);
  const std::string& plugin = bundle.recovery.order.plugin;
  const wire::Hello hello = campaign::read_hello(config.worker, campaign::plugins_of(plugin));
  const wire::EngineDescription* engine = wire::find_engine(hello, bundle.recovery.order.engine);
  if (engine == nullptr) {
    throw UsageError(fmt::format("{}: unknown engine '{}'; 'chaosgate list' names them", options.bundle,
                                 printable_line(bundle.recovery.order.engine)));
  }
  campaign::validate_key(bundle.key, hello);
  const campaign::MinimizeResult result = campaign::minimize_bundle(
      bundle, *engine, work.path(), config.worker, config.hang_ms, tests, *globals.stop);
  if (globals.stop->requested()) {  // what it came to until then is not kept
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  const fs::path out = options.out.empty() ? default_out(options.bundle) : fs::path(options.out);
  campaign::write_bundle(result.bundle, result.image, {}, out, &result.power);

  // As a reader of the file would: whether it shows the same.
  fs::create_directory(work.path() / "check");
  campaign::Bundle written = campaign::read_bundle(out, work.path() / "check");
  written.recovery.order.plugin = plugin;
  std::uint64_t reproduced = 0;
  std::uint64_t runs = 0;
  while (runs < repeat) {
    const campaign::ReplayRun replay = campaign::replay_bundle(
        written, work.path() / "check", work.path() / "replay", config.worker, config.hang_ms, *globals.stop);
    if (globals.stop->requested()) {
      break;  // it says nothing
    }
    ++runs;
    const std::string shown =
        replay.violations.empty() ? "abnormal death" : replay.violations.front().invariant;
    const bool failed = !replay.violations.empty() || !replay.abnormal.empty();
    reproduced += failed && shown == result.invariant ? 1 : 0;
  }
  const std::string image = disk::to_string(result.power.spec);
  if (options.json) {
    say_json({{"invariant", result.invariant},
              {"cause", result.sentence},
              {"weakest_profile", result.profile},
              {"image", image},
              {"images_judged", result.tests},
              {"minimal", result.minimal},
              {"lost_before", result.lost_before},
              {"lost_after", result.lost_after},
              {"calls_before", result.calls_before},
              {"calls_after", result.calls_after},
              {"bundle", out.string()},
              {"runs", runs},
              {"reproduced", reproduced}});
  } else {
    say("{} {}: {}\n", engine->name, engine->version, result.invariant);
    say("  {}\n", result.sentence);
    say("  weakest profile  {}\n", result.profile);
    say("  lost             {} of {} operations ({}), {} images judged{}\n", result.lost_after,
        result.lost_before, image, result.tests, result.minimal ? "" : "; the tests ran out");
    say("  storage calls    {} of {}\n", result.calls_after, result.calls_before);
    say("  bundle           {} ({} bytes)\n", out.string(), fs::file_size(out));
    say("  reproduced       {} of {}\n", reproduced, runs);
  }
  if (globals.stop->requested()) {
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  return reproduced == runs ? ExitStatus::violation : ExitStatus::inconclusive;
}

}  // namespace

Command make_minimize_command(CLI::App& parent, Globals& globals) {
  CLI::App* app = parent.add_subcommand(
      "minimize", "reduce the bundle of a power cut to its cause, one sentence, and a smaller bundle");
  auto options = std::make_shared<MinimizeArguments>(*app);
  app->add_option("bundle", options->bundle, "the bundle, or the directory that it is in")->required();
  app->add_option("--out", options->out, "where to write the smaller one; default: beside the bundle")
      ->type_name("FILE");
  app->add_option("--tests", options->tests, "judge at most so many images (default 400)")->type_name("N");
  app->add_option("--repeat", options->repeat, "replay the result so often (default 20)")->type_name("N");
  app->add_flag("--json", options->json, "print the result as JSON");
  app->footer(
      "Example:\n"
      "  chaosgate minimize results/latest/failures/ID/bundle.tar.zst\n\n"
      "Exit status: 1 the smaller bundle fails every time, 2 usage, 3 it does not.");
  return {app, [options, &globals] { return minimize(*options, globals); }};
}

}  // namespace chaosgate::cli
