#include "harness/campaign/certify.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/conform.h"
#include "harness/campaign/damage.h"
#include "harness/campaign/digest.h"
#include "harness/campaign/engines.h"
#include "harness/campaign/self_test.h"
#include "harness/campaign/versions.h"
#include "harness/campaign/work_directory.h"
#include "harness/report/facts.h"
#include "harness/report/writers.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::Certificate;
using report::CertificateException;
using report::CertificateLevel;
using Clock = std::chrono::steady_clock;

namespace {

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::string survives(const std::string& what) { return what.empty() ? "unknown" : what; }

std::vector<std::pair<std::string, std::string>> contract_of(const wire::EngineDescription& engine) {
  const auto yes = [](bool value) { return std::string(value ? "yes" : "no"); };
  return {{"a commit survives", survives(engine.commit_survives)},
          {"a flush survives", survives(engine.flush_survives)},
          {"opens after a power cut", yes(engine.opens_after_power_cut)},
          {"damage at rest is detected (checksums)", yes(engine.checksums)}};
}

std::string build_of(const wire::EngineDescription& engine) {
  if (engine.plugin.empty()) {
    return "built in";
  }
  std::string bytes;
  if (const Status status = read_file(engine.plugin, &bytes); !status.ok()) {
    throw EnvironmentError(status.message());
  }
  return fmt::format("{}, SHA-256 {}", fs::path(engine.plugin).filename().string(), sha256(bytes));
}

std::string configuration_of(wire::EngineDescription engine) {
  engine.plugin.clear();  // a path
  return sha256(nlohmann::json(engine).dump());
}

class Certification {
 public:
  struct LevelInfo {
    const char* name;
    const char* meaning;
    void (Certification::*run)(CertificateLevel*);
  };
  static const std::vector<LevelInfo>& all_levels();

  Certification(const CertifyOptions& options, StopSignal& stop, CampaignOutput& output)
      : options_(options), config_(options.config), stop_(stop), output_(output) {
    const auto wanted = std::find(certificate_levels().begin(), certificate_levels().end(), options.level);
    if (wanted == certificate_levels().end()) {
      throw UsageError(fmt::format("--level {}: unknown; known: {}", options.level,
                                   fmt::join(certificate_levels(), ", ")));
    }
    levels_ = static_cast<std::size_t>(wanted - certificate_levels().begin()) + 1;
    config_.replay_regressions = false;
    config_.tap = TapUse::always;
    hello_ = resolve_engines(config_.worker, &config_.engines);
    if (config_.engines.size() != 1) {
      throw UsageError("a certificate is of one engine: name it with --engine");
    }
    validate(config_, hello_);
    if (!hello_.tap_unavailable.empty()) {
      throw UsageError("storage calls cannot be seen here, and a certificate needs them: " +
                       hello_.tap_unavailable);
    }
    engine_ = &require_engine(hello_, config_.engines.front());
    selector_ = selector(*engine_);
    if (fs::exists(options.directory / "certificate.json")) {
      throw UsageError(fmt::format("{} holds a certificate already", options.directory.string()));
    }
  }

  Certificate run() {
    const Clock::time_point begin = Clock::now();
    Certificate certificate;
    certificate.version = chaosgate_version();
    certificate.seed = config_.key.seed;
    certificate.engine = engine_->name;
    certificate.family = engine_->family;
    certificate.summary = engine_->summary;
    certificate.engine_version = engine_->version;
    certificate.build = build_of(*engine_);
    certificate.configuration = configuration_of(*engine_);
    certificate.contract = contract_of(*engine_);
    certificate.profile = disk::to_string(config_.profile);
    certificate.fault = config_.key.fault;
    certificate.started = utc_now("%Y-%m-%dT%H:%M:%SZ");
    fs::create_directories(options_.directory);
    if (options_.self_test) {
      output_.log("certify: the self-test of this build");
      const WorkDirectory work(config_.directory, config_.engines, &stop_);
      SelfTestOptions self_test;
      self_test.seeds = {config_.key.seed};
      self_test.worker = config_.worker;
      self_test.hang_ms = config_.hang_ms;
      const report::CampaignReport report = recorded("self-test", work, [&](report::Journal& journal) {
        self_test.on_fault = [&](std::size_t number, const report::FaultResult& result) {
          journal.write(report::FaultEvent{number, result});
        };
        run_self_test(self_test, hello_, work.path(), stop_, output_.progress);
      });
      check("self-test", report);
      certificate.self_test = report.self_test;
    }
    for (std::size_t i = 0; i < levels_; ++i) {
      const LevelInfo& info = all_levels()[i];
      CertificateLevel& level = certificate.levels.emplace_back();
      level.name = info.name;
      level.meaning = info.meaning;
      level.verdict = "not run";
      if (stop_.requested() || !certificate.harness_fault.empty()) {
        continue;
      }
      output_.log(fmt::format("certify {}: level {}", engine_->name, level.name));
      const Clock::time_point level_begin = Clock::now();
      try {
        (this->*info.run)(&level);
      } catch (const UsageError&) {
        throw;
      } catch (const std::exception& error) {  // what was found by then stays found
        certificate.harness_fault = fmt::format("level {}: {}", level.name, error.what());
        output_.log(certificate.harness_fault);
        judge_broken_off(&level);
      }
      level.seconds = seconds_since(level_begin);
      if (stop_.requested()) {
        level.verdict = "not run";
      }
    }
    certificate.seconds = seconds_since(begin);
    return certificate;
  }

