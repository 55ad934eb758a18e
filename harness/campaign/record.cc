#include "harness/campaign/record.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <system_error>

#include "harness/base/error.h"
#include "harness/campaign/versions.h"
#include "harness/report/writers.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

std::string utc_now(const char* format) {
  return fmt::format(fmt::runtime(fmt::format("{{:{}}}", format)), fmt::gmtime(std::time(nullptr)));
}

std::string seed_text(std::uint64_t seed) { return fmt::format("{:#x}", seed); }

fs::path make_result_directory(const fs::path& results, const std::string& what, std::uint64_t seed,
                               const LogLine& log) {
  std::error_code error;
  fs::create_directories(results, error);
  if (error) {
    throw UsageError(fmt::format("--results {}: {}", results.string(), error.message()));
  }
  const std::string base = fmt::format("{}-{}-{}", utc_now("%Y%m%dT%H%M%SZ"), what, seed_text(seed));
  for (int attempt = 0; attempt < 100; ++attempt) {  // two campaigns may start in one second
    const fs::path path = results / (attempt == 0 ? base : fmt::format("{}.{}", base, attempt));
    if (fs::create_directory(path, error)) {
      try {
        report::point_latest(path);
      } catch (const EnvironmentError& unlinked) {
        log(unlinked.what());
      }
      return path;
    }
    if (error) {
      break;
    }
  }
  throw UsageError(
      fmt::format("--results {}: cannot create {}: {}", results.string(), base, error.message()));
}

report::CampaignBegin begin_of(std::uint64_t seed) {
  report::CampaignBegin begin;
  begin.version = chaosgate_version();
  begin.libraries = library_versions();
  begin.seed = seed_text(seed);
  begin.started = utc_now("%Y-%m-%dT%H:%M:%SZ");
  return begin;
}

report::CampaignReport record(const fs::path& directory, const report::CampaignBegin& begin, StopSignal& stop,
                              const LogLine& log, const std::function<void(report::Journal&)>& parts) {
  const auto started = std::chrono::steady_clock::now();
  report::Journal journal(directory / "events.jsonl");
  report::CampaignEnd end;
  try {
    journal.write(begin);
    parts(journal);
  } catch (const std::exception& error) {
    end.harness_fault = error.what();
  }
  end.interrupted = stop.requested();
  end.terminated = stop.signal() == SIGTERM;
  end.complete = !end.interrupted && end.harness_fault.empty();
  end.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  try {
    journal.write(end);
    return journal.report();
  } catch (const EnvironmentError& error) {  // an end that could not be written is no end
    log(error.what());
    report::CampaignReport report = journal.report();
    report.complete = false;
    report.harness_fault = report.harness_fault.empty() ? error.what() : report.harness_fault;
    return report;
  }
}

}  // namespace chaosgate::campaign
