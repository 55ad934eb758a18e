// chaosgate report: the numbers of a campaign again, from its events.jsonl.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <map>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/cli/command.h"
#include "harness/report/writers.h"

namespace chaosgate::cli {
namespace {

struct ReportArguments {
  std::string path;
  bool json = false;
};

// Events alone do not say whether more should have come. Without a result.json the campaign was killed.
bool was_complete(const std::filesystem::path& result) {
  std::string text;
  if (!read_file(result, &text).ok()) {
    return false;
  }
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  return json.is_object() && json.value("complete", false);
}

report::ExitStatus report(const ReportArguments& options, const Globals& globals) {
  std::filesystem::path path = options.path;
  if (std::filesystem::is_directory(path)) {
    path /= "events.jsonl";
  }
  if (!std::filesystem::is_regular_file(path)) {
    throw UsageError(fmt::format("there is no {}", path.string()));
  }
  std::string note;
  const std::vector<report::CycleEvent> events = report::read_events(path, &note);
  if (!note.empty()) {
    log_line(note);
  }
  report::CampaignReport report = report::report_from_events(events);
  report.complete = was_complete(path.parent_path() / "result.json");
  const std::string text =
      options.json ? report::render_json(report) : report::render_terminal(report, use_color(globals, 1));
  std::fputs(text.c_str(), stdout);
  return report::exit_status(report.verdict());
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
