#include "harness/report/certificate.h"

#include "harness/base/json.h"
#include "harness/base/test.h"
#include "harness/report/sample_report.h"

using namespace chaosgate;
using namespace chaosgate::report;
using sample::contains;

namespace {

Certificate certificate() {
  Certificate result;
  result.version = "0.1.0";
  result.seed = 42;
  result.engine = "toydb-sync";
  result.family = "toydb";
  result.summary = "a <toy>";
  result.engine_version = "1.2";
  result.build = "toydb.so, SHA-256 abc";
  result.configuration = "0123456789abcdef0123";
  result.contract = {{"a commit survives", "power-cut"}};
  result.profile = "ext4-ordered";
  result.started = "2026-11-26T00:00:00Z";
  result.command = "chaosgate certify --engine toydb.so --seed 0x2a";
  CertificateLevel fine;
  fine.name = "conformance";
  fine.verdict = "pass";
  fine.tried = {{"checks", 30}};
  CertificateLevel power;
  power.name = "power";
  power.verdict = "fail";
  power.tried = {{"disk images", 1000}};
  power.upper_bound = 0;
  power.exceptions = {{"index.not_lost", "unlink of a was lost", "prefix", 16, true,
                       "power/failures/x/bundle.tar.zst", "chaosgate replay x"},
                      {"state.prefix", "torn\x1b", "strict", 1, false, "", ""}};
  power.not_tested = {"a real disk"};
  CertificateLevel soak = fine;
  soak.name = "soak";
  result.levels = {fine, power, soak};
  return result;
}

}  // namespace

TEST_CASE("the level that was reached is the last before the first that did not pass") {
  Certificate one = certificate();
  CHECK(one.level_reached() == "conformance");
  CHECK(one.exit_status() == ExitStatus::violation);
  one.levels[1].verdict = "inconclusive";
  CHECK(one.exit_status() == ExitStatus::inconclusive);
  one.levels[1].verdict = "pass";
  CHECK(one.level_reached() == "soak");
  CHECK(one.exit_status() == ExitStatus::pass);
  one.self_test = {{.fault = "f", .found = false}};
  CHECK(one.exit_status() == ExitStatus::inconclusive);
  one.levels[0].verdict = "fail";
  CHECK(one.level_reached() == "none");
}

TEST_CASE("a certificate says the same as JSON, page and text") {
  const nlohmann::json json = nlohmann::json::parse(render_certificate_json(certificate()));
  CHECK(json.at("level_reached") == "conformance");
  CHECK(json.at("exit_status") == 1);
  CHECK(json.at("levels").at(1).at("tried").at("disk images") == 1000);
  const nlohmann::json& exception = json.at("levels").at(1).at("exceptions").at(0);
  CHECK(exception.at("weakest_profile") == "prefix");
  CHECK(exception.at("bundle") == "power/failures/x/bundle.tar.zst");
  CHECK(json.at("levels").at(1).at("exceptions").at(1).at("promised_not_to_happen") == false);
  for (const std::string& text :
       {render_certificate_html(certificate()), render_certificate_text(certificate())}) {
    INFO(text);
    CHECK(contains(text, "toydb-sync"));
    CHECK(contains(text, "index.not_lost (16 times): unlink of a was lost; weakest profile prefix"));
    CHECK(contains(text, "not promised: state.prefix"));
    CHECK(contains(text, "chaosgate replay x"));
    CHECK_FALSE(contains(text, "\x1b"));
    CHECK_FALSE(contains(text, "<toy>") == contains(text, "<html"));
  }
}

TEST_CASE("two certificates differ in their times only") {
  Certificate later = certificate();
  later.started = "2027-01-01T00:00:00Z";
  later.seconds = 7;
  later.levels[0].seconds = 3;
  nlohmann::json one = nlohmann::json::parse(render_certificate_json(certificate()));
  nlohmann::json two = nlohmann::json::parse(render_certificate_json(later));
  CHECK(one != two);
  one.erase("times");
  two.erase("times");
  CHECK(one == two);
}
