// CommandLine makes every command that is printed for a user to copy.
//
// Its text is one line of printable ASCII for bash, zsh or ksh. It means the same in every directory, because
// its paths are absolute. What a CHAOSGATE_* variable or a file had set is a flag in it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaosgate {

// How this program was started, as far as its commands repeat it.
struct Invocation {
  std::string program = "chaosgate";  // absolute, or a name that was found in PATH
  // What decides where and how anything runs, and is not the default: work directory, worker program, bounds.
  std::vector<std::pair<std::string, std::string>> options;  // "--worker", its value; paths are absolute
  std::string again;  // the complete command that does all of it again; empty: not known
};

class CommandLine {
 public:
  CommandLine(const Invocation& invocation, std::string_view subcommand);

  // A word that stands alone: a seed, a switch.
  CommandLine& word(std::string_view word);
  CommandLine& path(const std::filesystem::path& path);
  CommandLine& option(std::string_view flag, std::string_view value);
  CommandLine& option_path(std::string_view flag, const std::filesystem::path& value);

  // Ends with the options of the invocation.
  std::string text() const;

 private:
  std::string line_;
  std::vector<std::pair<std::string, std::string>> last_;
};

// `word` as a shell reads it back: itself where nothing in it is special, else in quotes.
std::string shell_quoted(std::string_view word);

}  // namespace chaosgate
