#include "harness/base/command_line.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "harness/base/test.h"

using namespace chaosgate;

namespace {

// What bash makes of a command: its words, each ended by a line "|".
std::string words_in_bash(const std::string& command) {
  const std::string script = "set -- " + command + "; for word; do printf '%s\\n|\\n' \"$word\"; done";
  int ends[2] = {};
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 1);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execlp("bash", "bash", "-c", script.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) {
    out.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  return out;
}

}  // namespace

TEST_CASE("a shell reads back every word that was quoted for it") {
  const std::string words[] = {"plain",
                               "",
                               "two words",
                               "it's",
                               "$HOME `id` $(id) \"x\" \\ ; & | < > * ? [a] {a,b} ~ # !",
                               "~",
                               "a=b",
                               "tab\there",
                               "line\nbreak",
                               "\x1b[31mred",
                               "b\xc3\xbc"
                               "cher",
                               "not utf-8 \xff\xfe",
                               "quote ' and \\ and \x7f"
                               "1"};
  std::string command;
  std::string expected;
  for (const std::string& word : words) {
    command += " " + shell_quoted(word);
    expected += word + "\n|\n";
  }
  CHECK(words_in_bash(command) == expected);
  for (const char c : command) {
    CHECK((c >= ' ' && c <= '~'));  // one line, whatever a terminal or a report does to other bytes
  }
  CHECK(shell_quoted("results/a-b_c.tar.zst:NAME,x+y=1@2%") == "results/a-b_c.tar.zst:NAME,x+y=1@2%");
}

TEST_CASE("a command has absolute paths and ends with the options of the invocation") {
  Invocation invocation;
  invocation.program = "/opt/chaos gate/chaosgate";
  invocation.options = {{"--worker", "/opt/a worker"}, {"--hang-ms", "5"}};
  const std::string here = std::filesystem::current_path().string();
  CHECK(CommandLine(invocation, "replay")
            .word("0x2a")
            .path("a b/../bundle.tar.zst")
            .option("--engine", "lmdb")
            .option_path("--plan", "plan.txt")
            .text() == "'/opt/chaos gate/chaosgate' replay 0x2a " + shell_quoted(here + "/bundle.tar.zst") +
                           " --engine lmdb --plan " + shell_quoted(here + "/plan.txt") +
                           " --worker '/opt/a worker' --hang-ms 5");
}
