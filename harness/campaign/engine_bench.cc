#include "harness/campaign/engine_bench.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/base/json.h"
#include "harness/campaign/drive.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/recovery.h"
#include "harness/campaign/work_directory.h"
#include "oracle/oracle.h"
#include "workloads/generator.h"
#include "workloads/observation.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::Outcome;
using wire::Phase;

namespace {

constexpr std::uint32_t kFlushEveryEntries = 1000;
constexpr std::uint32_t kTruncateOneIn = 1000;  // entries
constexpr std::uint32_t kNever = UINT32_MAX;
constexpr std::uint64_t kSegmentBytes = 4 << 20;  // a campaign's are small to be cut often

wire::WorkerOrder load_order(const CampaignConfig& config, const wire::EngineDescription& engine,
                             std::uint32_t entries, const fs::path& data) {
  crash::CyclePlan plan;
  plan.free_running = config.key.plan.free_running;
  plan.stock_tuning = true;
  plan.schedule.flush_one_in = plan.schedule.compact_one_in = plan.schedule.checkpoint_one_in = kNever;
  plan.schedule.truncate_one_in = kTruncateOneIn;
  plan.schedule.forced = wire::Chore::flush;
  plan.schedule.forced_every = kFlushEveryEntries;
  plan.schedule.entries_max = entries;
  wire::WorkerOrder order =
      worker_order(lane_target(config, engine, lane_protocol(config.protocol, 0)), plan, data);
  order.segment_bytes = kSegmentBytes;
  order.term = 1;
  order.engine_bench = wire::EngineBench::load;
  return order;
}

// Throws unless the worker ended as it should.
void require(const Driven& driven, Outcome wanted, const std::string& engine, const char* part) {
  if (driven.outcome != wanted) {
    throw EnvironmentError(fmt::format("{}: the {} was not measured: {}", engine, part,
                                       driven.outcome == Outcome::stopped ? "stopped" : driven.detail));
  }
}

// Adds what the recovered state is, as the worker showed it behind everything else.
void look_at_state(std::string_view observations, EngineRound* round) {
  workloads::Observations seen;
  const Status parsed = workloads::parse(observations, &seen);
  CHECK(parsed.ok() && seen.after, "a state was judged but cannot be read");
  round->state_hash = hash64(seen.after->keyspaces);
  workloads::StateCursor cursor(seen.after->keyspaces);
  std::string_view key;
  std::string_view value;
  while (!cursor.at_end()) {
    if (cursor.next(&key, &value) == workloads::StateCursor::Item::key_value) {
      ++round->live_keys;
      round->live_bytes += key.size() + value.size();
    }
  }
}

std::uint64_t between_us(const wire::FlightRecorder& recorder, Phase from, Phase to) {
  return (recorder.phase_at_ns.at(static_cast<std::size_t>(to)) -
          recorder.phase_at_ns.at(static_cast<std::size_t>(from))) /
         kNsPerUs;
}

EngineRound measure(const CampaignConfig& config, const wire::EngineDescription& engine,
                    const EngineBenchOptions& options, const fs::path& directory, StopSignal& stop,
                    std::vector<std::string>* violations) {
  EngineRound round;
  const fs::path data = make_directory(directory / "data");
  WorkerParent parent(config.worker, plugins_of(engine.plugin), directory / "worker.output", &stop);
  const wire::FlightRecorder& recorder = parent.recorder();
  wire::WorkerOrder order = load_order(config, engine, options.entries, data);
  const workloads::Generator generator(order.workload, order.seed);
  oracle::Oracle oracle(generator);

  oracle.begin_term(order.term);
  parent.start(order);
  // It reaches its bound and is killed there: no crash point was ordered.
  require(drive_load(parent, std::nullopt, config.hang_ms), Outcome::missed, engine.name, "load");
  round.load = parse_json(recorder.said()).get<wire::LoadMeasured>();
  const oracle::CrashIndexes crash{recorder.appended, recorder.synced, recorder.applied, recorder.flushed};

  ++order.term;
  oracle.begin_term(order.term);
  order.engine_bench = wire::EngineBench::recovery;
  order.known_synced = crash.synced;
  order.check_integrity = true;
  RecoveryJudge judge(oracle, order, crash);
  const Driven driven = drive_recovery(parent, judge, RecoveryEnd::ready, 0, config.hang_ms);
  for (const oracle::Violation& violation : judge.violations()) {
    violations->push_back(fmt::format("{}: {}: {}", engine.name, oracle::to_string(violation.invariant),
                                      violation.explanation));
  }
  require(driven, Outcome::killed, engine.name, "recovery");
  round.recovery = parse_json(recorder.said()).get<wire::RecoveryMeasured>();
  round.recovery_us = between_us(recorder, Phase::starting, Phase::engine_opened) +
                      between_us(recorder, Phase::observed_before, Phase::replayed);
  round.replay_entries = recorder.replayed;
  look_at_state(parent.observations(), &round);
  return round;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double per(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

struct Metric {
  const char* name;
  const char* text;
  int decimals;
  double (*value)(const EngineRound& round);
};

// Microseconds an operation are milliseconds a thousand.
const std::vector<Metric>& metrics() {
  using R = const EngineRound&;
  constexpr std::uint64_t kKiB = 1024;
  static const std::vector<Metric> all = {
      {"writes_per_second", "writes a second", 0,
       [](R r) { return 1e6 * per(r.load.operations, r.load.total_us); }},
      {"engine_ms_per_1000_writes", "in the engine, ms per 1,000 writes", 2,
       [](R r) { return per(r.load.engine_us, r.load.operations); }},
      {"cpu_ms_per_1000_writes", "processor, ms per 1,000 writes", 2,
       [](R r) { return per(r.load.cpu_us, r.load.operations); }},
      {"written_per_byte", "written, bytes per byte", 2,
       [](R r) { return per(r.load.engine_written_bytes, r.load.batch_bytes); }},
      {"log_written_per_byte", "the log besides, bytes per byte", 2,
       [](R r) { return per(r.load.log_written_bytes, r.load.batch_bytes); }},
      {"taken_kib", "space taken, KiB", 0, [](R r) { return per(r.recovery.disk_bytes, kKiB); }},
      {"in_use_kib", "of that in use, KiB", 0, [](R r) { return per(r.recovery.used_bytes, kKiB); }},
      {"taken_per_live_byte", "space taken per live byte", 2,
       [](R r) { return per(r.recovery.disk_bytes, r.live_bytes); }},
      {"compact_ms", "compaction, ms", 1, [](R r) { return per(r.recovery.compact_us, 1000); }},
      {"compacted_kib", "space taken then, KiB", 0,
       [](R r) { return per(r.recovery.compacted_bytes, kKiB); }},
      {"open_ms", "opening, ms", 2, [](R r) { return per(r.recovery.open_us, 1000); }},
      {"recovery_ms", "recovery after the kill, ms", 2, [](R r) { return per(r.recovery_us, 1000); }},
      {"replay_entries", "entries replayed by it", 0,
       [](R r) { return static_cast<double>(r.replay_entries); }},
      {"resident_kib", "resident memory, KiB", 0,
       [](R r) { return static_cast<double>(r.load.resident_kib); }},
  };
  return all;
}

// The engines that do not end in the first one's state.
void compare_states(const EngineBenchResult& result, std::vector<std::string>* violations) {
  const ComparedEngine& first = result.engines.front();
  for (const ComparedEngine& engine : result.engines) {
    const std::uint64_t found = engine.rounds.back().state_hash;
    const std::uint64_t wanted = first.rounds.back().state_hash;
    if (found != wanted) {
      violations->push_back(fmt::format("{}: replica.equal: the state's hash is {:016x}, {}'s is {:016x}",
                                        engine.name, found, first.name, wanted));
    }
  }
}

}  // namespace

std::vector<Comparison> EngineBenchResult::comparisons() const {
  std::vector<Comparison> all;
  for (const Metric& metric : metrics()) {
    Comparison line{metric.name, metric.text, metric.decimals, {}, {}};
    for (const ComparedEngine& engine : engines) {
      std::vector<double> values;
      std::vector<double> ratios;
      for (std::size_t i = 0; i < engine.rounds.size(); ++i) {
        values.push_back(metric.value(engine.rounds[i]));
        const double first = metric.value(engines.front().rounds[i]);
        if (first > 0) {
          ratios.push_back(values.back() / first);
        }
      }
      line.medians.push_back(median(values));
      line.ratios.push_back(ratios.empty() ? std::nullopt : std::optional(median(ratios)));
    }
    all.push_back(std::move(line));
  }
  return all;
}

EngineBenchResult compare_engines(const CampaignConfig& config, const wire::Hello& hello,
                                  const EngineBenchOptions& options, const fs::path& directory,
                                  StopSignal& stop, const std::function<void(const std::string&)>& progress) {
  EngineBenchResult result;
  result.workload = config.key.workload;
  result.protocol = wire::to_string(lane_protocol(config.protocol, 0));
  result.maintenance = config.key.plan.free_running ? "free-running" : "scheduled";
  for (const std::string& name : config.engines) {
    const wire::EngineDescription& engine = require_engine(hello, name);
    result.engines.push_back({name, engine.version, engine.commit_survives, engine.flush_survives, {}});
  }
  for (std::uint32_t round = 0; round < options.rounds; ++round) {
    for (std::size_t i = 0; i < result.engines.size(); ++i) {
      ComparedEngine& engine = result.engines[(round + i) % result.engines.size()];
      const TempDir place(directory, "round-");
      engine.rounds.push_back(measure(config, require_engine(hello, engine.name), options, place.path(), stop,
                                      &result.violations));
    }
    compare_states(result, &result.violations);
    progress(fmt::format("round {} of {}", round + 1, options.rounds));
  }
  return result;
}

}  // namespace chaosgate::campaign
