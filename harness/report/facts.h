// Words, numbers and escapes that every writer uses in the same way.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/printable.h"
#include "harness/report/campaign_report.h"

namespace chaosgate::report {

// The kinds of death, in the order in which every report lists them.
inline constexpr std::array<std::string_view, 7> kCrashKinds = {
    "timer", "step", "call", "recovery-timer", "recovery-step", "recovery-call", "recovery-error"};

std::string thousands(std::uint64_t number);                      // "1,234,567"
std::string milliseconds(std::uint64_t us);                       // "0.42", "7.1", "1,250"; without the unit
std::string percentage(double share);                             // 0.003 -> "0.30 %"
std::string percentage(std::uint64_t part, std::uint64_t whole);  // "62 %", "-" when whole is 0
std::string duration(double seconds);                             // "8.3 s", "1 min 27 s", "2 h 5 min"
std::string seed_text(std::uint64_t seed);                        // "0x2a"
std::string plural(std::uint64_t count, std::string_view noun);   // "1 kill", "1,000 kills"
std::string joined(const std::vector<std::string>& parts, std::string_view separator = ", ");

// What makes text safe to print, under the names that reports know it by.
using chaosgate::printable;
using chaosgate::printable_line;
using chaosgate::valid_utf8;

std::uint64_t count_of(const std::map<std::string, std::uint64_t>& counts, std::string_view key);

// "commit survives nothing, flush survives power cut"
std::string contract(const EngineSection& section);
// "rocksdb", or "rocksdb with planted fault fsync-forgotten"
std::string engine_title(const EngineSection& section);
// "below 0.30 %", or "-" when a violation was found or nothing was killed
std::string bound_text(const EngineSection& section);
// EngineSection::not_reproduced(), each with the words "abnormal, not reproduced" before it.
std::vector<std::string> abnormal_not_reproduced(const EngineSection& section);
// The verdict in words for people: "abnormal death", ...
std::string words(Verdict verdict);
// Seed, versions, time and place, as far as they are known: a report made from events alone has none.
std::string origin(const CampaignReport& report);
// What the verdict means for this campaign, as one sentence.
std::string verdict_sentence(const CampaignReport& report);
// The command to copy when the campaign did not pass, on one line; empty when it passed.
std::string command_to_copy(const CampaignReport& report);

// A part of a campaign that is neither of cycles nor of disk images: conformance, damage, migrations,
// controls.
struct Part {
  struct Case {
    std::string name;
    std::string failure;  // what is wrong; empty: nothing
    std::string doubt;    // why it proves too little; empty: it does not
  };
  std::string name;                // "conformance of lmdb"; the same in every campaign of its kind
  std::vector<std::string> lines;  // for people, one line each
  std::vector<Case> cases;
};
std::vector<Part> further_parts(const CampaignReport& report);

// One row of the table "kills by step".
struct StepRow {
  std::string step;
  bool expected = false;
  std::uint64_t ordered = 0;  // kills ordered at the step that landed
  std::uint64_t timer = 0;    // timer kills of which it was the step reached last
};
// The expected steps in protocol order, then others that were hit.
std::vector<StepRow> step_rows(const EngineSection& section);

// One row of the table of places at storage calls: a class of files, and for each phase of the protocol how
// many of its places were seen and how many of those were hit.
struct CellRow {
  struct Count {
    std::uint64_t hit = 0;
    std::uint64_t seen = 0;
  };
  std::string file_class;
  std::map<std::string, Count> phases;
};
std::vector<CellRow> cell_rows(const EngineTally& tally);

// "1,204 as the same image, 530 as much like others, 12 as not legal"
std::string skipped_text(const PowerTally& power);
// "212 images a second and core; recovering 71 %, building 12 %, ..."
std::string speed_text(const PowerTally& power);
// "12 loads (3 with I/O errors)".
std::string loads_text(const PowerTally& power);

}  // namespace chaosgate::report
