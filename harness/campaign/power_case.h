// PowerRecording is what disk images after power cuts are made from; PowerCase is one such image: enough to
// make it again, to make others from the same trace, and to say what must hold for each.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "harness/crash/plan.h"
#include "harness/disk/image.h"
#include "harness/disk/image_spec.h"
#include "harness/disk/order.h"
#include "harness/disk/profile.h"
#include "harness/tap/trace.h"
#include "harness/wire/order.h"
#include "oracle/oracle.h"

namespace chaosgate::campaign {

// What some workers did to a data directory, one after the other, and what must hold after a power cut in it.
struct PowerRecording {
  tap::Trace trace;
  std::filesystem::path base;    // what was there when it began, all of it durable
  oracle::CrashIndexes indexes;  // what had to hold then
  std::string belief;            // knows all entries that were proposed meanwhile
  std::uint64_t term = 0;        // of the recovery from an image; higher than those of the workers before
  crash::CyclePlan plan;         // of the load
  std::string error;             // the I/O error that was injected into the load, if it happened
  std::string weakest;           // profile of the images that led here, or empty
  std::string cause;             // what the power cut had lost that led here, or empty
  std::uint64_t number = 0;      // among those that are explored one after the other
};

struct PowerCase {
  tap::Trace trace;
  std::filesystem::path base;    // the content that the trace began with
  oracle::CrashIndexes indexes;  // what had to hold then
  disk::ImageSpec spec;
  disk::Profile profile;  // under which it was found
};

// What must hold after a power cut in a trace: the highest that any worker had published, and of what counts
// as durable in the engine, what its contract promises for a power cut. REQUIRES: cut <= records().size()
oracle::CrashIndexes crash_indexes_at(const wire::EngineDescription& engine,
                                      const oracle::CrashIndexes& begin, const disk::History& history,
                                      std::uint64_t cut);

// The image after everything in the history, with no power cut in it.
disk::ImageSpec without_cut(const disk::History& history);
bool loses_nothing(const disk::ImageSpec& spec);
// The cause of a failure that needs no power cut, and what was found: short, and the same for all that fail
// in this way. `explanation` is that of the first violation, or of the abnormal death.
std::string cause_without_cut(const std::string& invariant, const std::string& explanation);

// What images are made from: the trace without what was written into informational files. Such a file is
// there in an image, by the names it had, with the content that it began with. Nothing depends on it, and
// with the times that it holds, its lengths would make every run's images different.
tap::Trace modelled(tap::Trace trace);

// How images of this engine's data directories are built; `store` as in disk::ImagerOptions. `engine` must
// outlive the imager.
disk::ImagerOptions imager_options(const wire::EngineDescription& engine, const std::filesystem::path& store);

// The order of one profile on a history, and those of the named profiles, made when they are asked for. Not
// thread-safe; the history must outlive it.
class Orders {
 public:
  Orders(const disk::History& history, const disk::Profile& profile)
      : history_(history), profile_(profile), explored_(history, profile) {}

  const disk::History& history() const { return history_; }
  const disk::Order& explored() const { return explored_; }
  // The weakest of the named profiles that allows the image, or else the one that is explored.
  std::string weakest(const disk::ImageSpec& spec);
  // Replaces a failing image by one that fails, too, and is legal under a weaker profile, when the losses
  // that such a profile asks for besides lead to one.
  void weaken(disk::ImageSpec* spec, const std::function<bool(const disk::ImageSpec&)>& fails);

 private:
  const disk::Order& named(const std::string& name);

  const disk::History& history_;
  const disk::Profile profile_;
  disk::Order explored_;
  std::map<std::string, disk::Order> named_;
};

// The same case on a trace without the calls before the first one that lost anything: what they did is in
// its base, which is written into `base` (it must exist and be empty). `imager` is that of the history.
PowerCase without_settled_calls(const PowerCase& power, const disk::History& history, disk::Imager& imager,
                                const wire::EngineDescription& engine, const std::filesystem::path& base);

}  // namespace chaosgate::campaign
