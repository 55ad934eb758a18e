// chaosgate report: the numbers of a campaign again, from its events.jsonl.
#include <fmt/format.h>

#include <filesystem>

#include "harness/base/error.h"
#include "harness/cli/command.h"
#include "harness/report/journal.h"
#include "harness/report/writers.h"

namespace chaosgate::cli {
namespace {

struct ReportArguments {
  std::string path;
  bool json = false;
};

report::ExitStatus report(const ReportArguments& options, const Globals& globals) {
  std::filesystem::path path = options.path;
  if (std::filesystem::is_directory(path)) {
    path /= "events.jsonl";
  }
  if (!std::filesystem::is_regular_file(path)) {
    throw UsageError(fmt::format("there is no {}", path.string()));
  }
  std::string note;
  const report::CampaignReport report = report::read_report(path, &note);
  if (!note.empty()) {
    log_line(note);
  }
  const std::string text =
      options.json ? report::render_json(report) : report::render_terminal(report, use_color(globals, 1));
  return after_writing(report.exit_status(), print_result(text));
}

}  // namespace

Command make_report_command(CLI::App& parent, Globals& globals) {
  CLI::App* app = parent.add_subcommand("report", "the numbers of a campaign again, from its events.jsonl");
  auto options = std::make_shared<ReportArguments>();
  app->add_option("path", options->path, "a result directory, or an events.jsonl")->required();
  app->add_flag("--json", options->json, "print the result as JSON");
  app->footer("Example:\n  chaosgate report results/latest");
  return {app, [options, &globals] { return report(*options, globals); }};
}

}  // namespace chaosgate::cli
