#include "harness/report/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <functional>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/report/facts.h"

namespace chaosgate::report {
namespace {

namespace fs = std::filesystem;

// Calls take() with each line. It throws when the line is no event.
void read_lines(const fs::path& path, std::string* note,
                const std::function<void(const nlohmann::json&)>& take) {
  std::string bytes;
  const Status status = read_file(path, &bytes);
  if (!status.ok()) {
    throw UsageError(fmt::format("{}: {}, expected an events.jsonl", path.string(),
                                 status.is_not_found() ? "no such file" : status.message()));
  }
  std::string unused;
  std::string& said = note != nullptr ? *note : unused;
  said.clear();
  std::size_t number = 0;
  for (std::string_view rest = bytes; !rest.empty();) {
    ++number;
    const std::size_t end = rest.find('\n');
    const bool torn = end == std::string_view::npos;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(torn ? rest.size() : end + 1);
    try {
      take(parse_json(line));
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
      throw UsageError(fmt::format("{}:{}: expected an event, found {} bytes that are none: {}",
                                   path.string(), number, line.size(), json_complaint(error.what())));
    }
  }
}

}  // namespace

Journal::Journal(const fs::path& path)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644)) {
  if (!file_) {
    throw_errno("create " + path.string());
  }
}

void Journal::write_json(const nlohmann::json& json) {
  const std::string line = json.dump() + "\n";
  const std::lock_guard lock(mutex_);
  builder_.add(json);
  const Status status = write_all(file_.get(), line, path_.string());
  if (!status.ok()) {
    // Later lines may find room again, and must not follow a part of this one.
    [[maybe_unused]] const int ignored = ::ftruncate(file_.get(), static_cast<off_t>(bytes_));
    throw EnvironmentError(status.message());
  }
  bytes_ += line.size();
}

CampaignReport Journal::report() const {
  const std::lock_guard lock(mutex_);
  return builder_.report();
}

EngineSection Journal::section(const std::string& engine) const {
  const std::lock_guard lock(mutex_);
  return builder_.section(engine);
}

Totals Journal::totals(const std::string& engine) const {
  const std::lock_guard lock(mutex_);
  return builder_.totals(engine);
}

Totals Journal::totals() const {
  const std::lock_guard lock(mutex_);
  return builder_.totals();
}

GroupTally Journal::group() const {
  const std::lock_guard lock(mutex_);
  return builder_.group();
}

CampaignReport read_report(const fs::path& path, std::string* note) {
  ReportBuilder builder;
  read_lines(path, note, [&](const nlohmann::json& event) { builder.add(event); });
  return builder.report();
}

std::vector<CycleEvent> read_cycles(const fs::path& path, std::string* note) {
  std::vector<CycleEvent> cycles;
  read_lines(path, note, [&](const nlohmann::json& event) {
    if (event.value("type", "cycle") == "cycle") {
      cycles.push_back(event.get<CycleEvent>());
    }
  });
  return cycles;
}

}  // namespace chaosgate::report
