#include "harness/campaign/damage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/rng.h"
#include "harness/base/unique_fd.h"
#include "harness/campaign/image_judge.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kDamagesPerState = 40;  // then the load goes on, and another state is damaged
// A certification that is killed loses what was counted since the last time, and no finding.
constexpr std::uint64_t kJudgedPerChange = 50;
constexpr int kCyclesPerState = 2;

// Bytes of one file that belong to one class.
struct Region {
  std::string path;  // relative to the data directory
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};
using Regions = std::map<std::string, std::vector<Region>>;  // by class

bool matches(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

// What of the engine's files may be damaged. Files for people and locks hold nothing; the marker is ours.
Regions regions_of(const wire::EngineDescription& engine, const fs::path& image) {
  const fs::path root = image / "engine";
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  Regions regions;
  for (const fs::path& file : files) {
    const std::string name = fs::relative(file, root).string();
    const bool is_volatile = std::any_of(engine.volatile_files.begin(), engine.volatile_files.end(),
                                         [&](const std::string& pattern) { return matches(pattern, name); });
    if (is_volatile) {
      continue;
    }
    const std::uint64_t size = fs::file_size(file);
    std::uint64_t begin = 0;
    for (const wire::FileClassDescription& one : engine.file_classes) {
      if (!matches(one.pattern, name)) {
        continue;
      }
      const std::uint64_t end = one.bytes_end == 0 ? size : std::min(one.bytes_end, size);
      if (!one.informational && one.name != "lock" && one.name != "marker" && begin < end) {
        regions[one.name].push_back({"engine/" + name, begin, end});
      }
      begin = std::max(begin, end);
      if (one.bytes_end == 0) {
        break;
      }
    }
  }
  return regions;
}

// Changes the file; what was done, or nothing when the sector holds only zeroes.
std::optional<std::string> damage(const fs::path& data, const Region& region, Rng& rng) {
  const fs::path path = data / region.path;
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file) {
    throw_errno(path.string());
  }
  const std::uint64_t at = rng.between(region.begin, region.end - 1);
  const bool sector = rng.chance(1, 3);
  const unsigned bit = static_cast<unsigned>(rng.below(8));
  const std::uint64_t begin = sector ? std::max(at / kSectorBytes * kSectorBytes, region.begin) : at;
  const std::uint64_t size =
      sector ? std::min((at / kSectorBytes + 1) * kSectorBytes, region.end) - begin : 1;
  std::array<char, kSectorBytes> bytes{};
  if (::pread(file.get(), bytes.data(), size, static_cast<off_t>(begin)) != static_cast<ssize_t>(size)) {
    throw_errno(path.string());
  }
  if (sector) {
    if (std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; })) {
      return std::nullopt;
    }
    bytes.fill(0);
  } else {
    bytes[0] = static_cast<char>(bytes[0] ^ (1 << bit));
  }
  if (::pwrite(file.get(), bytes.data(), size, static_cast<off_t>(begin)) != static_cast<ssize_t>(size)) {
    throw_errno(path.string());
  }
  return sector ? fmt::format("bytes {}..{} of {} lost", begin, begin + size - 1, region.path)
                : fmt::format("bit {} of byte {} of {} flipped", bit, begin, region.path);
}

class DamageRun {
 public:
  DamageRun(const DamageOptions& options, StopSignal& stop, const OnDamage& on_finding)
      : options_(options),
        stop_(stop),
        on_finding_(on_finding),
        rng_(Rng(options.key.seed).fork("damage").fork(options.lane)) {
    make_directory(options_.directory);
    LaneOptions lane{options};
    lane.directory = options.directory / "lane";
    lane_.emplace(lane, &stop);
    judge_.emplace(options.worker, options.plugin, options.directory / "judge.output", options.key.workload,
                   options.key.seed, options.hang_ms, &stop);
  }
  ~DamageRun() {
    lane_.reset();
    judge_.reset();
    std::error_code ignored;
    fs::remove_all(options_.directory, ignored);
  }
  DamageRun(const DamageRun&) = delete;
  DamageRun& operator=(const DamageRun&) = delete;

  report::DamageTally run() {
    try {
      work();
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      tally_.harness_fault = error.what();
    }
    tell();
    return std::move(tally_);
  }

 private:
  void tell() const {
    if (options_.on_change) {
      options_.on_change(tally_);
    }
  }

  void work() {
    std::vector<report::CycleEvent> failed;
    if (!lane_->prepare(&failed)) {
      note_undamaged(failed.back());
      return;
    }
    while (tally_.judged() < options_.damages && !stop_.requested()) {
      for (int i = 0; i < kCyclesPerState; ++i) {
        const report::CycleEvent event = lane_->run_cycle(i + 1 == kCyclesPerState);
        if (event.ended_from_outside() && !lane_->evidence()) {
          tally_.not_reproduced.push_back("a load or its recovery: " + event.last_death().detail);
          i = -1;  // on a new data directory
        } else if (!event.recovered) {
          note_undamaged(event);
          return;
        }
      }
      fs::remove_all(options_.directory / "state");
      const LaneState state = lane_->keep_state(options_.directory / "state");
      const Regions regions = regions_of(lane_->engine(), state.image);
      if (regions.empty()) {
        return;
      }
      for (std::uint64_t i = 0;
           i < kDamagesPerState && tally_.judged() < options_.damages && !stop_.requested(); ++i) {
        damage_one(state, regions);
        if (tally_.judged() % kJudgedPerChange == 0) {
          tell();
        }
      }
    }
  }

