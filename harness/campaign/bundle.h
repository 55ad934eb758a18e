// A bundle is everything needed to look at one failure again, in one file.
//
// Format: a zstd-compressed tar archive with these members, in this order:
//   bundle.json      format_version, chaosgate and engine versions, what was planned and found, the
//                    RecoveryCase, the SHA-256 of every other member, and its own
//   explanation.txt  for people
//   events.jsonl     the cycle's event
//   worker.output    what the workers printed
//   belief           the oracle's belief before the recovery (oracle/oracle.h)
//   image/...        the data directory as it was before the recovery; empty directories in it are members,
//   too
// and, after a power cut, what the image was made from:
//   trace            the recorded storage calls (harness/tap/trace.h)
//   base/...         the data directory that the trace began with
// Reading verifies all of it before anything is used.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "harness/campaign/config.h"
#include "harness/campaign/power_case.h"
#include "harness/campaign/recovery.h"
#include "harness/report/event.h"

namespace chaosgate::campaign {

inline constexpr int kBundleFormatVersion = 3;

// What is read of a bundle, which may be hostile: so many bytes of all members together, or so many times the
// size of the file where that is more; of the two that are JSON, so many each.
inline constexpr std::uint64_t kBundleBytesMax = 256 << 20;
inline constexpr std::uint64_t kBundleRatioMax = 64;
inline constexpr std::uint64_t kBundleTextBytesMax = 8 << 20;
inline constexpr std::size_t kBundleMembersMax = 32'768;

struct Bundle {
  std::string version;  // of the chaosgate that wrote it
  std::string engine_version;
  PlanKey key;
  wire::Protocol protocol = wire::Protocol::in_batch;
  std::uint64_t lane = 0;
  std::uint64_t cycle = 0;
  std::string plan_checksum;  // of this lane up to and including this cycle
  bool commit_survives_kill = false;
  crash::CyclePlan plan;  // of the cycle, as it was carried out
  RecoveryCase recovery;
  report::CycleEvent event;
  // As read: of the plugin that has the engine; both empty for a built-in one. Its order names no plugin
  // until choose_plugin() says which one is loaded.
  std::string plugin;              // file name
  std::string plugin_sha256;       // empty when the writer did not say
  std::optional<PowerCase> power;  // as read; its base only when a directory was given for it
};

// One failure, without a plan checksum and without a power case. Lane and cycle are the event's.
Bundle make_bundle(const LaneTarget& target, const wire::EngineDescription& engine,
                   const crash::CyclePlan& plan, const RecoveryCase& recovery,
                   const report::CycleEvent& event);

// Writes `<path>`; `image` may be empty (no data directory), `output` too. Throws EnvironmentError.
void write_bundle(const Bundle& bundle, const std::filesystem::path& image,
                  const std::filesystem::path& output, const std::filesystem::path& path,
                  const PowerCase* power = nullptr);

// Says which plugin is loaded for a bundle that was read. A plugin is a program, and a bundle may come from
// anybody: it is the one that the user names, `engines` being what --engine says, or that of the same name
// which this build installed, when it has the SHA-256 that the bundle says. Throws UsageError, one line that
// says what to do, when there is neither, and when `engines` is not empty and does not name one plugin.
void choose_plugin(const std::vector<std::string>& engines, Bundle* bundle);

// Reads a bundle and unpacks its image into `directory` and, when `base` is not empty, what its trace began
// with into that; both must exist and be empty. Throws UsageError when the file is not a bundle, is truncated
// or damaged, or has another format version; the directories then hold nothing.
Bundle read_bundle(const std::filesystem::path& path, const std::filesystem::path& directory,
                   const std::filesystem::path& base = {});

}  // namespace chaosgate::campaign
