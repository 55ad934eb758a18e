#include "harness/campaign/migrate_gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/rng.h"
#include "harness/campaign/migrate_subject.h"
#include "harness/campaign/power_case.h"
#include "harness/campaign/work_directory.h"
#include "harness/crash/migration_plan.h"
#include "harness/disk/explore.h"
#include "harness/disk/minimize.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

using report::MigrationFinding;
using report::MigrationTally;
using tap::FaultAction;

namespace {

constexpr std::uint32_t kReduceTests = 60;
constexpr std::uint64_t kChangesTold = 50;

class Gate {
 public:
  Gate(const MigrationGateOptions& options, StopSignal& stop, report::Progress* progress);

  MigrationTally run();

 private:
  void run_all();
  bool enough() const { return stop_.requested() || tally_.findings.size() >= options_.findings_max; }
  void measure();

  void kill_migrations();
  void kill_one(std::uint64_t number);
  // The death that is planned, in this migration. *text: for people.
  MigrationDeath death_of(const crash::MigrationKillPlan& plan, std::string* text) const;
  void count_kill(const MigrationDeath& death);

  void cut_power();
  // The storage calls of a migration that goes on from what is in `base`, which is not changed.
  tap::Trace record(const fs::path& base, std::optional<crash::Part> exporter_ends);
  void explore(const tap::Trace& trace, const fs::path& base, std::uint64_t number);

  // Lets the migration in `directory` come to its end and judges that. What is wrong, or "".
  std::string finish_and_judge(const fs::path& directory);
  void tell() const;  // of a change
  void add_finding(MigrationFinding finding, const fs::path& directory);
  fs::path fresh(const std::string& name) const;
  void show_progress(const char* what, std::uint64_t done, std::uint64_t wanted) const;

