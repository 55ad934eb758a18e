// What leaves the process: result directories, GitHub's files and lines, progress.
#include <fcntl.h>

#include <cstdlib>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"
#include "harness/report/sample_report.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

namespace fs = std::filesystem;
using sample::lines;
using sample::temporary;

std::string content(const fs::path& path) {
  std::string bytes;
  REQUIRE(read_file(path, &bytes).ok());
  return bytes;
}

// Sets an environment variable for the life of the object.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) { ::setenv(name, value.c_str(), 1); }
  ~Environment() { ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

}  // namespace

TEST_CASE("GitHub gets at most nine errors and a line that counts the rest") {
  CampaignReport report = sample::with_violation();
  auto& violations = report.engines[0].violations;
  violations.resize(9, violations[0]);
  report.engines[0].violation_count = 9;
  CHECK(lines(render_github_errors(report)).size() == 9);
  violations.resize(10, violations[0]);
  report.engines[0].violation_count = 25;
  const auto all = lines(render_github_errors(report));
  REQUIRE(all.size() == 10);
  CHECK(all[9] == "::error::chaosgate: 16 more; see the summary and report.html");
  CHECK(render_github_errors(sample::pass()).empty());
}

TEST_CASE("a GitHub error is one line whatever its text holds") {
  CampaignReport report = sample::with_violation();
  report.engines[0].violations[0].second.explanation = "50 % of\r\n::error::two";
  const auto all = lines(render_github_errors(report));
  REQUIRE(all.size() == 1);
  CHECK(all[0].ends_with("50 %25 of\\x0d%0A::error::two"));
}

TEST_CASE("the results are five files and a link that follows the newest campaign") {
  const TempDir directory = temporary();
  for (const char* name : {"first", "second"}) {
    const fs::path result = directory.path() / name;
    fs::create_directory(result);
    write_results(sample::pass(), result / "");  // a trailing slash changes nothing
    CHECK(fs::read_symlink(directory.path() / "latest") == name);
    for (const char* file : {"result.json", "junit.xml", "report.html", "summary.md"}) {
      CHECK(fs::file_size(directory.path() / "latest" / file) > 0);
    }
    CHECK(std::distance(fs::directory_iterator(result), {}) == 4);  // no temporary file is left
  }
  CHECK(std::distance(fs::directory_iterator(directory.path()), {}) == 3);
}

TEST_CASE("a result that cannot be written is named, and hinders no other one") {
  const TempDir directory = temporary();
  const fs::path result = directory.path() / "result";
  fs::create_directories(result);
  CHECK(write_results(sample::pass(), directory.path() / "missing").size() == 4);
  SECTION("a directory in the way of the link") {
    fs::remove(directory.path() / "latest");
    fs::create_directories(directory.path() / "latest" / "in-the-way");
    const std::vector<std::string> complaints = write_results(sample::pass(), result);
    REQUIRE(complaints.size() == 1);
    CHECK(sample::contains(complaints[0], "latest"));
    CHECK(fs::exists(result / "report.html"));
  }
  SECTION("a directory in the way of the first report") {
    fs::create_directories(result / "result.json" / "in-the-way");
    const std::vector<std::string> complaints = write_results(sample::pass(), result);
    REQUIRE(complaints.size() == 1);
    CHECK(sample::contains(complaints[0], "result.json"));
    CHECK(fs::exists(result / "junit.xml"));
    CHECK(fs::exists(result / "report.html"));
    CHECK_FALSE(fs::exists(result / "result.json.tmp"));
    CHECK(fs::read_symlink(directory.path() / "latest") == "result");
  }
  SECTION("GitHub's summary") {
    const Environment environment("GITHUB_STEP_SUMMARY", directory.path().string());
    const std::vector<std::string> complaints = write_results(sample::pass(), result);
    REQUIRE(complaints.size() == 1);
    CHECK(sample::contains(complaints[0], "GITHUB_STEP_SUMMARY"));
    CHECK(fs::exists(result / "result.json"));
  }
}

