#include "harness/campaign/certify.h"

#include <unistd.h>

#include <csignal>
#include <thread>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/report/journal.h"
#include "harness/report/writers.h"

using namespace chaosgate;
using namespace chaosgate::campaign;
namespace fs = std::filesystem;

namespace {

report::Certificate certify_in(const TempDir& directory, const std::string& name, CertifyOptions options) {
  options.directory = directory.path() / name;
  StopSignal stop;
  CampaignOutput output;
  output.log = [](const std::string&) {};
  report::Certificate certificate = certify(options, stop, output);
  // What may differ.
  certificate.started.clear();
  certificate.seconds = 0;
  for (report::CertificateLevel& level : certificate.levels) {
    level.seconds = 0;
    for (report::CertificateException& exception : level.exceptions) {
      exception.command.clear();  // has the directory
    }
  }
  return certificate;
}

CertifyOptions options_for(const std::string& engine) {
  CertifyOptions options;
  options.config.engines = {engine};
  options.config.key.seed = 9;
  options.config.kills = 60;
  options.config.images = 60;
  options.config.worker = CHAOSGATE_WORKER;
  options.io_kills = options.io_images = options.soak_kills = 30;
  options.damages = 60;
  options.self_test = false;
  return options;
}

}  // namespace

TEST_CASE("a correct engine reaches the last level, twice with the same certificate") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-certify-test-");
  const report::Certificate first = certify_in(directory, "first", options_for("lmdb"));
  REQUIRE(first.levels.size() == certificate_levels().size());
  for (const report::CertificateLevel& level : first.levels) {
    INFO(level.name);
    CHECK(level.verdict != "fail");
    CHECK(level.verdict != "not run");
    CHECK_FALSE(level.tried.empty());
  }
  CHECK(first.levels[0].verdict == "pass");
  CHECK(first.levels[1].tried.front().first == "kills");
  CHECK(first.levels[1].tried.front().second >= 60);  // the last cycle may have several
  CHECK(first.levels[1].tried.front().second < 64);
  CHECK(fs::exists(directory.path() / "first/kill/result.json"));
  CHECK(first == certify_in(directory, "second", options_for("lmdb")));

  // The events of a level say the same.
  for (const report::CertificateLevel& level : first.levels) {
    INFO(level.name);
    const report::CampaignReport read =
        report::read_report(directory.path() / "first" / level.name / "events.jsonl");
    CHECK((read.verdict() == report::Verdict::pass) == (level.verdict == "pass"));
    std::string json;
    REQUIRE(read_file(directory.path() / "first" / level.name / "result.json", &json).ok());
    CHECK(json == report::render_json(read));
  }
  const report::CampaignReport damage = report::read_report(directory.path() / "first/damage/events.jsonl");
  REQUIRE(damage.damage.size() == 1);
  CHECK(damage.damage.front().tally.judged() == first.levels[4].tried.front().second);
  CHECK(damage.damage.front().wanted == 60);
}

TEST_CASE("a level that fails ends what was reached, names the failure and its bundle") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-certify-test-");
  CertifyOptions options = options_for("lmdb");
  options.config.key.fault = "lost-batch";
  options.level = "power";
  const report::Certificate certificate = certify_in(directory, "certificate", options);
  REQUIRE(certificate.levels.size() == 4);
  CHECK(certificate.level_reached() == "conformance");
  CHECK(certificate.exit_status() == report::ExitStatus::violation);
  const report::CertificateLevel& kill = certificate.levels[1];
  CHECK(kill.verdict == "fail");
  REQUIRE_FALSE(kill.exceptions.empty());
  CHECK(kill.exceptions.front().invariant == "state.prefix");
  CHECK(fs::exists(directory.path() / "certificate" / kill.exceptions.front().bundle));
}

TEST_CASE("an engine that is wrong from its first recovery on fails the levels of power cuts and damage") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-certify-test-");
  CertifyOptions options = options_for("lmdb");
  options.config.key.fault = "reopen-drifts";
  options.level = "damage";
  const report::Certificate certificate = certify_in(directory, "certificate", options);
  for (const std::size_t i : {3U, 4U}) {
    const report::CertificateLevel& level = certificate.levels[i];
    INFO(level.name);
    CHECK(level.verdict == "fail");
    REQUIRE_FALSE(level.exceptions.empty());
    CHECK(level.exceptions.front().promised);
    CHECK(fs::exists(directory.path() / "certificate" / level.exceptions.front().bundle));
  }
}

TEST_CASE("a fault of the machine at a later level keeps what earlier ones found, and the certificate") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-certify-test-");
  CertifyOptions options = options_for("lmdb");
  options.level = "damage";
  const auto in_the_way = [&](const std::string& name) {
    fs::create_directories(directory.path() / name);
    replace_file(directory.path() / name / "damage", "in the way");
  };
  in_the_way("clean");
  const report::Certificate clean = certify_in(directory, "clean", options);
  CHECK(clean.harness_fault.find("level damage: ") == 0);
  CHECK(clean.exit_status() == report::ExitStatus::internal);
  CHECK(clean.levels[1].verdict == "pass");
  CHECK(clean.levels[4].verdict != "pass");
  options.config.key.fault = "lost-batch";
  in_the_way("wrong");
  const report::Certificate wrong = certify_in(directory, "wrong", options);
  CHECK(wrong.exit_status() == report::ExitStatus::violation);
  CHECK(wrong.levels[1].verdict == "fail");
  CHECK_FALSE(wrong.levels[1].exceptions.empty());
}

TEST_CASE("what a contract does not promise is an exception and fails no level") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-certify-test-");
  CertifyOptions options = options_for("lmdb-nosync");
  options.level = "power";
  const report::Certificate certificate = certify_in(directory, "certificate", options);
  const report::CertificateLevel& power = certificate.levels[3];
  CHECK(power.verdict != "fail");
  REQUIRE_FALSE(power.exceptions.empty());
  for (const report::CertificateException& exception : power.exceptions) {
    CHECK_FALSE(exception.promised);
  }
}

TEST_CASE("a certificate is of one known engine and level, and is never overwritten") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-certify-test-");
  CertifyOptions options = options_for("lmdb");
  options.level = "immortal";
  CHECK_THROWS_AS(certify_in(directory, "a", options), UsageError);
  options = options_for("nobody");
  CHECK_THROWS_AS(certify_in(directory, "a", options), UsageError);
  CHECK_FALSE(fs::exists(directory.path() / "a"));
  fs::create_directory(directory.path() / "a");
  replace_file(directory.path() / "a/certificate.json", "{}");
  CHECK_THROWS_AS(certify_in(directory, "a", options_for("lmdb")), UsageError);
}

TEST_CASE("a certificate that is interrupted where a level begins says that the level was not run") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-certify-test-");
  StopSignal stop;
  CertifyOptions options = options_for("lmdb");
  options.directory = directory.path() / "certificate";
  CampaignOutput output;
  output.log = [&](const std::string& line) {
    if (line.find("level kill") != std::string::npos) {
      ::kill(::getpid(), SIGINT);
      while (!stop.requested()) {
        std::this_thread::yield();
      }
    }
  };
  const report::Certificate certificate = certify(options, stop, output);
  CHECK(certificate.levels[0].verdict == "pass");
  CHECK(certificate.levels[1].verdict == "not run");
  CHECK(certificate.levels[1].tried.empty());
}