  const MigrationGateOptions& options_;
  StopSignal& stop_;
  report::Progress* progress_;
  const Rng rng_;
  MigrationSubject subject_;
  wire::MigrationReport last_;  // of the importer, by finish_and_judge()
  MigrationTally tally_;
};

Gate::Gate(const MigrationGateOptions& options, StopSignal& stop, report::Progress* progress)
    : options_(options),
      stop_(stop),
      progress_(progress),
      rng_(Rng(options.seed).fork("migrate").fork(options.from.name).fork(options.to.name)),
      subject_(options, stop) {
  tally_.from = options.from.name;
  tally_.to = options.to.name;
}

fs::path Gate::fresh(const std::string& name) const {
  const fs::path path = options_.directory / name;
  std::error_code ignored;
  fs::remove_all(path, ignored);
  return path;
}

void Gate::show_progress(const char* what, std::uint64_t done, std::uint64_t wanted) const {
  if (progress_ != nullptr) {
    progress_->update({.label = fmt::format("{} to {}:", tally_.from, tally_.to),
                       .done = done,
                       .wanted = wanted,
                       .unit = what,
                       .violations = tally_.findings.size()});
  }
}

void Gate::measure() {
  const fs::path directory = make_directory(fresh("measured"));
  std::string wrong = subject_.measure(directory);
  tally_.keys = subject_.extent().keys;
  if (!wrong.empty() && !stop_.requested()) {
    add_finding({"none", "a migration that nothing happened to", std::move(wrong), "", ""}, directory);
  }
}

MigrationDeath Gate::death_of(const crash::MigrationKillPlan& plan, std::string* text) const {
  using crash::MigrationKill;
  const MigrationSubject::Extent& extent = subject_.extent();
  MigrationDeath death;
  tap::StorageFault fault;
  switch (plan.kill) {
    case MigrationKill::between_pieces:
      death.exporter_after_pieces = 1 + crash::place_in(plan.where, extent.pieces);
      *text = fmt::format("exporter after {} pieces", death.exporter_after_pieces);
      return death;
    case MigrationKill::any_time:
      death.importer_us = static_cast<std::uint32_t>(crash::place_in(plan.where, extent.us + 1));
      *text = fmt::format("importer after {} us", *death.importer_us);
      return death;
    case MigrationKill::inside_write:
      fault.action = FaultAction::kill_inside;
      fault.site.call = tap::StorageCall::write;
      fault.site.occurrence = 1 + crash::place_in(plan.where, extent.writes);
      break;
    case MigrationKill::before_call:
    case MigrationKill::after_call:
      fault.action =
          plan.kill == MigrationKill::before_call ? FaultAction::kill_before : FaultAction::kill_after;
      fault.site.occurrence = 1 + crash::place_in(plan.where, extent.calls);
      break;
  }
  *text = "importer " + to_string(fault);
  death.importer_faults.push_back(std::move(fault));
  return death;
}

void Gate::count_kill(const MigrationDeath& death) {
  ++tally_.kills;
  if (death.exporter_after_pieces != 0) {
    ++tally_.kills_of_exporter;
  } else if (death.importer_us) {
    ++tally_.kills_at_any_time;
  } else {
    ++tally_.kills_at_calls;
  }
}

void Gate::kill_migrations() {
  // Deaths are drawn within the extent of a migration and hit most of them; with fewer it is inconclusive.
  const std::uint64_t migrations_max = 10 * options_.kills + 100;
  for (std::uint64_t i = 0; i < migrations_max && tally_.kills < options_.kills && !enough(); ++i) {
    kill_one(i);
    show_progress("kill", tally_.kills, options_.kills);
    if ((i + 1) % kChangesTold == 0) {
      tell();
    }
  }
}

void Gate::kill_one(std::uint64_t number) {
  const fs::path directory = make_directory(fresh("killed"));
  std::string deaths;
  std::string wrong;
  bool ended = false;
  for (const crash::MigrationKillPlan& plan :
       crash::plan_killed_migration(options_.seed, options_.from.name, options_.to.name, number)) {
    if (ended || !wrong.empty() || tally_.kills >= options_.kills) {
      break;
    }
    std::string text;
    const MigrationDeath death = death_of(plan, &text);
    const bool target_was_there = fs::exists(directory / kMigrationTarget);
    tap::Tap tap(subject_.tap_options(directory));
    const MigrationRun run = subject_.run(directory, death, &tap);
    if (run.stopped) {
      return;
    }
    tally_.resumed += run.importer.keys_resumed > 0 ? 1 : 0;
    deaths += (deaths.empty() ? "" : ", ") + text;
    wrong = run.importer.begun_anew;
    if (run.outside) {
      deaths += " (ended from outside)";  // like a kill, but not counted
      continue;
    }
    if (run.killed) {
      count_kill(death);
      continue;
    }
    ended = true;
    deaths += " (not reached)";
    if (wrong.empty() && !MigrationSubject::is_end(run, target_was_there)) {
      wrong = run.message();
    }
  }
  if (wrong.empty()) {
    wrong = ended ? subject_.judge(directory) : finish_and_judge(directory);
    wrong = wrong.empty() && !ended ? last_.begun_anew : wrong;
  }
  if (stop_.requested()) {
    return;
  }
  ++tally_.migrations;
  if (!wrong.empty()) {
    add_finding({"kill", std::move(deaths), std::move(wrong), "", ""}, directory);
  }
}

void Gate::add_finding(MigrationFinding finding, const fs::path& directory) {
  const fs::path kept =
      options_.failures / fmt::format("{}-to-{}-{}", tally_.from, tally_.to, tally_.findings.size());
  check_room(options_.directory, finding.detail);
  tally_.findings.push_back(std::move(finding));  // outlives a copy that cannot be made
  fs::create_directories(options_.failures);
  std::error_code ignored;
  fs::remove_all(kept, ignored);
  copy_tree(directory, kept);
  tally_.findings.back().kept = kept;
  tell();
}

void Gate::tell() const {
  if (options_.on_change) {
    options_.on_change(tally_);
  }
}

tap::Trace Gate::record(const fs::path& base, std::optional<crash::Part> exporter_ends) {
  const fs::path directory = fresh("recorded");
  copy_tree(base, directory);
  tap::TapOptions options = subject_.tap_options(directory);
  options.keep_payloads = true;
  options.sync_disk = false;
  tap::Tap tap(std::move(options));
  MigrationDeath death;
  if (exporter_ends) {  // how the importer takes that is recorded, too
    death.exporter_after_pieces = 1 + crash::place_in(*exporter_ends, subject_.extent().pieces);
  }
  subject_.run(directory, death, &tap);
  return tap.take_trace();
}

void Gate::cut_power() {
  const std::uint64_t traces_max = 10 + options_.images;
  for (std::uint64_t number = 0; number < traces_max && tally_.images < options_.images && !enough();
       ++number) {
    const crash::RecordedMigrationPlan plan =
        crash::plan_recorded_migration(options_.seed, options_.from.name, options_.to.name, number);
    const fs::path base = make_directory(fresh("base"));
    if (plan.begun) {
      MigrationDeath death;
      tap::StorageFault& fault = death.importer_faults.emplace_back();
      fault.site.occurrence = 1 + crash::place_in(*plan.begun, subject_.extent().calls);
      tap::Tap tap(subject_.tap_options(base));
      subject_.run(base, death, &tap);
    }
    const tap::Trace trace = modelled(record(base, plan.exporter_ends));
    if (!stop_.requested()) {
      ++tally_.traces;
      tally_.calls += trace.records.size();
      explore(trace, base, number);
    }
  }
}

std::string Gate::finish_and_judge(const fs::path& directory) {
  std::string wrong = subject_.finish(directory, &last_);
  tally_.resumed += last_.keys_resumed > 0 ? 1 : 0;
  return wrong.empty() ? subject_.judge(directory) : wrong;
}

void Gate::explore(const tap::Trace& trace, const fs::path& base, std::uint64_t number) {
  std::unique_ptr<const disk::History> history;
  if (const Status status = disk::History::create(trace, &history); !status.ok()) {
    throw EnvironmentError("the recorded storage calls cannot be modelled: " + status.message());
  }
  Orders orders(*history, options_.profile);
  disk::Imager imager(*history, base);
  disk::Explorer explorer(orders.explored(), &imager, rng_.fork("explore").fork(number));
  std::set<std::uint64_t> seen;  // how far the migration had come
  for (std::uint64_t judged = 0; judged < kImagesPerTrace && tally_.images < options_.images && !enough();
       ++judged) {
    const std::optional<disk::Candidate> candidate = explorer.next();
    if (!candidate) {
      return;
    }
    const fs::path directory = make_directory(fresh("image"));
    imager.materialize(candidate->spec, directory);
    const bool has_target = fs::exists(directory / kMigrationTarget);
    std::string wrong = finish_and_judge(directory);
    if (stop_.requested()) {
      return;
    }
    ++tally_.images;
    tally_.images_with_target += has_target ? 1 : 0;
    tally_.begun_anew += last_.begun_anew.empty() ? 0 : 1;
    show_progress("disk image", tally_.images, options_.images);
    if (tally_.images % kChangesTold == 0) {
      tell();
    }
    explorer.feedback(candidate->spec, seen.insert(last_.keys_resumed).second);
    if (wrong.empty()) {
      continue;
    }
    const auto fails = [&](const disk::ImageSpec& spec) {
      const fs::path tried = make_directory(fresh("explain"));
      imager.materialize(spec, tried);
      return !finish_and_judge(tried).empty();
    };
    const disk::ImageSpec reduced =
        disk::minimize(orders.explored(), candidate->spec, fails, {.tests_max = kReduceTests}).spec;
    const fs::path kept = make_directory(fresh("image"));
    imager.materialize(reduced, kept);
    add_finding(
        {"power cut", disk::explain(*history, reduced), std::move(wrong), orders.weakest(reduced), ""}, kept);
  }
}

MigrationTally Gate::run() {
  try {
    run_all();
  } catch (const std::exception& error) {
    tally_.harness_fault = error.what();
  }
  tally_.not_reproduced = subject_.not_reproduced();
  tell();
  return std::move(tally_);
}

void Gate::run_all() {
  fs::path source;
  if (const std::string& wrong = subject_.broken_source(&source); !wrong.empty()) {
    add_finding({"none", "a source that no migration has touched", wrong, "", ""}, source);
    return;
  }
  if (!stop_.requested()) {
    measure();
  }
  kill_migrations();
  cut_power();
  tally_.complete = tally_.kills >= options_.kills && tally_.images >= options_.images;
}

}  // namespace

MigrationTally run_migration_gate(const MigrationGateOptions& options, StopSignal& stop,
                                  report::Progress* progress) {
  return Gate(options, stop, progress).run();
}

}  // namespace chaosgate::campaign
