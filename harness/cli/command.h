// Commands of the chaosgate program: one file each, registered in main.cc.
//
// A command adds its subcommand and flags to the parser; when it was chosen, run() does the work and returns
// the exit status. It throws UsageError (exit 2) or EnvironmentError (exit 70), which main() turns into one
// line on stderr. The result goes to stdout, log and progress to stderr.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "harness/campaign/stop.h"
#include "harness/cli/output.h"
#include "harness/report/campaign_report.h"

namespace chaosgate::cli {

// What all commands share.
struct Globals {
  std::string color = "auto";  // auto, always, never
  campaign::StopSignal* stop = nullptr;
};

struct Command {
  CLI::App* app = nullptr;
  std::function<report::ExitStatus()> run;
};

Command make_run_command(CLI::App& parent, Globals& globals);
Command make_replay_command(CLI::App& parent, Globals& globals);
Command make_selftest_command(CLI::App& parent, Globals& globals);
Command make_bench_command(CLI::App& parent, Globals& globals);
Command make_certify_command(CLI::App& parent, Globals& globals);
Command make_conform_command(CLI::App& parent, Globals& globals);
Command make_report_command(CLI::App& parent, Globals& globals);
Command make_sweep_command(CLI::App& parent, Globals& globals);
Command make_trace_command(CLI::App& parent, Globals& globals);
Command make_migrate_command(CLI::App& parent, Globals& globals);
Command make_minimize_command(CLI::App& parent, Globals& globals);
Command make_list_command(CLI::App& parent, Globals& globals);

// Whether to colour what goes to `fd`: --color, then NO_COLOR, CLICOLOR_FORCE, TERM=dumb and whether it is a
// terminal.
bool use_color(const Globals& globals, int fd);
// The worker program: `given`, or chaosgate-worker beside this program.
std::filesystem::path find_worker(const std::filesystem::path& given);
// --help with the examples first: a footer's first paragraph stands before the usage, the rest at the end.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_footer(const CLI::App* app) const override;
};

// This program as a shell finds it from any directory: absolute, or the name that was looked up in PATH.
std::string program_to_print();

}  // namespace chaosgate::cli
