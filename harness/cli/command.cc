#include "harness/cli/command.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace chaosgate::cli {

bool use_color(const Globals& globals, int fd) {
  if (globals.color != "auto") {
    return globals.color == "always";
  }
  const auto is_set = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && value[0] != '\0';
  };
  if (is_set("NO_COLOR")) {
    return false;
  }
  if (is_set("CLICOLOR_FORCE") && std::string(std::getenv("CLICOLOR_FORCE")) != "0") {
    return true;
  }
  const char* term = std::getenv("TERM");
  return ::isatty(fd) == 1 && term != nullptr && std::string(term) != "dumb";
}

std::filesystem::path find_worker(const std::filesystem::path& given) {
  return given.empty() ? std::filesystem::read_symlink("/proc/self/exe").parent_path() / "chaosgate-worker"
                       : given;
}

std::string program_to_print() {
  const std::string name = program_invocation_name;
  return name.find('/') == std::string::npos ? name
                                             : std::filesystem::absolute(name).lexically_normal().string();
}

void log_line(const std::string& line) { std::fprintf(stderr, "chaosgate: %s\n", line.c_str()); }

}  // namespace chaosgate::cli
