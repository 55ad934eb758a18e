// PowerTally is what the disk images of one engine showed: how many were built and judged, where they came
// from, and what was wrong, by cause. Plain data; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace chaosgate::report {

// How one strategy of the exploration did.
struct StrategyTally {
  std::uint64_t judged = 0;
  std::uint64_t duplicate = 0;  // skipped: the same image had been judged
  std::uint64_t grouped = 0;    // skipped: enough calls that look alike had been tried
  std::uint64_t illegal = 0;    // the profile allows nothing of the kind

  bool operator==(const StrategyTally&) const = default;
};

// Calls of a kind that a power cut may come after.
struct CutCoverage {
  std::uint64_t seen = 0;
  std::uint64_t cut = 0;  // with an image of the moment right behind it

  bool operator==(const CutCoverage&) const = default;
};

// Failing images that have one cause.
struct PowerFinding {
  std::string invariant;    // the first that does not hold, or "abnormal death"
  std::string cause;        // one sentence: what was lost while something later survived
  std::string profile;      // the weakest under which one of the images is legal
  std::string explanation;  // of the first image
  std::string detail;       // several lines
  std::uint64_t images = 0;
  // How many images of the engine had been judged when the first was, all lanes together; 0: not known.
  std::uint64_t after_images = 0;
  bool promised = true;      // false: the engine's contract says that this may happen
  std::string bundle;        // of the first image, relative to the result directory, or empty
  std::string command;       // reproduces it
  std::string seed_command;  // runs the whole load again, from the seed; or empty

  bool operator==(const PowerFinding&) const = default;
};

// A worker that recovered from an image ended in a way that nobody ordered, and came through when the same
// image was judged again.
struct NotReproduced {
  std::string what;      // one sentence: where, and how it ended
  bool outside = false;  // by somebody else's doing; see Outcome::outside

  bool operator==(const NotReproduced&) const = default;
};

struct PowerTally {
  std::string profile;                    // that was explored
  std::uint64_t wanted = 0;               // images
  std::uint64_t loads = 0;                // recorded
  std::uint64_t loads_with_errors = 0;    // of those, with an I/O error in them
  std::uint64_t calls = 0;                // storage calls in their traces
  std::uint64_t judged = 0;               // distinct images, recovered and compared in full
  std::uint64_t in_recovery = 0;          // of those, from a power cut during a recovery
  std::uint64_t failed = 0;               // of those, with a violation or an abnormal death
  std::uint64_t recoveries_distinct = 0;  // sequences of storage calls that recoveries made
  bool exhausted = false;                 // fewer than wanted, and there are no more
  std::map<std::string, StrategyTally> strategies;
  std::map<std::string, CutCoverage> cuts;                 // "sync", "rename", "unlink"
  std::map<std::string, std::uint64_t> failed_by_profile;  // by the weakest profile that allows the image
  std::map<std::string, std::uint64_t> checks;             // invariant -> how often it was checked
  std::vector<PowerFinding> findings;
  std::vector<NotReproduced> not_reproduced;
  // Where the time went, microseconds of all threads.
  std::uint64_t record_us = 0;   // loads, with their kill and recovery
  std::uint64_t explore_us = 0;  // choosing images, with their hashes
  std::uint64_t build_us = 0;
  std::uint64_t recover_us = 0;  // workers, with what is compared meanwhile
  std::uint64_t explain_us = 0;  // of failures
  double seconds = 0;            // wall clock; of engines that took turns, their share
  std::uint32_t threads = 1;

  std::uint64_t busy_us() const { return record_us + explore_us + build_us + recover_us + explain_us; }
  double images_per_second_and_core() const {
    return seconds > 0 ? static_cast<double>(judged) / seconds / threads : 0;
  }
  std::uint64_t violations() const {  // images that broke a promise
    std::uint64_t count = 0;
    for (const PowerFinding& finding : findings) {
      count += finding.promised ? finding.images : 0;
    }
    return count;
  }
  // Ends of workers that did not come again: those from outside, or the others.
  std::uint64_t not_reproduced_by(bool outside) const;
  // Of one more image with this finding: counts it under its cause. The finding that it was put to.
  PowerFinding& add(const PowerFinding& finding);
  void add(const PowerTally& other);
  // Of one more image that failed, which is among those that were judged.
  void add_failing(const PowerFinding& finding);
  // What was counted since the tally was `before`; without what is known of failing images.
  PowerTally counts_since(const PowerTally& before) const;

  bool operator==(const PowerTally&) const = default;
};

// Numbers replaced by N: failures with the same cause differ in nothing else.
std::string without_numbers(std::string_view sentence);

// The weaker of two profiles, by their order in "prefix, btrfs, ext4-ordered, xfs, ext4-writeback, strict"; a
// text that is none of these is the strongest.
const std::string& weaker_profile(const std::string& a, const std::string& b);

}  // namespace chaosgate::report