TEST_CASE("the step summary of GitHub is appended to and never grows over its limit") {
  const TempDir directory = temporary();
  const fs::path result = directory.path() / "result";
  fs::create_directory(result);
  const fs::path summary = directory.path() / "step-summary";
  const Environment environment("GITHUB_STEP_SUMMARY", summary.string());
  replace_file(summary, "before\n");
  write_results(sample::pass(), result);
  CHECK(content(summary) == "before\n" + render_markdown(sample::pass()));
  replace_file(summary, std::string(1024 * 1024 - 100, 'x'));
  write_results(sample::pass(), result);
  CHECK(fs::file_size(summary) <= 1024 * 1024);
}

TEST_CASE("progress without a terminal is one plain line every 30 seconds") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "stderr";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::chrono::steady_clock::time_point now;
  {
    Progress progress({.fd = file.get(), .terminal = std::nullopt, .now = [&now] { return now; }});
    for (std::uint64_t second = 0; second <= 70; ++second) {
      progress.update({"rocksdb", second * 10, 1'000, "kill", 0});
      now += std::chrono::seconds(1);
    }
    progress.clear();
  }
  CHECK(lines(content(path)) ==
        std::vector<std::string>{
            "chaosgate: rocksdb 300/1,000 kills, 0 violations, 10.0 kills/s, 1 min 10 s left",
            "chaosgate: rocksdb 600/1,000 kills, 0 violations, 10.0 kills/s, 40 s left"});
}

TEST_CASE("progress on a terminal rewrites one line and leaves it clean") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "stderr";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::chrono::steady_clock::time_point now;
  {
    Progress progress({.fd = file.get(), .terminal = true, .now = [&now] { return now; }});
    progress.update({"lmdb", 1, 100, "kill", 0});
    progress.update({"lmdb", 2, 100, "kill", 0});  // too soon to be seen
    now += std::chrono::seconds(2);
    progress.update({"lmdb", 51, 100, "kill", 1});
  }
  CHECK(content(path) ==
        "\rchaosgate: lmdb 1/100 kills, 0 violations\x1b[K"
        "\rchaosgate: lmdb 51/100 kills, 1 violation, 25.0 kills/s, 2 s left\x1b[K"
        "\r\x1b[K");
}

TEST_CASE("the rate starts anew with each engine, and a campaign without a goal has no end in sight") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "stderr";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::chrono::steady_clock::time_point now;
  Progress progress({.fd = file.get(), .terminal = false, .now = [&now] { return now; }});
  progress.update({"rocksdb", 0, 0, "kill", 0});
  now += std::chrono::seconds(29);
  progress.update({"lmdb", 500, 0, "kill", 0});
  now += std::chrono::seconds(2);
  progress.update({"lmdb", 502, 0, "kill", 0});
  CHECK(content(path) == "chaosgate: lmdb 502 kills, 0 violations, 1.0 kills/s\n");
}

TEST_CASE("progress counts what it says that it counts") {
  const TempDir directory = temporary();
  const fs::path path = directory.path() / "stderr";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::chrono::steady_clock::time_point now;
  Progress progress({.fd = file.get(), .terminal = false, .now = [&now] { return now; }});
  for (std::uint64_t i = 0; i < 2; ++i) {
    now += std::chrono::seconds(30);
    progress.update({"lmdb power cuts", i * 300, 600, "disk image", 1});
  }
  progress.update({"moving", 0, 0, "key"});
  now += std::chrono::seconds(30);
  progress.update({"moving", 60, 0, "key"});
  CHECK(lines(content(path)) ==
        std::vector<std::string>{
            "chaosgate: lmdb power cuts 0/600 disk images, 1 violation",
            "chaosgate: lmdb power cuts 300/600 disk images, 1 violation, 10.0 disk images/s, 30 s left",
            "chaosgate: moving 60 keys, 2.0 keys/s"});
}

TEST_CASE("progress that is not enabled does nothing") {
  Progress progress(false);
  progress.update({"rocksdb", 1, 2, "kill", 0});
  progress.clear();
}

}  // namespace chaosgate::report
