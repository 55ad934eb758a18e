// chaosgate: the driver. Parses the command line, runs one command, maps errors to exit statuses.
//
// It never links an engine: what an engine does happens in chaosgate-worker, and no bug of an engine reaches
// the judge.
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <vector>

#include "harness/base/error.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/versions.h"
#include "harness/cli/command.h"
#include "harness/cli/settings.h"

namespace chaosgate::cli {
namespace {

int status_of(report::ExitStatus status) { return static_cast<int>(status); }

void print_version(bool json, const std::string& worker) {
  nlohmann::json libraries = nlohmann::json::object();
  for (const auto& [name, version] : campaign::library_versions()) {
    libraries[name] = version;
  }
  try {
    for (const wire::EngineDescription& engine : campaign::read_hello(find_worker(worker)).engines) {
      libraries[engine.family] = engine.version;
    }
  } catch (const std::exception& error) {
    log_line(error.what());  // a version without engines is better than none
  }
  if (json) {
    say_json({{"chaosgate", campaign::chaosgate_version()}, {"libraries", libraries}});
    return;
  }
  say("chaosgate {}\n", campaign::chaosgate_version());
  for (const auto& [name, version] : libraries.items()) {
    say("  {} {}\n", name, version.get<std::string>());
  }
}

// Writes out what is left of the result on stdout. The status afterwards.
report::ExitStatus put_out(report::ExitStatus status) {
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (!written) {
    log_line(fmt::format("not all of the result could be written to stdout; its exit status is {}",
                         status_of(status)));
  }
  return after_writing(status, written);
}

// An interrupted command has the status of that, whatever it came to by it, but for a violation: that cannot
// be taken back.
int run_command(const Command& command, const campaign::StopSignal& stop) {
  report::ExitStatus status = report::ExitStatus::internal;
  try {
    status = command.run();
  } catch (const std::exception& error) {
    if (!stop.requested()) {
      throw;
    }
    log_line(std::string("interrupted: ") + error.what());
  }
  status = put_out(status);
  return stop.requested() && status != report::ExitStatus::violation ? 128 + stop.signal()
                                                                     : status_of(status);
}

int run(int argc, char* argv[]) {
  campaign::StopSignal stop;
  Globals globals;
  globals.stop = &stop;
  CLI::App app(
      "Crash-consistency chaos testing for key-value storage engines: kills workers at random points and "
      "compares what they recover with an oracle.",
      "chaosgate");
  app.formatter(std::make_shared<HelpFormatter>());  // subcommands take it over
  bool version = false;
  bool version_json = false;
  app.add_flag("--version", version, "print versions; with --json, as JSON");
  app.add_flag("--json", version_json)->group("");
  app.add_option("--color", globals.color, "auto, always or never (default auto)")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->type_name("WHEN");
  app.footer(
      "Examples:\n"
      "  chaosgate run --engine lmdb --kills 1000\n"
      "  chaosgate replay 0x2a --engine lmdb --cycle 17\n"
      "  chaosgate selftest --seeds 5\n"
      "  chaosgate conform --engine PATH.so\n"
      "  chaosgate list engines");
  std::vector<Command> commands = {make_run_command(app, globals),      make_replay_command(app, globals),
                                   make_sweep_command(app, globals),    make_trace_command(app, globals),
                                   make_minimize_command(app, globals), make_selftest_command(app, globals),
                                   make_bench_command(app, globals),    make_conform_command(app, globals),
                                   make_certify_command(app, globals),  make_migrate_command(app, globals),
                                   make_report_command(app, globals),   make_list_command(app, globals)};
  app.require_subcommand(0, 1);
  for (const Command& command : commands) {
    command.app->fallthrough();  // --color may stand behind the command
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    app.exit(help);
    return status_of(put_out(report::ExitStatus::pass));
  } catch (const CLI::ParseError& error) {
    log_line(error.what());
    return status_of(report::ExitStatus::usage);
  }
  if (version_json && !version) {
    throw UsageError("--json stands behind the command whose result it is, or with --version");
  }
  if (version && !app.get_subcommands().empty()) {
    throw UsageError("--version does not go with a command");
  }
  check_environment();
  if (version) {
    print_version(version_json, "");
    return status_of(put_out(report::ExitStatus::pass));
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) {
      return run_command(command, stop);
    }
  }
  log_line("a command is needed; 'chaosgate --help' lists them");
  return status_of(report::ExitStatus::usage);
}

}  // namespace
}  // namespace chaosgate::cli

int main(int argc, char* argv[]) {
  try {
    chaosgate::cli::secure_streams();
    return chaosgate::cli::run(argc, argv);
  } catch (const chaosgate::UsageError& error) {
    chaosgate::cli::log_line(error.what());
    return static_cast<int>(chaosgate::report::ExitStatus::usage);
  } catch (const chaosgate::campaign::OtherPlanError& error) {
    chaosgate::cli::log_line(error.what());
    return static_cast<int>(chaosgate::report::ExitStatus::untestable);
  } catch (const std::exception& error) {
    chaosgate::cli::log_line(chaosgate::json_complaint(error.what()));
    return static_cast<int>(chaosgate::report::ExitStatus::internal);
  }
}
