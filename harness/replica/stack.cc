#include "harness/replica/stack.h"

#include <execinfo.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>

namespace chaosgate::replica {
namespace {

constexpr int kFramesMax = 64;
constexpr std::size_t kStackBytes = 64 << 10;

void say(const char* text) {
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, std::strlen(text));
}

// Only what is safe in a handler: no memory is taken.
void on_fault(int signal) {
  say("chaosgate-worker: ");
  say(::sigabbrev_np(signal) != nullptr ? ::sigabbrev_np(signal) : "a fault");
  say(", the stack is:\n");
  std::array<void*, kFramesMax> frames{};
  ::backtrace_symbols_fd(frames.data(), ::backtrace(frames.data(), kFramesMax), STDERR_FILENO);
  ::raise(signal);  // it is blocked until this returns, and then has its default again
}

}  // namespace

void print_stack_on_death() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // The first call loads a library, which no handler may do.
  std::array<void*, 1> frames{};
  ::backtrace(frames.data(), 1);
  static std::array<char, kStackBytes> stack;  // of the main thread's handler: its own may be used up
  stack_t place{};
  place.ss_sp = stack.data();
  place.ss_size = stack.size();
  ::sigaltstack(&place, nullptr);
  struct sigaction action {};
  action.sa_handler = on_fault;
  action.sa_flags = SA_RESETHAND | SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    ::sigaction(signal, &action, nullptr);
  }
#endif
}

}  // namespace chaosgate::replica
