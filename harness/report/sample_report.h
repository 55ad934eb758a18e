// Made-up campaigns for the tests, and how tests look at text: every field filled, numbers of the size of a
// real gate.
#pragma once

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "harness/base/file.h"
#include "harness/report/campaign_report.h"

namespace chaosgate::report::sample {

inline TempDir temporary() { return {std::filesystem::temp_directory_path(), "chaosgate-report-"}; }

// A confirmed kill of the load by step, then a clean recovery.
inline CycleEvent cycle(std::uint64_t number, std::string engine = "rocksdb") {
  CycleEvent event;
  event.engine = std::move(engine);
  event.protocol = "in-batch";
  event.workload = "mixed";
  event.lane = number % 2;
  event.cycle = number / 2;
  event.plan = "lane=0 cycle=0 crash=before-log-sync#3";
  event.maintenance = "scheduled";
  event.crash.kind = number % 5 < 2 ? "timer" : "step";
  event.crash.planned = number % 5 < 2 ? "timer:812us" : "before-log-sync#3";
  event.crash.phase = "loading";
  event.crash.step = number % 5 < 2 ? "after-apply" : "before-log-sync";
  event.crash.occurrence = 3;
  event.crash.term = number + 1;
  event.crash.appended = 420 + number;
  event.crash.synced = 400 + number;
  event.crash.entries = 300;
  event.crash.operations = 1'900 + number;
  event.recovered = true;
  event.last_index = 400 + number;
  event.torn_bytes = number % 7;
  event.at_risk = number % 3;
  event.replay_entries = 100 + number;
  event.live_keys = 5'000 + number;
  event.checked = {"log.acked", "state.prefix", "state.replayed"};
  event.timings.open = 700;
  event.timings.replay = 100 + number;
  event.timings.total = 40'000 + number;
  return event;
}

inline ViolationEvent violation() {
  return {.invariant = "state.prefix",
          .explanation =
              "before replay 3 keys differ from the oracle at the witness 4,711: keyspace meta is "
              "behind keyspace data",
          .detail =
              "meta/rev-0007  expected 4711, found 4702\nmeta/rev-0009  expected 4711, found 4702\n"
              "data/k\x01\xff<&  expected 12 bytes, found nothing",
          .bundle = "failures/rocksdb-0-17",
          .command = "chaosgate replay results/20250101T010101Z-rocksdb-0x2a/failures/rocksdb-0-17"};
}

inline EngineSection section(std::string engine, std::uint64_t cycles) {
  EngineSection section;
  section.engine = engine;
  section.version = engine == "lmdb" ? "LMDB 0.9.24" : "RocksDB 7.8.3";
  section.commit_survives = engine == "lmdb" ? "power cut" : "nothing";
  section.flush_survives = "power cut";
  section.protocols = {"in-batch", "sidecar"};
  section.kills_wanted = cycles;
  section.steps_expected = {"before-log-append", "inside-log-append", "after-log-append", "before-log-sync"};
  section.seconds = 43.5;
  for (std::uint64_t i = 0; i < cycles; ++i) {
    CycleEvent event = cycle(i, engine);
    if (event.crash.kind == "step") {
      const std::string& step = section.steps_expected[i % section.steps_expected.size()];
      event.crash.planned = step + "#2";
      event.crash.step = step;
    }
    section.tally.add(event);
  }
  return section;
}

inline CampaignReport pass() {
  CampaignReport report;
  report.version = "0.1.0";
  report.libraries = {{"RocksDB", "7.8.3"}, {"LMDB", "0.9.24"}};
  report.seed = 42;
  report.plan_checksum = "8a5c1f0e22d94b17";
  report.settings = {{"kills", "1000", "flag"}, {"lanes", "4", "default"}};
  report.started = "2025-01-01T01:01:01Z";
  report.seconds = 87;
  report.work_directory_kind = "tmpfs";
  report.complete = true;
  report.engines = {section("rocksdb", 1'000), section("lmdb", 1'000)};
  report.not_tested = {"power cuts: the tap needs seccomp user notification"};
  report.command = "chaosgate run --seed 0x2a --engine rocksdb --engine lmdb";
  return report;
}

inline CampaignReport with_violation() {
  CampaignReport report = pass();
  EngineSection& rocksdb = report.engines[0];
  CycleEvent event = cycle(1'000);
  event.violations = {violation()};
  rocksdb.tally.add(event);
  rocksdb.violations = {{"lane 0 cycle 17", violation()}};
  rocksdb.violation_count = 1;
  report.command = violation().command;
  return report;
}

// Power cuts on lmdb: one promise broken, and one thing that was never promised.
inline CampaignReport with_power_cuts() {
  CampaignReport report = pass();
  PowerTally& power = report.engines[1].power.emplace();
  power.profile = "xfs";
  power.wanted = power.judged = 1'234;
  power.loads = 7;
  power.loads_with_errors = 2;
  power.calls = 2'100;
  power.in_recovery = 150;
  power.failed = 5;
  power.strategies = {{"drop-all", {1'000, 20, 0, 1}}, {"tear", {234, 5, 60, 0}}};
  power.cuts = {{"rename", {10, 9}}, {"sync", {400, 380}}};
  power.findings = {
      {"log.acked", "rename a.tmp -> a was lost while it was acknowledged", "btrfs", "entry 7 is missing",
       "entry 7 is missing\n", 4, 37, true, "failures/x/bundle.tar.zst",
       "chaosgate replay failures/x/bundle.tar.zst"},
      {"engine.opens", "write of data.mdb was lost", "xfs", "it does not open", "", 1, 812, false, "", ""}};
  power.recover_us = 900'000;
  power.build_us = 100'000;
  power.seconds = 6.2;
  report.engines[1].violations = {
      {"power cut, lane 0 load 3", {"log.acked", "entry 7 is missing", "", "", ""}}};
  report.engines[1].violation_count = power.violations();
  return report;
}

inline std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    all.push_back(line);
  }
  return all;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace chaosgate::report::sample
