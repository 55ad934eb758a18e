// How every kind of campaign is recorded: a directory of its own, and in it events.jsonl, with a begin, what
// happened, when it happens, and an end. The report follows from these lines alone
// (harness/report/journal.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "harness/campaign/stop.h"
#include "harness/report/journal.h"

namespace chaosgate::campaign {

using LogLine = std::function<void(const std::string&)>;

// `format` as of strftime(3).
std::string utc_now(const char* format);

// `0x2a`, as seeds are printed everywhere.
std::string seed_text(std::uint64_t seed);

// A new directory <results>/<utc>-<what>-<seed>; <results>/latest leads to it from now on, so that it leads
// to no other's report. Throws UsageError when it cannot be made; a link that cannot be is logged.
std::filesystem::path make_result_directory(const std::filesystem::path& results, const std::string& what,
                                            std::uint64_t seed, const LogLine& log);

// The begin of a campaign that begins now: versions, seed and time.
report::CampaignBegin begin_of(std::uint64_t seed);

// Writes the begin, lets `parts` do the work and write what happens, and writes the end. What `parts` throws
// is a fault of the harness in the report. Throws EnvironmentError when events.jsonl cannot even be made.
report::CampaignReport record(const std::filesystem::path& directory, const report::CampaignBegin& begin,
                              StopSignal& stop, const LogLine& log,
                              const std::function<void(report::Journal&)>& parts);

}  // namespace chaosgate::campaign
