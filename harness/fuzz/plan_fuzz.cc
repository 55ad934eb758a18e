// Plans of cycles, faults, crash points and profiles: what was parsed prints as a text that parses to the
// same.
#include "harness/crash/plan.h"

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/crash_point.h"
#include "harness/disk/profile.h"
#include "harness/fuzz/fuzz.h"

namespace chaosgate::fuzz {
namespace {

std::vector<std::string> seeds() {
  std::vector<std::string> texts;
  crash::PlanOptions options;
  options.io = true;
  for (std::uint64_t cycle = 0; cycle < 24; ++cycle) {
    texts.push_back(to_string(crash::plan_cycle(options, wire::Protocol::sidecar, 1, 0, cycle)));
  }
  for (const char* fault : {"kill-inside~2p@data.write#5", "error~EIO@sst.write/flush#1x*", "full~65536x3",
                            "short~417@any.write#2x3", "lost-sync@segment.datasync#2"}) {
    texts.emplace_back(fault);
  }
  for (const char* profile :
       {"ext4-ordered", "xfs+fsync-commits-dir-ops", "strict+tearing=byte-atomic-rename"}) {
    texts.emplace_back(profile);
  }
  for (const char* point : {"before-log-sync#3", "inside-log-append#2~417", "during-flush#1+250us"}) {
    texts.emplace_back(point);
  }
  return texts;
}

// What takes and gives a Status, of what gives an optional.
Status parse_point(std::string_view text, CrashPoint* point) {
  const std::optional<CrashPoint> parsed = parse_crash_point(text);
  *point = parsed.value_or(CrashPoint());
  return parsed ? Status() : Status::invalid_argument("no crash point");
}

// Whether `text` parses; then what it prints parses to an equal value.
template <typename Value, typename Parse>
bool round_trip(std::string_view text, Parse parse) {
  Value value;
  if (const Status status = parse(text, &value); !status.ok()) {
    CHECK(value == Value(), "'{}' was refused and left something: {}", text, status.message());
    return false;
  }
  const std::string printed = to_string(value);
  Value again;
  const Status status = parse(printed, &again);
  CHECK(status.ok(), "'{}' was parsed and printed as '{}': {}", text, printed, status.message());
  CHECK(to_string(again) == printed, "'{}' and then '{}'", printed, to_string(again));
  CHECK(again == value, "'{}' does not say all that '{}' says", printed, text);
  return true;
}

Reach run(std::string_view bytes) {
  const bool plan = round_trip<crash::CyclePlan>(bytes, crash::parse_plan);
  const bool fault = round_trip<tap::StorageFault>(bytes, tap::parse_fault);
  const bool profile = round_trip<disk::Profile>(bytes, disk::parse_profile);
  const bool point = round_trip<CrashPoint>(bytes, parse_point);
  CHECK(plan + fault + profile + point <= 1, "'{}' means several things", bytes);
  if (plan || fault || profile || point) {
    return Reach::accepted;
  }
  return bytes.find_first_of("=@#+") != std::string_view::npos ? Reach::verified : Reach::refused;
}

}  // namespace

Target target() { return {"plan", seeds, nullptr, run}; }

}  // namespace chaosgate::fuzz
