#include "harness/base/status.h"

#include <cerrno>
#include <cstring>

#include "harness/base/error.h"

namespace chaosgate {

void throw_errno(const std::string& what, int error) {
  throw EnvironmentError(what + ": " + std::strerror(error));
}

void throw_errno(const std::string& what) { throw_errno(what, errno); }

std::string_view to_string(StatusCode code) {
  switch (code) {
    case StatusCode::ok:
      return "ok";
    case StatusCode::not_found:
      return "not found";
    case StatusCode::corruption:
      return "corruption";
    case StatusCode::io_error:
      return "I/O error";
    case StatusCode::invalid_argument:
      return "invalid argument";
    case StatusCode::not_supported:
      return "not supported";
  }
  return "unknown";
}

Status Status::io_error(const std::string& what, int error) {
  return {StatusCode::io_error, what + ": " + std::strerror(error)};
}

std::string Status::to_string() const {
  if (ok()) {
    return "ok";
  }
  return std::string(chaosgate::to_string(code_)) + ": " + message_;
}

}  // namespace chaosgate
