#include "harness/cli/command.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

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

namespace {

// The examples of a footer, and what stands behind them.
std::pair<std::string, std::string> split_footer(const std::string& footer) {
  const std::size_t end = footer.find("\n\n");
  return end == std::string::npos ? std::pair(footer, std::string())
                                  : std::pair(footer.substr(0, end), footer.substr(end + 2));
}

}  // namespace

std::string HelpFormatter::make_usage(const CLI::App* app, std::string name) const {
  const std::string examples = split_footer(app->get_footer()).first;
  return (examples.empty() ? "" : "\n" + examples + "\n\n") +
         CLI::Formatter::make_usage(app, std::move(name));
}

std::string HelpFormatter::make_footer(const CLI::App* app) const {
  const std::string rest = split_footer(app->get_footer()).second;
  return rest.empty() ? rest : rest + "\n";
}

std::string program_to_print() {
  const std::string name = program_invocation_name;
  return name.find('/') == std::string::npos ? name
                                             : std::filesystem::absolute(name).lexically_normal().string();
}

}  // namespace chaosgate::cli
