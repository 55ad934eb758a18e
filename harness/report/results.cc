#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/report/facts.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kGithubErrorsMax =
    9;  // GitHub shows 10 annotations per step; the last one counts the rest
constexpr std::size_t kStepSummaryBytesMax = 1024 * 1024;

// GitHub's own escapes for a command's message; https://github.com/actions/toolkit, core/src/command.ts
std::string github_escaped(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) {
    if (c == '%') {
      out += "%25";
    } else if (c == '\n') {
      out += "%0A";
    } else {
      out += c;
    }
  }
  return out;
}

std::vector<std::string> github_messages(const CampaignReport& report) {
  std::vector<std::string> messages;
  for (const EngineSection& section : report.engines) {
    for (const auto& [where, violation] : section.violations) {
      messages.push_back(fmt::format("{}: {}, {}, seed {}: {}", section.engine, violation.invariant, where,
                                     seed_text(report.seed), violation.explanation));
    }
    for (const std::string& line : section.abnormal) {
      messages.push_back(fmt::format("{}: abnormal death: {}", section.engine, line));
    }
    for (const std::string& line : abnormal_not_reproduced(section)) {
      messages.push_back(fmt::format("{}: {}", section.engine, line));
    }
  }
  for (const Part& part : further_parts(report)) {
    for (const Part::Case& each : part.cases) {
      if (!each.failure.empty()) {
        messages.push_back(fmt::format("{}: {}: {}", part.name, each.name, each.failure));
      }
    }
  }
  if (!report.harness_fault.empty()) {
    messages.push_back("harness fault: " + report.harness_fault);
  }
  for (const EngineSection& section : report.engines) {
    for (const std::string& reason : section.reasons()) {
      messages.push_back(fmt::format("{}: inconclusive: {}", section.engine, reason));
    }
  }
  for (const std::string& reason : report.reasons()) {
    messages.push_back("inconclusive: " + reason);
  }
  if (messages.empty()) {
    messages.push_back(words(report.verdict()) + ": " + verdict_sentence(report));
  }
  return messages;
}

// Violations and deaths that were counted but not kept as text.
std::uint64_t unlisted(const CampaignReport& report) {
  std::uint64_t count = 0;
  for (const EngineSection& section : report.engines) {
    count += section.violations_found() - section.violations.size();
    const std::uint64_t once = section.power ? section.power->not_reproduced_by(false) : 0;
    count += section.abnormal_found() - once - section.abnormal.size();
  }
  return count;
}

// Appends the summary to the step's file, which GitHub drops altogether when it grows over 1 MiB.
void append_step_summary(const CampaignReport& report) {
  const char* name = std::getenv("GITHUB_STEP_SUMMARY");
  if (name == nullptr || *name == '\0') {
    return;
  }
  const UniqueFd file(::open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file) {
    throw_errno(std::string("open ") + name + " (GITHUB_STEP_SUMMARY)");
  }
  const off_t end = ::lseek(file.get(), 0, SEEK_END);  // fails on a pipe: then nothing is known to be there
  const auto used = static_cast<std::size_t>(std::max<off_t>(end, 0));
  const std::size_t room = kStepSummaryBytesMax - std::min(kStepSummaryBytesMax, used);
  const Status status =
      write_all(file.get(), render_markdown(report, std::min(room, kMarkdownBytesMax)), name);
  if (!status.ok()) {
    throw EnvironmentError(status.message());
  }
}

}  // namespace

// A relative link, so that the results can be moved; made under another name and renamed, so that it always
// leads somewhere.
void point_latest(const fs::path& directory) {
  fs::path target = fs::absolute(directory).lexically_normal();
  if (!target.has_filename()) {
    target = target.parent_path();  // it ended with a slash
  }
  const fs::path link = target.parent_path() / "latest";
  const fs::path temporary = target.parent_path() / fmt::format(".latest.{}", ::getpid());
  std::error_code ignored;
  fs::remove(temporary, ignored);
  int error = 0;
  std::string what = "create the link " + temporary.string();
  if (::symlink(target.filename().c_str(), temporary.c_str()) != 0) {
    error = errno;
  } else if (::rename(temporary.c_str(), link.c_str()) != 0) {
    error = errno;
    what = "replace the link " + link.string();
    fs::remove(temporary, ignored);
  }
  if (error == 0) {
    return;
  }
  if (fs::is_symlink(link, ignored) && fs::read_symlink(link, ignored) != target.filename()) {
    fs::remove(link, ignored);  // no link is better than one to another campaign
  }
  throw_errno(what, error);
}

std::vector<std::string> write_results(const CampaignReport& report, const fs::path& directory) {
  std::vector<std::string> complaints;
  const auto attempt = [&complaints](const auto& body) {
    try {
      body();
    } catch (const std::exception& error) {
      complaints.emplace_back(error.what());
    }
  };
  attempt([&] { point_latest(directory); });
  attempt([&] { replace_file(directory / "result.json", render_json(report)); });
  attempt([&] { replace_file(directory / "junit.xml", render_junit(report)); });
  attempt([&] { replace_file(directory / "summary.md", render_markdown(report)); });
  attempt([&] { replace_file(directory / "report.html", render_html(report)); });
  attempt([&] { append_step_summary(report); });
  return complaints;
}

std::string render_github_errors(const CampaignReport& report) {
  if (report.verdict() == Verdict::pass) {
    return {};
  }
  const std::vector<std::string> messages = github_messages(report);
  const std::size_t shown = std::min(messages.size(), kGithubErrorsMax);
  std::string out;
  for (std::size_t i = 0; i < shown; ++i) {
    out += "::error::" + github_escaped("chaosgate: " + messages[i]) + "\n";
  }
  const std::uint64_t more = messages.size() - shown + unlisted(report);
  if (more > 0) {
    out += fmt::format("::error::chaosgate: {} more; see the summary and report.html\n", thousands(more));
  }
  return out;
}

}  // namespace chaosgate::report
