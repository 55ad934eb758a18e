#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
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
  if (::symlink(target.filename().c_str(), temporary.c_str()) != 0) {
    throw_errno("create the link " + temporary.string());
  }
  if (::rename(temporary.c_str(), link.c_str()) != 0) {
    const int error = errno;
    fs::remove(temporary, ignored);
    throw_errno("replace the link " + link.string(), error);
  }
}

// "[json.exception.parse_error.101] parse error at ...": the reader needs no class name.
std::string without_tag(std::string_view message) {
  if (message.starts_with("[json.exception")) {
    message.remove_prefix(std::min(message.find("] ") + 2, message.size()));
  }
  return printable_line(message);
}

}  // namespace

void write_results(const CampaignReport& report, const fs::path& directory) {
  replace_file(directory / "result.json", render_json(report));
  replace_file(directory / "junit.xml", render_junit(report));
  replace_file(directory / "summary.md", render_markdown(report));
  replace_file(directory / "report.html", render_html(report));
  append_step_summary(report);
  point_latest(directory);
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

EventLog::EventLog(const fs::path& path)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  if (!file_) {
    throw_errno("create " + path.string());
  }
}

void EventLog::write(const CycleEvent& event) {
  const nlohmann::json json = event;
  const std::string line = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const Status status = write_all(file_.get(), line, path_.string());
  if (!status.ok()) {
    throw EnvironmentError(status.message());
  }
}

std::vector<CycleEvent> read_events(const fs::path& path, std::string* note) {
  std::string bytes;
  const Status status = read_file(path, &bytes);
  if (!status.ok()) {
    throw UsageError(fmt::format("{}: {}, expected an events.jsonl", path.string(),
                                 status.is_not_found() ? "no such file" : status.message()));
  }
  std::string unused;
  std::string& said = note != nullptr ? *note : unused;
  said.clear();
  std::vector<CycleEvent> events;
  std::size_t number = 0;
  for (std::string_view rest = bytes; !rest.empty();) {
    ++number;
    const std::size_t end = rest.find('\n');
    const bool torn = end == std::string_view::npos;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(torn ? rest.size() : end + 1);
    try {
      events.push_back(parse_json(line).get<CycleEvent>());
      if (torn) {
        said = fmt::format("{}:{}: the last line has no newline, but is whole; kept", path.string(), number);
      }
    } catch (const std::exception& error) {
      if (torn) {
        said = fmt::format(
            "{}:{}: the last line is torn after {} bytes, as an interrupted campaign leaves it; "
            "left out",
            path.string(), number, line.size());
        break;
      }
      throw UsageError(fmt::format("{}:{}: expected a cycle event, found {} bytes that are none: {}",
                                   path.string(), number, line.size(), without_tag(error.what())));
    }
  }
  return events;
}

}  // namespace chaosgate::report
