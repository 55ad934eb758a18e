// chaosgate bench: milliseconds per phase of a cycle, and the ratio of a cycle to the floor; or, with
// --engines, engines beside each other (bench_engines.h).
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/campaign/bench.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/bench_engines.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"
#include "harness/report/facts.h"

namespace chaosgate::cli {
namespace {

struct BenchArguments {
  explicit BenchArguments(CLI::App& app)
      : settings(app, {"engine", "seed", "workload", "protocol", "maintenance", "dir", "worker", "hang-ms"},
                 {{"protocol", "in-batch"},
                  {"workload", "mixed; with --engines, kubernetes"},
                  {"maintenance", "both; with --engines, free-running"}}) {}

  Settings settings;
  std::string cycles = "300";
  std::string images = "200";
  std::vector<std::string> engines;  // to compare; empty: what a cycle costs
  std::string entries = "10000";
  std::string rounds = "5";
  bool json = false;
};

nlohmann::json to_json(const campaign::BenchResult& result) {
  const auto object = [](const std::vector<std::pair<std::string, double>>& phases) {
    nlohmann::json json = nlohmann::json::object();
    for (const auto& [name, ms] : phases) {
      json[name] = ms;
    }
    return json;
  };
  return {{"engine", result.engine},
          {"protocol", result.protocol},
          {"cycles", result.cycles},
          {"entries_per_cycle", result.entries_per_cycle},
          {"live_keys", result.live_keys},
          {"phases_ms", object(result.phases)},
          {"load_ms_per_1000_operations", result.load_ms_per_1000_operations},
          {"tapped_load_ms_per_1000_operations", result.tapped_load_ms_per_1000_operations},
          {"tap_ratio", result.tap_ratio()},
          {"handed_over_load_ms_per_1000_operations", result.handed_over_load_ms_per_1000_operations},
          {"hand_over_ratio", result.hand_over_ratio()},
          {"disk_images", result.power.judged},
          {"disk_images_per_second_and_core", result.power.images_per_second_and_core()},
          {"cycle_ms", result.cycle_ms},
          {"floor_ms", result.floor_ms},
          {"floor_phases_ms", object(result.floor_phases)},
          {"ratio", result.ratio()},
          {"first_tenth_ms", result.first_tenth_ms},
          {"last_tenth_ms", result.last_tenth_ms},
          {"driver_rss_first_kib", result.driver_rss_first_kib},
          {"driver_rss_last_kib", result.driver_rss_last_kib}};
}

void print(const campaign::BenchResult& result) {
  say("{}, {}: {} cycles, {:.0f} entries a load, {:.0f} live keys compared twice\n", result.engine,
      result.protocol, result.cycles, result.entries_per_cycle, result.live_keys);
  for (const auto& [name, ms] : result.phases) {
    say("  {:<24} {:>8.2f} ms\n", name, ms);
  }
  say("  {:<24} {:>8.2f} ms per 1,000 operations\n", "load", result.load_ms_per_1000_operations);
  if (result.tap_ratio() > 0) {
    say("  {:<24} {:>8.2f} ms per 1,000 operations, {:.2f} times\n", "load under the tap",
        result.tapped_load_ms_per_1000_operations, result.tap_ratio());
    say("  {:<24} {:>8.2f} ms per 1,000 operations, {:.2f} times\n", "  handed over only",
        result.handed_over_load_ms_per_1000_operations, result.hand_over_ratio());
  }
  if (result.power.judged > 0) {
    say("  {:<24} {:>8}    {}\n", "disk images", result.power.judged, report::speed_text(result.power));
  }
  say("  {:<24} {:>8.2f} ms   first tenth {:.2f}, last tenth {:.2f}\n", "cycle", result.cycle_ms,
      result.first_tenth_ms, result.last_tenth_ms);
  say("  {:<24} {:>8.2f} ms  ", "floor", result.floor_ms);
  for (const auto& [name, ms] : result.floor_phases) {
    say(" {} {:.2f}", name, ms);
  }
  say("\n  {:<24} {:>8.2f}\n", "cycle / floor", result.ratio());
  say("  {:<24} {:>8} KiB, then {} KiB\n\n", "driver memory", result.driver_rss_first_kib,
      result.driver_rss_last_kib);
}

// Each of the two benches has flags of its own.
void refuse_foreign_flags(const CLI::App& app, bool compares) {
  const std::vector<const char*> foreign = compares ? std::vector{"--engine", "--cycles", "--images"}
                                                    : std::vector{"--entries", "--rounds", "--maintenance"};
  for (const char* flag : foreign) {
    if (app.count(flag) > 0) {
      throw UsageError(std::string(flag) + (compares ? " does not go with --engines" : " needs --engines"));
    }
  }
}

campaign::CampaignConfig resolve(Settings& settings) {
  campaign::CampaignConfig config = settings.resolve();
  if (settings.source("protocol") == "default") {
    config.protocol = campaign::ProtocolChoice::in_batch;
  } else if (config.protocol == campaign::ProtocolChoice::both) {
    throw UsageError("protocol both: expected in-batch or sidecar");
  }
  return config;
}

report::ExitStatus compare(BenchArguments& options, const Globals& globals) {
  campaign::CampaignConfig config = resolve(options.settings);
  config.worker = find_worker(config.worker);
  config.engines = options.engines;
  if (options.settings.source("workload") == "default") {
    config.key.workload = "kubernetes";
  }
  if (options.settings.source("maintenance") == "default") {
    config.key.plan.scheduled = false;
  } else if (config.key.plan.scheduled && config.key.plan.free_running) {
    throw UsageError("maintenance both: expected scheduled or free-running");
  }
  campaign::EngineBenchOptions bench_options;
  bench_options.entries =
      static_cast<std::uint32_t>(parse_number("--entries", options.entries, 1, 100'000'000));
  bench_options.rounds = static_cast<std::uint32_t>(parse_number("--rounds", options.rounds, 1, 1000));
  return run_engine_bench(config, bench_options, options.json, globals);
}

report::ExitStatus bench(BenchArguments& options, const CLI::App& app, const Globals& globals) {
  campaign::CampaignConfig config = resolve(options.settings);
  config.worker = find_worker(config.worker);
  const std::uint64_t cycles = parse_number("--cycles", options.cycles, 1, 1'000'000);
  const std::uint64_t images = parse_number("--images", options.images, 0, 1'000'000);
  const wire::Hello hello = campaign::resolve_engines(config.worker, &config.engines);
  campaign::validate(config, hello);
  if (!hello.tap_unavailable.empty()) {
    if (app.count("--images") > 0 && images > 0) {
      throw UsageError("--images: storage calls cannot be seen here: " + hello.tap_unavailable);
    }
    log_line("loads under the tap and disk images are not measured: storage calls cannot be seen here: " +
             hello.tap_unavailable);
  }
  const campaign::WorkDirectory work(config.directory, config.engines, globals.stop);
  log_line(fmt::format("seed {}, work directory on {}", campaign::seed_text(config.key.seed), work.kind()));
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& engine : config.engines) {
    const std::filesystem::path directory = work.path() / engine;
    std::filesystem::create_directory(directory);
    const campaign::BenchResult result = campaign::run_bench(config, campaign::require_engine(hello, engine),
                                                             campaign::lane_protocol(config.protocol, 0),
                                                             cycles, images, directory, *globals.stop);
    std::filesystem::remove_all(directory);
    if (options.json) {
      all.push_back(to_json(result));
    } else {
      print(result);
    }
  }
  if (options.json) {
    say_json(all);
  }
  return globals.stop->requested() ? static_cast<report::ExitStatus>(128 + globals.stop->signal())
                                   : report::ExitStatus::pass;
}

}  // namespace