 private:
  static void judge_broken_off(CertificateLevel* level) {
    const bool broken = std::any_of(level->exceptions.begin(), level->exceptions.end(),
                                    [](const CertificateException& exception) { return exception.promised; });
    level->verdict = broken ? "fail" : "not run";
  }

  void conformance(CertificateLevel* level) {
    const WorkDirectory work(config_.directory, config_.engines, &stop_);
    const report::CampaignReport report = recorded(level->name, work, [&](report::Journal& journal) {
      ConformOptions conform{config_.key.seed, config_.worker, config_.hang_ms};
      conform.on_check = [&](const ConformResult& result) {
        journal.write(report::CheckEvent{engine_->name, result});
      };
      run_conformance(hello_, *engine_, conform, work.path(), stop_);
    });
    const std::vector<ConformResult> results =
        report.conformance.empty() ? std::vector<ConformResult>() : report.conformance.front().checks;
    level->tried = {{"checks", results.size()}};
    for (const ConformResult& result : results) {
      if (!result.passed()) {
        level->exceptions.push_back({result.check, fmt::format("{}: {}", result.outcome, result.detail), "",
                                     1, true, "",
                                     CommandLine(config_.invocation, "conform")
                                         .option("--engine", selector_)
                                         .option("--seed", seed_text(config_.key.seed))
                                         .text()});
      } else if (!result.note.empty()) {
        add(level, {result.check, "noted: " + result.note, "", 1, false, "", ""});
      }
    }
    const bool passed = std::all_of(results.begin(), results.end(),
                                    [](const ConformResult& result) { return result.passed(); });
    level->verdict = passed ? "pass" : "fail";
    check(level->name, report);
  }

  // Everything planned by the seed, to the call.
  CampaignConfig exact() const {
    CampaignConfig config = config_;
    config.kill = true;
    config.power = false;
    config.key.plan.timer = false;
    config.key.plan.step = config.key.plan.call = config.key.plan.recrash = config.key.plan.scheduled = true;
    config.key.plan.free_running = config.key.plan.io = false;
    return config;
  }

  void kill(CertificateLevel* level) { campaign(exact(), level, true); }

  void io(CertificateLevel* level) {
    CampaignConfig config = exact();
    config.key.plan.io = true;
    config.kills = options_.io_kills;
    config.power = true;
    config.images = options_.io_images;
    campaign(config, level, true);
  }

  void power(CertificateLevel* level) {
    CampaignConfig config = exact();
    config.kill = false;
    config.power = true;
    campaign(config, level, true);
  }

  void soak(CertificateLevel* level) {
    CampaignConfig config = config_;
    config.kill = true;
    config.power = false;
    config.tap = TapUse::automatic;
    config.kills = options_.soak_kills;
    config.key.plan.timer = config.key.plan.free_running = true;
    config.key.plan.step = config.key.plan.call = config.key.plan.scheduled = false;
    campaign(config, level, false);
  }

  // A part of the certification that run_campaign() does not know, with events like any campaign; check()
  // writes its reports.
  report::CampaignReport recorded(const std::string& level, const WorkDirectory& work,
                                  const std::function<void(report::Journal&)>& parts) {
    const fs::path directory = options_.directory / level;
    fs::create_directories(directory);
    report::CampaignBegin begin = begin_of(config_.key.seed);
    begin.work_directory_kind = work.kind();
    begin.command = config_.invocation.again;
    return record(directory, begin, stop_, output_.log, parts);
  }

  // Writes the reports. A violation is told whatever else went wrong; without one, a fault of the harness
  // ends the certification.
  void check(const std::string& level, const report::CampaignReport& report) {
    std::vector<std::string> complaints = report::write_results(report, options_.directory / level);
    if (!report.harness_fault.empty()) {
      complaints.insert(complaints.begin(), report.harness_fault);
    }
    for (const std::string& complaint : complaints) {
      output_.log(fmt::format("level {}: {}", level, complaint));
    }
    if (!complaints.empty() && report.exit_status() != report::ExitStatus::violation) {
      throw EnvironmentError(complaints.front());
    }
  }

