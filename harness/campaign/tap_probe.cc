#include "harness/campaign/tap_probe.h"

#include <vector>

#include "harness/base/error.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/threads.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;

namespace {

// Why a store cannot be made, or "".
std::string try_to_make(const LaneTarget& target, const fs::path& directory, bool watch, StopSignal* stop) {
  LaneOptions options{target};
  options.directory = directory;
  options.keep_images = false;
  options.watch = watch;
  std::vector<report::CycleEvent> failed;
  Lane lane(options, stop);
  if (lane.prepare(&failed) || !lane.evidence()) {
    return "";
  }
  const report::CycleEvent& event = failed.back();
  return event.violations.empty() ? event.last_death().detail : event.violations.front().explanation;
}

}  // namespace

std::string why_untappable(LaneTarget target, const fs::path& directory, StopSignal* stop) {
  target.key.fault.clear();  // it may be one that nothing survives
  std::string why;
  run_thread([&] {  // a lane stays on one
    try {
      const std::string tapped = try_to_make(target, directory, true, stop);
      if (!tapped.empty() && try_to_make(target, directory, false, stop).empty()) {
        why = "it does not work when its storage calls go through the driver (io_uring is refused then): " +
              tapped;
      }
    } catch (const UntappableError& untappable) {
      why = untappable.what();
    }
  });
  return why;
}

}  // namespace chaosgate::campaign