Command make_bench_command(CLI::App& parent, Globals& globals) {
  CLI::App* app =
      parent.add_subcommand("bench", "what a cycle costs, phase by phase; or engines beside each other");
  auto options = std::make_shared<BenchArguments>(*app);
  app->add_option("--cycles", options->cycles, "cycles to measure (default 300)")->type_name("N");
  app->add_option("--images", options->images, "disk images from power cuts to judge (default 200); 0: none")
      ->type_name("N");
  app->add_option(
         "--engines", options->engines,
         "compare these, separated by commas, under one load; each number with its ratio to the first")
      ->type_name("NAME,...")
      ->delimiter(',')
      ->take_all();
  app->add_option("--entries", options->entries, "with --engines: entries of a load (default 10000)")
      ->type_name("N");
  app->add_option("--rounds", options->rounds, "with --engines: rounds over all of them (default 5)")
      ->type_name("N");
  app->add_flag("--json", options->json, "print the result as JSON");
  app->footer(
      "Examples:\n  chaosgate bench --engine lmdb --cycles 1000\n"
      "  chaosgate bench --engines rocksdb,lmdb,PATH.so:NAME --rounds 9");
  return {app, [app, options, &globals] {
            const bool compares = !options->engines.empty();
            refuse_foreign_flags(*app, compares);
            return compares ? compare(*options, globals) : bench(*options, *app, globals);
          }};
}

}  // namespace chaosgate::cli