  // `exact`: its numbers repeat.
  void campaign(CampaignConfig config, CertificateLevel* level, bool exact) {
    config.engines = {selector_};
    CampaignOutput output = output_;
    output.directory = options_.directory / level->name;
    fs::create_directories(output.directory);
    output.command = config_.invocation.again;
    const report::CampaignReport report = run_campaign(config, stop_, output);
    check(level->name, report);
    if (report.engines.empty()) {
      return;  // stopped before the engine's turn
    }
    const report::EngineSection& section = report.engines.front();
    const report::EngineTally& tally = section.tally;
    level->not_tested = report.not_tested;
    if (config.kill) {
      level->tried.emplace_back("kills", tally.kills);
      if (exact) {
        level->tried.emplace_back("in recovery", tally.kills_in_recovery);
      }
      if (config.key.plan.io) {
        level->tried.emplace_back("I/O errors", tally.errors);
      }
      level->upper_bound = tally.upper_bound();
      if (exact) {
        level->coverage.push_back(fmt::format("{} of {} protocol steps hit", tally.kills_by_step.size(),
                                              section.steps_expected.size()));
        level->coverage.push_back(fmt::format("{} of {} places at storage calls hit",
                                              tally.kills_by_cell.size(), tally.cells_seen.size()));
      }
    }
    if (section.power) {
      take_power(*section.power, level);
    }
    if (section.violations_found() > 0) {
      level->upper_bound = 0;
    }
    for (const auto& [where, violation] : section.violations) {
      if (!section.power || !is_of_power(*section.power, violation)) {
        add(level, {violation.invariant, violation.explanation, "", 1, true,
                    bundle_of(level->name, violation.bundle), violation.command});
      }
    }
    for (const std::string& line : section.abnormal) {
      add(level, {"abnormal death", line, "", 1, true, "", ""});
    }
    level->doubts = section.reasons();
    for (const std::string& line : report::abnormal_not_reproduced(section)) {
      level->doubts.push_back(line);
    }
    level->verdict = section.verdict() == report::Verdict::pass           ? "pass"
                     : section.verdict() == report::Verdict::inconclusive ? "inconclusive"
                                                                          : "fail";
  }

  // One of these is listed with the finding that it was put to, whose bundle may be that of another lane.
  static bool is_of_power(const report::PowerTally& power, const report::ViolationEvent& violation) {
    return std::any_of(power.findings.begin(), power.findings.end(),
                       [&](const report::PowerFinding& finding) {
                         return finding.promised && finding.invariant == violation.invariant &&
                                report::without_numbers(violation.explanation)
                                    .starts_with(report::without_numbers(finding.cause));
                       });
  }

  void take_power(const report::PowerTally& power, CertificateLevel* level) {
    level->tried.emplace_back("disk images", power.judged);
    level->tried.emplace_back("from cuts during recovery", power.in_recovery);
    level->tried.emplace_back("loads", power.loads);
    for (const auto& [kind, coverage] : power.cuts) {
      level->coverage.push_back(fmt::format("cut behind {} of {} {}s", coverage.cut, coverage.seen, kind));
    }
    level->coverage.push_back(fmt::format("recoveries went {} ways", power.recoveries_distinct));
    if (power.judged > 0) {  // the larger one of what was tried holds for both
      level->upper_bound = std::max(level->upper_bound, 3.0 / static_cast<double>(power.judged));
    }
    for (const report::PowerFinding& finding : power.findings) {
      add(level, {finding.invariant, finding.cause, finding.profile, finding.images, finding.promised,
                  bundle_of(level->name, finding.bundle), finding.command});
    }
  }

  // Why it ended early, or "".
  std::string run_damage_lane(std::uint64_t lane, const std::string& level, const fs::path& work,
                              report::Journal& journal) {
    DamageOptions damage{lane_target(exact(), *engine_, lane_protocol(config_.protocol, lane), lane)};
    damage.key.workload = config_.power_workloads.front();
    damage.damages = share(options_.damages, lane, 2);
    damage.directory = work / fmt::format("damage-{}", lane);
    report::DamageTally written;
    damage.on_change = [&](const report::DamageTally& tally) {
      journal.write(report::DamageEvent{engine_->name, lane, options_.damages, engine_->checksums,
                                        tally.counts_since(written)});
      written = tally;
    };
    damage.on_change({});  // what is wanted is known, whatever comes
    return run_damage(
               damage, stop_,
               [&](const Bundle& bundle, const fs::path& image, report::DamageFinding* finding) {
                 std::string id = fmt::format("{}-lane{}-{}-{}-{}", engine_->name, lane, finding->file_class,
                                              finding->silent ? "silent" : "died", finding->invariant);
                 std::replace(id.begin(), id.end(), ' ', '-');
                 const fs::path relative = fs::path("failures") / id / "bundle.tar.zst";
                 const fs::path path = options_.directory / level / relative;
                 fs::create_directories(path.parent_path());
                 write_bundle(bundle, image, {}, path);
                 finding->bundle = relative.string();
                 finding->command = bundle_command(config_.invocation, path, bundle.recovery.order.plugin);
               })
        .harness_fault;
  }

