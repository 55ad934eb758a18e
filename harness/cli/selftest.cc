// chaosgate selftest: the gate against every planted fault, to show that it can fail.
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/record.h"
#include "harness/campaign/self_test.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"
#include "harness/report/facts.h"
#include "harness/report/journal.h"
#include "harness/report/writers.h"

namespace chaosgate::cli {
namespace {

using report::ExitStatus;

struct SelfTestArguments {
  explicit SelfTestArguments(CLI::App& app)
      : settings(app, {"engine", "seed", "kills", "dir", "results", "worker", "hang-ms"}, {{"engine", ""}}) {}

  Settings settings;
  std::string seeds = "1";
  std::string control_kills = "100";
  std::vector<std::string> faults;
  bool json = false;
  bool quiet = false;
};

void print_json(const report::CampaignReport& report) {
  nlohmann::json faults = nlohmann::json::array();
  for (const report::FaultResult& row : report.self_test) {
    faults.push_back({{"fault", row.fault},
                      {"layer", row.layer},
                      {"engine", row.engine},
                      {"protocol", row.protocol},
                      {"published_as", row.published_as},
                      {"seed", campaign::seed_text(row.seed)},
                      {"found", row.found},
                      {"invariant", row.invariant},
                      {"kills_until_found", row.kills_until_found},
                      {"kills", row.kills},
                      {"by_power_cut", row.by_power_cut},
                      {"weakest_profile", row.profile}});
  }
  nlohmann::json controls = nlohmann::json::array();
  for (const report::ControlResult& row : report.controls) {
    controls.push_back({{"engine", row.engine},
                        {"protocol", row.protocol},
                        {"seed", campaign::seed_text(row.seed)},
                        {"kills", row.kills},
                        {"findings", row.findings}});
  }
  say_json({{"faults", faults}, {"controls", controls}});
}

void print_table(const report::CampaignReport& report) {
  const auto line = [](const std::string& fault, const std::string& layer, const std::string& engine,
                       const std::string& protocol, std::uint64_t seed, const std::string& outcome,
                       const std::string& after) {
    say("{:<26} {:<11} {:<12} {:<9} {:<10} {:<16} {}\n", fault, layer, engine, protocol,
        campaign::seed_text(seed), outcome, after);
  };
  say("{:<26} {:<11} {:<12} {:<9} {:<10} {:<16} {}\n", "planted fault", "layer", "engine", "protocol", "seed",
      "invariant", "after");
  for (const report::FaultResult& row : report.self_test) {
    std::string after = report::tries_text(row);
    if (!row.found && !row.invariant.empty()) {
      after += " (" + row.invariant + ")";
    }
    if (!row.profile.empty()) {
      after += ", profile " + row.profile +
               (row.profile == row.profile_expected ? "" : " instead of " + row.profile_expected);
    }
    line(row.fault, row.layer, row.engine, row.protocol, row.seed, row.found ? row.invariant : "NOT FOUND",
         after);
  }
  for (const report::ControlResult& row : report.controls) {
    line("none", "-", row.engine, row.protocol, row.seed, row.findings.empty() ? "clean" : "NOT CLEAN",
         report::plural(row.kills, "kill"));
    for (const std::string& finding : row.findings) {
      say("  {}\n", finding);
    }
  }
}

// The command that does it again.
std::string again(const SelfTestArguments& options, const CLI::App& app) {
  CommandLine command = options.settings.again();
  if (app.count("--seeds") > 0) {
    command.option("--seeds", options.seeds);
  }
  for (const std::string& fault : options.faults) {
    command.option("--fault", fault);
  }
  if (app.count("--control-kills") > 0) {
    command.option("--control-kills", options.control_kills);
  }
  return command.text();
}

ExitStatus selftest(SelfTestArguments& options, const CLI::App& app, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  config.worker = find_worker(config.worker);
  if (options.settings.source("engine") == "default") {
    config.engines.clear();
  }
  const wire::Hello hello = campaign::resolve_engines(config.worker, &config.engines);
  for (const std::string& engine : config.engines) {
    campaign::require_engine(hello, engine);
  }
  campaign::SelfTestOptions self_test;
  const std::uint64_t seeds = parse_number("--seeds", options.seeds, 1, 10'000);
  for (std::uint64_t i = 0; i < seeds; ++i) {
    self_test.seeds.push_back(config.key.seed + i);
  }
  for (const std::string& name : options.faults) {
    if (campaign::find_fault(hello, name) == nullptr) {
      throw UsageError(
          fmt::format("--fault: unknown planted fault '{}'; 'chaosgate list faults' names them", name));
    }
  }
  self_test.faults = options.faults;
  self_test.kills_max = config.kills;
  self_test.control_kills = parse_number("--control-kills", options.control_kills, 0, 1'000'000);
  self_test.control_engines = config.engines;
  self_test.worker = config.worker;
  self_test.hang_ms = config.hang_ms;
  if (self_test.control_kills == 0) {
    options.settings.refuse({"engine"}, "does nothing with --control-kills 0");
  }
  if (!hello.tap_unavailable.empty()) {
    log_line("no kills at storage calls and no I/O errors: storage calls cannot be seen here: " +
             hello.tap_unavailable);
  }
  std::filesystem::path directory;
  report::CampaignReport report;
  {
    const campaign::WorkDirectory work(config.directory, {"self-test"}, globals.stop);
    directory = campaign::make_result_directory(config.results, "self-test", config.key.seed, log_line);
    log_line(fmt::format("seed {}, {} seeds, up to {} kills for each fault",
                         campaign::seed_text(config.key.seed), seeds, config.kills));
    report::CampaignBegin begin = campaign::begin_of(config.key.seed);
    begin.settings = options.settings.lines();
    begin.work_directory_kind = work.kind();
    begin.command = again(options, app);
    report::Progress progress(!options.quiet);
    report = campaign::record(directory, begin, *globals.stop, log_line, [&](report::Journal& journal) {
      self_test.on_fault = [&](std::size_t number, const report::FaultResult& result) {
        journal.write(report::FaultEvent{number, result});
      };
      self_test.on_control = [&](std::size_t number, const report::ControlResult& result) {
        journal.write(report::ControlEvent{number, result});
      };
      campaign::run_self_test(self_test, hello, work.path(), *globals.stop, &progress);
    });
  }
  bool written = true;
  for (const std::string& complaint : report::write_results(report, directory)) {
    log_line("a report could not be written: " + complaint);
    written = false;
  }
  log_line("reports in " + directory.string());
  if (!report.harness_fault.empty()) {
    log_line(report.harness_fault);
  }
  if (options.json) {
    print_json(report);
  } else {
    print_table(report);
  }
  if (globals.stop->requested()) {
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  std::size_t missed = 0;
  std::size_t dirty = 0;
  for (const report::FaultResult& row : report.self_test) {
    missed += row.found ? 0 : 1;
  }
  for (const report::ControlResult& row : report.controls) {
    dirty += row.findings.empty() ? 0 : 1;
  }
  log_line(fmt::format("{} of {} planted faults found; {} of {} correct configurations clean",
                       report.self_test.size() - missed, report.self_test.size(),
                       report.controls.size() - dirty, report.controls.size()));
  return after_writing(report.exit_status(), written);
}

}  // namespace

Command make_selftest_command(CLI::App& parent, Globals& globals) {
  CLI::App* app =
      parent.add_subcommand("selftest", "run the gate against every planted fault: it must find each");
  auto options = std::make_shared<SelfTestArguments>(*app);
  app->add_option("--seeds", options->seeds, "so many seeds, counted up from --seed (default 1)")
      ->type_name("N");
  app->add_option("--fault", options->faults, "only this planted fault; repeatable")->type_name("NAME");
  app->add_option("--control-kills", options->control_kills,
                  "kills of every correct configuration, which must stay clean (default 100)")
      ->type_name("N");
  app->add_flag("--json", options->json, "print the result as JSON");
  app->add_flag("--quiet", options->quiet, "no progress on stderr");
  app->footer(
      "Examples:\n"
      "  chaosgate selftest --seed 1 --seeds 5\n"
      "  chaosgate selftest --fault index-one-high --engine lmdb\n\n"
      "--engine names the correct engines that run beside; without it, all built-in ones do.\n"
      "Exit status: 0 all found and the correct engines clean, 1 a correct engine was not clean,\n"
      "3 a planted fault was not found.");
  return {app, [options, app, &globals] { return selftest(*options, *app, globals); }};
}

}  // namespace chaosgate::cli
