// Certification of one engine: level by level, what it survives (harness/report/certificate.h).
//
//   conformance  it does what the gate expects of every engine, without a crash
//   kill         SIGKILL at protocol steps and storage calls, steered, and again during recovery
//   io           the same with I/O errors and full disks; and power cuts after such errors
//   power        recovery from disk images that a power cut may leave
//   damage       flipped bits and lost sectors at rest are detected or harmless, if the contract claims
//   checksums soak         SIGKILL at any time, with the engine's own threads at work, under a mixed load
//
// Everything but the soak is planned by the seed to the call and repeats, as far as the engine's own threads
// allow; of the soak, the certificate holds only what repeats.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "harness/campaign/campaign.h"
#include "harness/campaign/config.h"
#include "harness/campaign/stop.h"
#include "harness/report/certificate.h"

namespace chaosgate::campaign {

struct CertifyOptions {
  // One engine; kills and images of their levels; results is not used. With a planted fault it is no
  // certificate of the engine, and says so: it shows at which level the fault is found.
  CampaignConfig config;
  std::string level = "soak";  // the last one to try
  std::uint64_t io_kills = 250;
  std::uint64_t io_images = 600;
  std::uint64_t damages = 400;
  std::uint64_t soak_kills = 500;
  bool self_test = true;
  // Of the certificate; each level's reports are in a folder of its own. Made; must not hold a certificate.
  std::filesystem::path directory;
};

// In their order.
const std::vector<std::string>& certificate_levels();

// Runs the levels up to `options.level`, all of them whatever fails. Not yet written anywhere. Throws
// UsageError or EnvironmentError before anything ran.
report::Certificate certify(const CertifyOptions& options, StopSignal& stop, CampaignOutput& output);

}  // namespace chaosgate::campaign
