// chaosgate migrate: the content of one engine's store into another's, offline, resumable and verified; and,
// with --gate, whether that holds under kills and power cuts.
#include <fmt/format.h>

#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/migrate.h"
#include "harness/campaign/migrate_gate.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/record.h"
#include "harness/campaign/scratch_directory.h"
#include "harness/campaign/tap_probe.h"
#include "harness/campaign/work_directory.h"
#include "harness/cli/command.h"
#include "harness/cli/plan_checksum.h"
#include "harness/cli/settings.h"
#include "harness/report/facts.h"
#include "harness/report/journal.h"
#include "harness/report/writers.h"

namespace chaosgate::cli {
namespace {

namespace fs = std::filesystem;

using campaign::MigrationRequest;
using campaign::MigrationRun;
using report::ExitStatus;
using wire::MigrationOutcome;
using wire::MigrationReport;

struct Options {
  explicit Options(CLI::App& app)
      : settings(app,
                 {"engine", "worker", "hang-ms", "kills", "images", "seed", "workload", "profile", "fault",
                  "dir", "results", "failures-max"},
                 {{"engine", ""}}) {}

  Settings settings;
  std::string from;
  std::string to;
  std::string from_engine;
  std::vector<std::string> keyspaces;
  bool dry_run = false;
  bool gate = false;
  bool json = false;
  bool quiet = false;
  std::string plan_checksum;
};

// A migration, its two engines, and what was found out about the places.
struct Job {
  MigrationRequest request;
  wire::EngineDescription from;
  wire::EngineDescription to;
  MigrationReport places;
};

wire::EngineDescription resolve(const fs::path& worker, const std::string& selector, wire::Hello* hello) {
  std::vector<std::string> engines = {selector};
  *hello = campaign::resolve_engines(worker, &engines);
  return campaign::require_engine(*hello, engines.front());
}

// The engine that can read a store of this family, among those that are known.
const wire::EngineDescription& reader_of(const std::string& family, const std::string& source,
                                         const wire::Hello& hello) {
  for (const wire::EngineDescription& engine : hello.engines) {
    if (engine.family == family) {
      return engine;
    }
  }
  throw UsageError(fmt::format(
      "the source {} holds a {} store; no built-in engine reads it: name its plugin with --from-engine",
      source, family));
}

Job make_job(const Options& options, const campaign::CampaignConfig& config, campaign::Migrator& migrator) {
  Job job;
  wire::Hello hello;
  job.to = resolve(config.worker, config.engines.front(), &hello);
  job.places = migrator.inspect(options.from, options.to, options.keyspaces);
  if (job.places.outcome != MigrationOutcome::done) {
    throw UsageError(job.places.message);
  }
  wire::Hello from_hello;
  job.from = options.from_engine.empty() ? reader_of(job.places.family, job.places.source, hello)
                                         : resolve(config.worker, options.from_engine, &from_hello);
  MigrationRequest& request = job.request;
  request.source = job.places.source;
  request.target = job.places.target;
  request.scratch = job.places.scratch;
  request.keyspaces = job.places.keyspaces;
  request.from = {job.from.plugin, job.from.name};
  request.to = {job.to.plugin, job.to.name};
  request.dry_run = options.dry_run;
  return job;
}

nlohmann::json to_json(const Job& job, const MigrationRun& run, double seconds) {
  const auto side = [](const std::string& directory, const wire::EngineDescription& engine) {
    return nlohmann::json{{"directory", directory},
                          {"engine", engine.name},
                          {"family", engine.family},
                          {"version", engine.version},
                          {"plugin", engine.plugin}};
  };
  const MigrationReport& found = run.importer;
  nlohmann::json json = {{"schema_version", report::kSchemaVersion},
                         {"outcome", run.outcome()},
                         {"message", run.message()},
                         {"dry_run", job.request.dry_run},
                         {"source", side(job.places.source, job.from)},
                         {"target", side(job.places.target, job.to)},
                         {"source_bytes", job.places.source_bytes},
                         {"keyspaces", found.found},
                         {"applied_index", nullptr},
                         {"keys_resumed", found.keys_resumed},
                         {"begun_anew", found.begun_anew},
                         {"bytes_needed", found.bytes_needed},
                         {"bytes_free", found.bytes_free},
                         {"seconds", seconds}};
  if (found.has_applied_index) {
    json["applied_index"] = found.applied_index;
  }
  return json;
}

void print_side(const char* what, const std::string& directory, const wire::EngineDescription& engine) {
  say("{}  {}  {} ({} {}{}{})\n", what, directory, engine.name, engine.family, engine.version,
      engine.plugin.empty() ? "" : ", ", engine.plugin);
}

void print_text(const Job& job, const MigrationRun& run, double seconds) {
  print_side("source", job.places.source, job.from);
  print_side("target", job.places.target, job.to);
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;
  say("{:<20} {:>14} {:>16}  {}\n", "keyspace", "keys", "bytes", "hash");
  for (const wire::MigratedKeyspace& keyspace : run.importer.found) {
    say("{:<20} {:>14} {:>16}  {}\n", keyspace.name, report::thousands(keyspace.keys),
        report::thousands(keyspace.bytes), keyspace.hash);
    keys += keyspace.keys;
    bytes += keyspace.bytes;
  }
  if (run.importer.has_applied_index) {
    say("applied index {}\n", report::thousands(run.importer.applied_index));
  }
  if (run.importer.keys_resumed > 0) {
    say("resumed: {} were in the target already\n", report::plural(run.importer.keys_resumed, "key"));
  }
  if (!run.importer.begun_anew.empty()) {
    say("begun anew: what was there could not be used ({})\n", run.importer.begun_anew);
  }
  if (job.request.dry_run) {
    say("dry run: would move {}, {} MiB; needs about {} MiB of {} MiB free\n", report::plural(keys, "key"),
        bytes >> 20, run.importer.bytes_needed >> 20, run.importer.bytes_free >> 20);
  } else {
    say("moved and verified {}, {} MiB, in {}\n", report::plural(keys, "key"), bytes >> 20,
        report::duration(seconds));
  }
}

// What a worker that died printed last, for the error's line.
std::string last_words(const fs::path& directory) {
  std::string last;
  for (const char* file : {"exporter.output", "importer.output"}) {
    std::string text;
    if (read_file(directory / file, &text).ok() && !text.empty()) {
      text.erase(text.find_last_not_of('\n') + 1);
      last = ": " + printable_line(text.substr(text.rfind('\n') + 1));
    }
  }
  return last;
}

ExitStatus run_migration(const Options& options, const campaign::CampaignConfig& config,
                         const Globals& globals) {
  if (options.from.empty() || options.to.empty()) {
    throw UsageError("migrate needs --from and --to");
  }
  if (options.settings.source("engine") == "default" || config.engines.size() != 1) {
    throw UsageError("migrate needs one --engine, the target's");
  }
  campaign::require_utf8("--from", options.from);
  campaign::require_utf8("--to", options.to);
  const campaign::ScratchDirectory outputs(fs::temp_directory_path(), "migrate-");
  globals.stop->add_directory(outputs.path());
  report::Progress progress(!options.quiet);
  campaign::Migrator migrator(config.worker, outputs.path(), config.hang_ms, globals.stop, &progress);
  const Job job = make_job(options, config, migrator);
  const std::uint64_t begin = wire::monotonic_ns();
  const MigrationRun run = migrator.run(job.request);
  const double seconds = static_cast<double>(wire::monotonic_ns() - begin) / 1e9;
  progress.clear();
  if (run.outcome() == MigrationOutcome::refused) {
    throw UsageError(run.message());
  }
  if (options.json) {
    say_json(to_json(job, run, seconds));
  } else if (run.done()) {
    print_text(job, run, seconds);
  }
  if (run.stopped) {
    log_line("interrupted; the same command goes on from here");
    return static_cast<ExitStatus>(128 + globals.stop->signal());
  }
  if (run.outcome() == MigrationOutcome::differs) {
    log_line(run.message());
    return ExitStatus::violation;
  }
  if (!run.done()) {
    throw EnvironmentError(
        run.abnormal.empty()
            ? run.message() + "; the same command goes on from here"
            : fmt::format("{}{}; the same command goes on from here, or remove {}.migrating to begin anew",
                          run.message(), last_words(outputs.path()), job.places.target));
  }
  return ExitStatus::pass;
}

// Each engine to the next one, and the last to the first; a single one to itself.
std::vector<std::pair<std::string, std::string>> directions(const std::vector<std::string>& engines) {
  std::vector<std::pair<std::string, std::string>> all;
  for (std::size_t i = 0; i < engines.size(); ++i) {
    all.emplace_back(engines[i], engines[(i + 1) % engines.size()]);
  }
  return all;
}

void check_fault(const std::string& name, const wire::Hello& hello) {
  std::string known;
  for (const wire::FaultDescription& fault : hello.faults) {
    if (fault.migrates_from.empty()) {
      continue;
    }
    if (name.empty() || fault.name == name) {
      return;
    }
    known += (known.empty() ? "" : ", ") + fault.name;
  }
  throw UsageError(fmt::format("--fault: '{}' is no planted fault of a migration; known: {}", name, known));
}

void try_directions(campaign::MigrationGateOptions* gate, const std::vector<std::string>& engines,
                    const wire::Hello& hello, const fs::path& work, campaign::StopSignal& stop,
                    report::Progress* progress, report::Journal& journal) {
  std::uint64_t number = 0;
  std::string fault;
  for (const auto& [from, to] : directions(engines)) {
    if (stop.requested()) {
      break;
    }
    gate->from = campaign::require_engine(hello, from);
    gate->to = campaign::require_engine(hello, to);
    gate->directory = campaign::make_directory(work / fmt::format("{}-to-{}", from, to));
    report::MigrationTally written;
    gate->on_change = [&](const report::MigrationTally& tally) {
      report::MigrationTally counts = tally.counts_since(written);
      written = tally;
      journal.write(report::MigrationEvent{number, std::move(counts)});
    };
    const report::MigrationTally tally = campaign::run_migration_gate(*gate, stop, progress);
    fault = fault.empty() ? tally.harness_fault : fault;
    fs::remove_all(gate->directory);
    ++number;
  }
  if (!fault.empty()) {
    throw EnvironmentError(fault);
  }
}

ExitStatus print_gate(const Options& options, const report::CampaignReport& report,
                      const fs::path& directory) {
  bool written = true;
  for (const std::string& complaint : report::write_results(report, directory)) {
    log_line("a report could not be written: " + complaint);
    written = false;
  }
  log_line("reports in " + directory.string());
  std::string text;
  for (const report::MigrationTally& tally : report.migrations) {
    text += report::migration_text(tally);
  }
  if (options.json) {
    text =
        nlohmann::json(report.migrations).dump(2, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
  }
  written = print_result(text) && written;
  if (!report.harness_fault.empty()) {
    log_line(report.harness_fault);
  }
  if (report.verdict() == report::Verdict::violation) {
    say_error("{}\n", report.command);
  }
  return after_writing(report.exit_status(), written);
}

// Throws UsageError for an engine into which no migration can be watched.
void check_tappable(const campaign::CampaignConfig& config, const wire::Hello& hello, const fs::path& work,
                    campaign::StopSignal* stop) {
  if (!hello.tap_unavailable.empty()) {
    throw UsageError("storage calls cannot be seen here: " + hello.tap_unavailable);
  }
  for (const std::string& name : config.engines) {
    const wire::EngineDescription& engine = campaign::require_engine(hello, name);
    if (engine.plugin.empty()) {
      continue;
    }
    const std::string why = campaign::why_untappable(
        campaign::lane_target(config, engine, wire::Protocol::in_batch), work / "tap-probe", stop);
    if (!why.empty()) {
      throw UsageError(fmt::format("{}: {}; a migration is killed at them", name, why));
    }
  }
}

ExitStatus run_gate(const Options& options, campaign::CampaignConfig config, const Globals& globals) {
  if (!options.from.empty() || !options.to.empty() || options.dry_run) {
    throw UsageError("migrate --gate makes its own source and target: no --from, --to or --dry-run");
  }
  const wire::Hello hello = campaign::resolve_engines(config.worker, &config.engines);
  check_fault(config.key.fault, hello);
  campaign::MigrationGateOptions gate;
  gate.seed = config.key.seed;
  gate.workload = config.power_workloads.front();
  gate.kills = config.kills;
  gate.images = config.images;
  gate.fault = config.key.fault;
  gate.findings_max = config.failures_max;
  gate.worker = config.worker;
  gate.hang_ms = config.hang_ms;
  if (options.settings.source("profile") != "default") {
    gate.profile = config.profile;
  }
  const std::string planned = campaign::migration_checksum(config);
  campaign::require_plan(options.plan_checksum, planned, gate.seed);
  log_line(fmt::format("seed {}, plan {}", campaign::seed_text(gate.seed), planned));
  const campaign::WorkDirectory work(config.directory, config.engines, globals.stop);
  check_tappable(config, hello, work.path(), globals.stop);
  const fs::path directory = campaign::make_result_directory(
      config.results, fmt::format("migrate-{}", fmt::join(config.engines, "+")), gate.seed, log_line);
  gate.failures = directory / "failures";
  report::CampaignBegin frame = campaign::begin_of(gate.seed);
  frame.settings = options.settings.lines();
  frame.work_directory_kind = work.kind();
  frame.plan_checksum = planned;
  frame.command = options.settings.again().word("--gate").option("--plan-checksum", planned).text();
  report::Progress progress(!options.quiet);
  const report::CampaignReport report =
      campaign::record(directory, frame, *globals.stop, log_line, [&](report::Journal& journal) {
        try_directions(&gate, config.engines, hello, work.path(), *globals.stop, &progress, journal);
      });
  progress.clear();
  return print_gate(options, report, directory);
}

ExitStatus run(Options& options, const CLI::App& app, const Globals& globals) {
  campaign::CampaignConfig config = options.settings.resolve();
  if (options.gate) {
    refuse_flags(app, {"--from-engine", "--keyspaces"}, "does nothing with --gate");
  } else {
    refuse_flags(app, {"--plan-checksum"}, "does nothing without --gate");
    options.settings.refuse(
        {"kills", "images", "seed", "workload", "profile", "fault", "dir", "results", "failures-max"},
        "does nothing without --gate");
  }
  config.worker = find_worker(config.worker);
  return options.gate ? run_gate(options, std::move(config), globals)
                      : run_migration(options, config, globals);
}

}  // namespace

Command make_migrate_command(CLI::App& parent, Globals& globals) {
  CLI::App* app = parent.add_subcommand(
      "migrate", "move the content of one engine's store into another's; resumable, and verified");
  auto options = std::make_shared<Options>(*app);
  app->add_option("--from", options->from, "the source: an engine's directory, or a replica's data directory")
      ->type_name("DIR");
  app->add_option("--to", options->to, "the target: an engine's directory, absent or empty")
      ->type_name("DIR");
  app->add_option("--from-engine", options->from_engine,
                  "what reads the source; default: the first engine of the family that its marker names")
      ->type_name("NAME");
  app->add_option("--keyspaces", options->keyspaces, "instead of those that the source's marker names")
      ->delimiter(',')
      ->type_name("NAMES");
  app->add_flag("--dry-run", options->dry_run, "check everything, say what would be done, make nothing");
  app->add_flag("--gate", options->gate,
                "kill migrations between the engines and cut their power, and judge what they end with");
  add_plan_checksum(*app, &options->plan_checksum);
  app->add_flag("--json", options->json, "print the result as JSON");
  app->add_flag("--quiet", options->quiet, "no progress on stderr");
  app->footer(
      "Examples:\n"
      "  chaosgate migrate --from data/engine --to data/engine.new --engine lmdb --dry-run\n"
      "  chaosgate migrate --from data --to new/engine --engine build/release/plugins/pebble.so\n"
      "  chaosgate migrate --gate --engine rocksdb,lmdb --kills 1000 --images 1000\n\n"
      "Exit status: 0 done, or nothing found; 1 the target differs from the source, or the gate found "
      "something; 2 usage, or refused; 3 the gate proves too little; 70 failed on the way (the same command "
      "goes on).");
  return {app, [options, app, &globals] { return run(*options, *app, globals); }};
}

}  // namespace chaosgate::cli