  // Something was found with no damage; or it was stopped, which is nothing.
  void note_undamaged(const report::CycleEvent& event) {
    if (!lane_->evidence()) {
      return;
    }
    const Subject::Evidence& evidence = *lane_->evidence();
    report::DamageFinding finding;
    finding.file_class = "none";
    finding.undamaged = true;
    finding.silent = !event.violations.empty();
    finding.invariant = finding.silent ? event.violations.front().invariant : "abnormal death";
    finding.damage =
        event.crash.kind.empty() ? "nothing was damaged, and nothing died" : "after a kill, with no damage";
    finding.explanation = finding.silent ? event.violations.front().explanation : event.last_death().detail;
    finding.count = 1;
    report::DamageFinding& kept = tally_.add(finding);
    if (on_finding_) {
      on_finding_(lane_->bundle(event), evidence.image, &kept);
    }
  }

  void damage_one(const LaneState& state, const Regions& regions) {
    Rng rng = rng_.fork(drawn_++);
    const auto& [file_class, candidates] =
        *std::next(regions.begin(), static_cast<std::ptrdiff_t>(rng.below(regions.size())));
    const Region& region = candidates[rng.below(candidates.size())];
    const Rng before = rng;
    const fs::path data = fresh("data");
    copy_tree(state.image, data);
    const std::optional<std::string> what = damage(data, region, rng);
    if (!what) {
      return;
    }
    RecoveryCase recovery;
    recovery.crash = state.indexes;
    recovery.belief = state.belief;
    recovery.order = worker_order(options_, lane_->plan(state.cycle), {});
    recovery.order.term = opening_term(state.cycle);
    recovery.order.known_synced = recovery.crash.synced;
    recovery.order.check_backward = recovery.order.check_integrity = true;
    const ImageJudge::Verdict verdict = ImageJudge::judge_again([&] {
      fs::remove_all(data);
      copy_tree(state.image, data);
      Rng same = before;
      damage(data, region, same);
      return judge_->judge(recovery, data);
    });
    if (!verdict.not_reproduced.empty()) {
      tally_.not_reproduced.push_back(
          fmt::format("{}: {}; it did not come again when the same damage was judged twice more", *what,
                      verdict.not_reproduced));
    }
    if (verdict.driven.outcome == report::Outcome::stopped) {
      return;
    }
    report::DamageCounts& counts = tally_.by_class[file_class];
    if (!verdict.failed()) {
      ++counts.harmless;
      return;
    }
    if (!verdict.violations.empty() && verdict.violations.size() == verdict.reported) {
      ++counts.detected;
      return;
    }
    report::DamageFinding finding;
    finding.file_class = file_class;
    finding.silent = !verdict.violations.empty();
    finding.invariant = verdict.first_broken();
    finding.damage = *what;
    finding.explanation = finding.silent ? verdict.violations.front().explanation : verdict.abnormal;
    finding.count = 1;
    ++(finding.silent ? counts.silent : counts.died);
    const std::size_t known = tally_.findings.size();
    report::DamageFinding& kept = tally_.add(finding);
    if (tally_.findings.size() == known || !on_finding_) {
      return;
    }
    // The recovery changed what it was given: the same damage once more.
    const fs::path image = fresh("image");
    copy_tree(state.image, image);
    Rng again = before;
    damage(image, region, again);
    recovery.violations = verdict.violations;
    report::CycleEvent event = make_event(options_, state.cycle);
    event.crash.kind = "damage";
    event.crash.planned = *what;
    event.checked = verdict.checked;
    event.violations = verdict.events;
    on_finding_(make_bundle(options_, lane_->engine(), lane_->plan(state.cycle), recovery, event), image,
                &kept);
    tell();
  }

  fs::path fresh(const std::string& name) const {
    const fs::path path = options_.directory / name;
    fs::remove_all(path);
    return path;
  }

  const DamageOptions options_;
  StopSignal& stop_;
  const OnDamage& on_finding_;
  const Rng rng_;
  std::optional<Lane> lane_;
  std::optional<ImageJudge> judge_;
  std::uint64_t drawn_ = 0;
  report::DamageTally tally_;
};

}  // namespace

report::DamageTally run_damage(const DamageOptions& options, StopSignal& stop, const OnDamage& on_finding) {
  return DamageRun(options, stop, on_finding).run();
}

}  // namespace chaosgate::campaign
