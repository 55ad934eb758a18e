// PowerExplorer builds, from recorded storage calls, disk images that a power cut somewhere in them may
// legally leave, recovers from each, and judges it.
//
// What was recorded is a PowerRecording: of a load, its death and the recovery after that, by PowerLane, or
// of a cycle of a replica, by GroupPower. Of some images the recovery is recorded in turn and explored the
// same way, and once more of one of those: power cuts during recovery, two levels deep.
//
// The same recordings and options give the same images. One thread for its whole life. Throws
// EnvironmentError.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "harness/base/rng.h"
#include "harness/campaign/config.h"
#include "harness/campaign/image_judge.h"
#include "harness/campaign/power_case.h"
#include "harness/campaign/subject.h"
#include "harness/disk/explore.h"
#include "harness/disk/profile.h"
#include "harness/report/power_tally.h"
#include "harness/wire/flight_recorder.h"

namespace chaosgate::campaign {

// Segments of the log in what is recorded: small, so that a short load cuts a few.
inline constexpr std::uint64_t kPowerSegmentBytesMax = 5 << 10;

// An error happens once in a load: many loads are worth more than many images of one.
inline constexpr std::uint64_t kImagesPerLoadWithErrors = 5;

// How much is explored.
struct PowerExploration {
  disk::Profile profile = disk::named_profile("strict");
  std::uint64_t images_per_load = 60;  // many loads: what a fault needs happens in few of them
  bool stop_at_first = false;          // broken promise
  std::uint32_t explained_max = 12;    // failing images of each invariant that are reduced to their cause
  bool in_recovery = true;             // power cuts during recovery
};

struct PowerOptions : LaneTarget, PowerExploration {
  std::filesystem::path directory;  // made by what explores, must not exist; removed with it
  bool keep_images = false;         // what a kill alone broke gets a bundle
};

// Throws UsageError when the worker program's storage calls cannot be seen.
void require_tap(const wire::Hello& hello);

// Adds the microseconds that pass in its scope.
class Stopwatch {
 public:
  explicit Stopwatch(std::uint64_t* sum_us) : sum_us_(sum_us), begin_(wire::monotonic_ns()) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { *sum_us_ += (wire::monotonic_ns() - begin_) / 1000; }

 private:
  std::uint64_t* sum_us_;
  std::uint64_t begin_;
};

// An image that failed.
struct PowerFailure {
  RecoveryCase recovery;
  PowerCase power;
  crash::CyclePlan plan;     // of what was recorded
  report::CycleEvent event;  // what was found, as of a cycle
  report::PowerFinding finding;
  std::filesystem::path image;   // a new copy of it; good until the callback returns
  std::filesystem::path output;  // what the worker printed that recovered from it last; likewise
};

class PowerExplorer {
 public:
  // `engine` must outlive this. `stop` may be null. Throws UsageError when the worker program cannot be used.
  PowerExplorer(const PowerOptions& options, const wire::EngineDescription& engine, StopSignal* stop);
  ~PowerExplorer();
  PowerExplorer(const PowerExplorer&) = delete;
  PowerExplorer& operator=(const PowerExplorer&) = delete;

  // Judges up to `images` images of the recording, those of recoveries included. Random choices are those of
  // its number.
  void explore(const PowerRecording& recording, std::uint64_t images);

  // One of the recoveries from images of the last recording that came through, to go on from; at most once.
  std::optional<KeptState> take_continuation() { return std::exchange(continuation_, std::nullopt); }
  // A path below the directory of the options at which nothing is any more.
  std::filesystem::path fresh(const std::string& name) const;
  // Enough was found, or the end was asked for.
  bool enough() const;

  report::PowerTally& tally() { return tally_; }
  const report::PowerTally& tally() const { return tally_; }
  // The engine, the seed and so on of a bundle; `failure` fills in the rest.
  Bundle bundle(const PowerFailure& failure) const;

  // Asked before each image, if there is one: whether to go on is not worth it any more.
  std::function<bool()> is_over;
  // Called when an image failed whose cause is looked for now, which takes a while.
  std::function<void(const report::PowerFinding&)> on_failing;
  // Called with the first failure of each cause, before explore() goes on. Sets bundle and command.
  std::function<void(const PowerFailure&, report::PowerFinding*)> on_failure;
  // Called with every other failure.
  std::function<void(const report::PowerFinding&)> on_repeat;
  // Called after each image.
  std::function<void()> on_image;

 private:
  // Ends when tally().judged is `end`.
  void explore(const PowerRecording& recording, std::uint64_t images, std::uint64_t end, std::uint32_t depth);
  std::optional<PowerRecording> record_recovery(const PowerRecording& from, Orders& orders,
                                                disk::Imager& imager, const disk::ImageSpec& spec,
                                                const std::string& name);
  // `checks_of`: the cut that decides which of the checks that cost time are made.
  RecoveryCase recovery_case(const PowerRecording& recording, const disk::History& history,
                             const disk::ImageSpec& spec, std::uint64_t checks_of) const;
  RecoveryCase recovery_case(const PowerRecording& recording, const disk::History& history,
                             const disk::ImageSpec& spec) const {
    return recovery_case(recording, history, spec, spec.cut);
  }
  void fail(const PowerRecording& recording, Orders& orders, disk::Imager& imager,
            const disk::ImageSpec& spec, const ImageJudge::Verdict& verdict, const std::string& description);
  struct Cause {
    disk::ImageSpec spec;  // the smallest loss that fails in the same way
    std::string sentence;
  };
  Cause find_cause(const PowerRecording& recording, Orders& orders, disk::Imager& imager,
                   const disk::ImageSpec& spec, const ImageJudge::Verdict& verdict);
  // Judges an image, which is made in `data`, as often as it takes. `calls`: what the last recovery did.
  ImageJudge::Verdict judge_surely(const RecoveryCase& recovery, disk::Imager& imager,
                                   const disk::ImageSpec& spec, const std::filesystem::path& data,
                                   tap::Trace* calls);
  void note_end(const PowerRecording& recording, const ImageJudge::Verdict& verdict);
  bool is_promised(const ImageJudge::Verdict& verdict) const;

  PowerOptions options_;
  const wire::EngineDescription& engine_;
  ImageJudge judge_;
  StopSignal* stop_;
  Rng rng_;
  std::map<std::string, std::uint32_t> explained_;      // invariant -> images
  std::set<std::string> wrong_without_cut_;             // causes that need no power cut
  std::set<std::uint64_t> recoveries_;                  // signatures of what recoveries did
  std::map<std::uint64_t, disk::Acknowledged> images_;  // all that were judged, by hash
  std::optional<KeptState> continuation_;
  report::PowerTally tally_;
};

}  // namespace chaosgate::campaign
