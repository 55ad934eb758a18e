// Status is the outcome of an operation on something under test: a value, not an exception.
//
// A Status is cheap to copy when it is ok and carries one line of text otherwise. It is immutable and
// may be shared between threads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace chaosgate {

enum class StatusCode : std::uint8_t {
  ok = 0,
  not_found,         // the key, file or entry does not exist; a normal answer
  corruption,        // stored bytes contradict themselves
  io_error,          // a system call failed
  invalid_argument,  // the caller broke a precondition that is checked
  not_supported,     // this engine or configuration cannot do it
};

std::string_view to_string(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status not_found() { return {StatusCode::not_found, "not found"}; }
  static Status corruption(std::string message) { return {StatusCode::corruption, std::move(message)}; }
  static Status io_error(std::string message) { return {StatusCode::io_error, std::move(message)}; }
  // "<what>: <strerror(error)>"; `error` is an errno value.
  static Status io_error(const std::string& what, int error);
  static Status invalid_argument(std::string message) {
    return {StatusCode::invalid_argument, std::move(message)};
  }
  static Status not_supported(std::string message) { return {StatusCode::not_supported, std::move(message)}; }

  bool ok() const { return code_ == StatusCode::ok; }
  bool is_not_found() const { return code_ == StatusCode::not_found; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }
  // "ok", or "<code>: <message>".
  std::string to_string() const;

 private:
  StatusCode code_ = StatusCode::ok;
  std::string message_;
};

}  // namespace chaosgate

// Hands a failed Status to the caller.
#define RETURN_IF_ERROR(expression)                                  \
  do {                                                               \
    if (::chaosgate::Status status_ = (expression); !status_.ok()) { \
      return status_;                                                \
    }                                                                \
  } while (false)
