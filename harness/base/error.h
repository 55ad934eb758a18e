// The exceptions of chaosgate: a broken environment, never an engine's outcome.
//
// Three kinds of error exist and do not mix. An engine's outcome (not found, corruption, I/O error) is
// a Status value. A broken environment is one of the exceptions below, caught once in main() and mapped
// to an exit status. A broken invariant of our own is CHECK().
#pragma once

#include <stdexcept>
#include <string>

namespace chaosgate {

// The user's input cannot be used: unknown name, malformed value, foreign directory. Exit status 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// An engine whose storage calls cannot be seen: its own property, not a fault of the machine. Exit status 2.
class UntappableError : public UsageError {
 public:
  using UsageError::UsageError;
};

// The machine does not do what we need: disk full, fork failed, a file vanished. Exit status 70.
class EnvironmentError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws EnvironmentError "<what>: <strerror(error)>". `error` defaults to the current errno.
[[noreturn]] void throw_errno(const std::string& what);
[[noreturn]] void throw_errno(const std::string& what, int error);

}  // namespace chaosgate