  void damage(CertificateLevel* level) {
    const WorkDirectory work(config_.directory, config_.engines, &stop_);
    const report::CampaignReport report = recorded(level->name, work, [&](report::Journal& journal) {
      std::string fault;
      for (std::uint64_t lane = 0; lane < 2; ++lane) {
        const std::string why = run_damage_lane(lane, level->name, work.path(), journal);
        fault = fault.empty() ? why : fault;
      }
      if (!fault.empty()) {
        throw EnvironmentError(fault);
      }
    });
    const report::Damage damage = report.damage.empty() ? report::Damage() : report.damage.front();
    const report::DamageTally& tally = damage.tally;
    const report::DamageCounts all = tally.total();
    level->tried = {{"damaged files", tally.judged()},
                    {"detected", all.detected},
                    {"harmless", all.harmless},
                    {"ended the process", all.died},
                    {"silently wrong", all.silent}};
    for (const auto& [file_class, counts] : tally.by_class) {
      level->coverage.push_back(fmt::format("{}: {} detected, {} harmless, {} died, {} silently wrong",
                                            file_class, counts.detected, counts.harmless, counts.died,
                                            counts.silent));
    }
    for (const report::DamageFinding& finding : tally.findings) {
      add(level, {finding.invariant,
                  fmt::format("{} ({}): {}", finding.silent ? "silently wrong" : "the process died",
                              finding.damage, finding.explanation),
                  "", finding.count, damage.breaks_promise(finding), bundle_of(level->name, finding.bundle),
                  finding.command});
    }
    const bool failed = damage.violations() > 0;
    level->upper_bound =
        !failed && all.silent == 0 && tally.judged() > 0 ? 3.0 / static_cast<double>(tally.judged()) : 0;
    level->doubts = damage.doubts();
    level->verdict = failed ? "fail" : level->doubts.empty() ? "pass" : "inconclusive";
    check(level->name, report);
    if (!report.harness_fault.empty()) {
      throw EnvironmentError(report.harness_fault);
    }
  }

  // Those with the same words are one.
  static void add(CertificateLevel* level, CertificateException exception) {
    for (CertificateException& known : level->exceptions) {
      if (known.invariant == exception.invariant && known.explanation == exception.explanation &&
          known.promised == exception.promised) {
        known.count += exception.count;
        return;
      }
    }
    level->exceptions.push_back(std::move(exception));
  }

  static std::string bundle_of(const std::string& level, const std::string& bundle) {
    return bundle.empty() ? "" : level + "/" + bundle;
  }

  const CertifyOptions& options_;
  CampaignConfig config_;
  StopSignal& stop_;
  CampaignOutput& output_;
  wire::Hello hello_;
  const wire::EngineDescription* engine_ = nullptr;
  std::string selector_;
  std::size_t levels_ = 0;
};

const std::vector<Certification::LevelInfo>& Certification::all_levels() {
  static const std::vector<LevelInfo> levels = {
      {"conformance", "does what the gate expects of every engine", &Certification::conformance},
      {"kill", "SIGKILL at protocol steps and storage calls, and again during recovery",
       &Certification::kill},
      {"io", "the same with I/O errors and full disks, and power cuts after them", &Certification::io},
      {"power", "recovery from disk images that a power cut may leave", &Certification::power},
      {"damage", "flipped bits and lost sectors at rest are detected or harmless", &Certification::damage},
      {"soak", "SIGKILL at any time, with the engine's own threads at work", &Certification::soak},
  };
  return levels;
}

}  // namespace

const std::vector<std::string>& certificate_levels() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Certification::LevelInfo& level : Certification::all_levels()) {
      all.emplace_back(level.name);
    }
    return all;
  }();
  return names;
}

report::Certificate certify(const CertifyOptions& options, StopSignal& stop, CampaignOutput& output) {
  return Certification(options, stop, output).run();
}

}  // namespace chaosgate::campaign
