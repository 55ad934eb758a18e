// Regressions: every failure a campaign found, one JSON line each in <results>/regressions/<engine>.jsonl, to
// be replayed first by the next campaign on that engine.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/campaign/config.h"

namespace chaosgate::campaign {

// Of a power cut: how its lane was explored.
struct PowerRegression {
  std::string profile;
  std::uint64_t images = 0;  // for the lane and workload
  std::uint64_t images_per_load = 0;
};

// Of a replica: the group it was in.
struct GroupRegression {
  std::vector<std::string> engines;  // of the replicas, in their order
  ProtocolChoice protocol = ProtocolChoice::both;
  std::uint64_t number = 0;  // of the group in its campaign

  bool operator==(const GroupRegression&) const = default;
};

struct Regression {
  PlanKey key;
  std::string engine;
  wire::Protocol protocol = wire::Protocol::in_batch;
  std::uint64_t lane = 0;   // or replica
  std::uint64_t cycle = 0;  // of a power cut: the load, or the group's cycle, counted anew for each workload
  crash::CyclePlan plan;    // of that cycle, as it was carried out
  std::string invariant;    // the first one broken, or "abnormal"
  std::optional<PowerRegression> power = std::nullopt;
  std::optional<GroupRegression> group = std::nullopt;
  // Of power cuts and groups, which are drawn from the seed again: of all up to that load or cycle, by the
  // build that found it (plans.h). append_regression() sets it. Empty in the lines of older builds.
  std::string plan_checksum = "";
};

// Appends a line unless the same seed, lane and cycle are there. A planted fault is no regression and is not
// kept. Throws EnvironmentError.
void append_regression(const std::filesystem::path& results, const Regression& regression);

struct RegressionList {
  std::vector<Regression> entries;  // newest first, at most kRegressionsReplayed
  std::string note;                 // what was left out and why, or empty
};

inline constexpr std::size_t kRegressionsReplayed = 5;
inline constexpr std::uint64_t kRegressionCyclesMax = 2000;  // a lane has to be replayed from its first cycle

// The text of a file of regressions: one line, and all lines. `engine` is the file's, `name` is for messages;
// `whole_bytes` is without a last line that a campaign which was killed has torn, and which is left out.
// Throws UsageError naming file and line when a line cannot be read.
std::string regression_line(const Regression& regression);
std::vector<Regression> parse_regressions(std::string_view text, const std::string& name,
                                          const std::string& engine, std::size_t* whole_bytes);

enum class RegressionOf : std::uint8_t { kill, power_cut, group_kill, group_power_cut };

// Whether any cycle up to the one that failed may have died at a storage call, or had an I/O error.
bool needs_tap(const Regression& regression);

// Those of one kind, without those for which this build plans something else. Throws UsageError naming file
// and line when a line cannot be read.
RegressionList read_regressions(const std::filesystem::path& results, const std::string& engine,
                                RegressionOf kind);

}  // namespace chaosgate::campaign
