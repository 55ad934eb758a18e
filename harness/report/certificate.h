// Certificate is what one engine, in one configuration and version, was shown to survive: level by level,
// with what was tried, what was not, and every exception.
//
// The levels build on each other: the level that was reached is the last one before the first that did not
// pass. What a contract does not promise is an exception, too, and fails no level. Two certifications with
// the same inputs have the same certificate apart from `times`, unless threads of the engine's own decide
// what happens. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/report/campaign_report.h"

namespace chaosgate::report {

// Something that went wrong at a level.
struct CertificateException {
  std::string invariant;    // "state.prefix", or "abnormal death", or the name of a conformance check
  std::string explanation;  // one sentence
  std::string profile;      // of a power cut: the weakest under which it shows; else empty
  std::uint64_t count = 1;  // how often
  bool promised = true;     // the contract says that it does not happen
  std::string bundle;       // relative to the certificate, or empty
  std::string command;      // that shows it again, or empty

  bool operator==(const CertificateException&) const = default;
};

struct CertificateLevel {
  std::string name;     // "conformance", "kill", "io", "power", "damage", "soak"
  std::string meaning;  // one sentence
  std::string verdict;  // "pass", "fail", "inconclusive", "not run"
  std::vector<std::pair<std::string, std::uint64_t>> tried;  // what, how often
  std::vector<std::string> coverage;
  double upper_bound = 0;  // 95 %: probability that one of what was tried fails; 0 when it says nothing
  std::vector<CertificateException> exceptions;
  std::vector<std::string> doubts;  // why it is inconclusive
  std::vector<std::string> not_tested;
  double seconds = 0;

  bool operator==(const CertificateLevel&) const = default;
};

struct Certificate {
  std::string version;  // of chaosgate
  std::uint64_t seed = 0;
  std::string engine;  // configuration
  std::string family;
  std::string summary;
  std::string engine_version;
  std::string build;          // "built in", or the plugin's file name and SHA-256
  std::string configuration;  // SHA-256 of name, contract and file classes
  std::vector<std::pair<std::string, std::string>> contract;
  std::string profile;  // of power cuts
  std::string fault;    // planted into the engine, or empty
  std::vector<CertificateLevel> levels;
  std::vector<FaultResult> self_test;  // of this build of chaosgate; empty: not run
  std::string command;                 // that certifies again
  std::string harness_fault;           // why it ended early, or empty
  std::string started;                 // UTC, ISO 8601
  double seconds = 0;

  // "none" when the first level did not pass.
  std::string level_reached() const;
  // violation when a level failed, then internal after a fault of the harness, then inconclusive when a level
  // is, or a planted fault was missed.
  ExitStatus exit_status() const;

  bool operator==(const Certificate&) const = default;
};

std::string render_certificate_json(const Certificate& certificate);  // certificate.json
std::string render_certificate_html(
    const Certificate& certificate);  // certificate.html, one file, to be filed
std::string render_certificate_text(const Certificate& certificate);  // for a terminal

}  // namespace chaosgate::report
