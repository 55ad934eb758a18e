#include "harness/campaign/group_power.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/campaign/work_directory.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

// Of the images that one who took a snapshot has, so many for each other.
constexpr std::uint64_t kOthersPart = 4;

}  // namespace

GroupPower::GroupPower(const GroupPowerOptions& options, StopSignal* stop)
    : options_(options), rng_(Rng(options.members.at(0).key.seed).fork("group-power").fork(options.group)) {
  make_directory(options_.directory);
  GroupOptions group;
  group.group = options_.group;
  group.directory = options_.directory / "group";
  group.keep_images = options_.keep_images;
  group.record = true;
  for (LaneTarget& member : options_.members) {
    member.key.segment_bytes = std::min<std::uint64_t>(member.key.segment_bytes, kPowerSegmentBytesMax);
    member.key.plan.timer = false;  // with scheduled maintenance only, nothing depends on the clock
    member.key.plan.step = member.key.plan.call = true;
    group.members.push_back(member);
  }
  group_ = std::make_unique<Group>(group, stop);
  for (const auto& member : group_->members()) {
    require_tap(member->hello());
    PowerOptions exploring;
    static_cast<LaneTarget&>(exploring) = member->options();
    static_cast<PowerExploration&>(exploring) = options_;
    exploring.directory = options_.directory / fmt::format("images-{}", explorers_.size());
    explorers_.push_back(std::make_unique<PowerExplorer>(exploring, member->engine(), stop));
  }
}

GroupPower::~GroupPower() {
  explorers_.clear();
  group_.reset();
  std::error_code ignored;
  fs::remove_all(options_.directory, ignored);
}

std::uint64_t GroupPower::judged_min() const {
  const auto fewest =
      std::min_element(explorers_.begin(), explorers_.end(),
                       [](const auto& a, const auto& b) { return a->tally().judged < b->tally().judged; });
  return (*fewest)->tally().judged;
}

bool GroupPower::enough() const {
  return std::any_of(explorers_.begin(), explorers_.end(),
                     [](const auto& explorer) { return explorer->enough(); });
}

bool GroupPower::ended_from_outside() {
  bool outside = false;
  for (std::size_t i = 0; i < explorers_.size(); ++i) {
    const GroupMember& member = *group_->members()[i];
    if (member.evidence()) {
      return false;
    }
    for (const report::CycleEvent& event : member.events()) {
      if (event.ended_from_outside()) {
        outside = true;
        explorers_[i]->tally().not_reproduced.push_back(
            {fmt::format("power cut, replica {} cycle {}, while it was recorded: {}; it did not come again",
                         event.lane, event.cycle, event.last_death().detail),
             true});
      }
    }
  }
  return outside;
}

bool GroupPower::run_cycle(std::uint64_t images) {
  const std::uint64_t cycle = group_->next_cycle();
  std::uint64_t record_us = 0;
  bool fine = true;
  broken_by_kill_ = false;
  {
    const Stopwatch watch(&record_us);
    do {  // again, when somebody else ended it
      fine = group_->run_cycle();
    } while (!fine && ended_from_outside());
  }
  if (!fine) {
    const auto& members = group_->members();
    broken_by_kill_ = std::any_of(members.begin(), members.end(),
                                  [](const auto& one) { return one->evidence().has_value(); });
    return false;
  }
  for (const auto& member : group_->members()) {
    member->take_events();  // nothing was found in them
  }
  std::vector<std::pair<std::size_t, KeptState>> continuations;
  for (std::size_t i = 0; i < explorers_.size() && !enough(); ++i) {
    PowerExplorer& explorer = *explorers_[i];
    report::PowerTally& tally = explorer.tally();
    if (tally.judged >= images) {
      continue;
    }
    const PowerRecording recording = group_->end_recording(i);
    const std::uint64_t before = tally.judged;
    ++tally.loads;
    tally.calls += recording.trace.records.size();
    tally.record_us += record_us / explorers_.size();
    const std::uint64_t part = group_->was_sent_snapshot(i) ? 1 : kOthersPart;
    explorer.explore(recording, std::min(images - before, options_.images_per_load / part));
    sent_snapshots_judged_ += group_->was_sent_snapshot(i) && tally.judged > before ? 1 : 0;
    if (std::optional<KeptState> state = explorer.take_continuation()) {
      continuations.emplace_back(i, std::move(*state));
    }
  }
  if (Rng choice = rng_.fork(cycle); cycle % 2 == 0 && !continuations.empty()) {
    const auto& [member, state] = continuations[choice.below(continuations.size())];
    group_->members()[member]->go_back(state);
    ++continued_;
  }
  for (const auto& [member, state] : continuations) {
    std::error_code ignored;
    fs::remove_all(state.image, ignored);
  }
  return !enough();
}

}  // namespace chaosgate::campaign
