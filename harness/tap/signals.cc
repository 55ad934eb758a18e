#include "harness/tap/signals.h"

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

namespace {

using Action = struct sigaction;

// Its handler, and whether that takes three arguments. User addresses leave the highest bit free.
constexpr std::uint64_t kThreeArguments = std::uint64_t{1} << 63;
std::array<std::atomic<std::uint64_t>, NSIG> handlers{};
std::atomic<bool> active{false};

int next_sigaction(int number, const Action* action, Action* before) {
  using Function = int (*)(int, const Action*, Action*);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "sigaction"));
  return next(number, action, before);
}

bool is_file(std::int64_t descriptor) {
  struct stat info {};
  return ::fstat(static_cast<int>(descriptor), &info) == 0 &&
         (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode));
}

// Whether a signal interrupts the call without a tap, and SA_RESTART would restart it. A call that has not
// begun when the signal comes looks the same: what never waits is not among these.
bool is_interruptible(std::int64_t call, std::int64_t first, std::int64_t second) {
  switch (call) {
    case SYS_read:
    case SYS_readv:
    case SYS_write:
    case SYS_writev:
      return !is_file(first);
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_wait4:
    case SYS_waitid:
      return true;
    case SYS_futex:
      return (second & FUTEX_CMD_MASK) == FUTEX_WAIT || (second & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
    case SYS_flock:
      return (second & (LOCK_NB | LOCK_UN)) == 0;
    case SYS_fcntl:
      return second == F_SETLKW || second == F_OFD_SETLKW;
    default:
      return false;
  }
}

// The kernel restarts a call by going back to its instruction, with the call's number where its result would
// be (arch/x86/kernel/signal.c, handle_signal()).
void undo_restart(ucontext_t* context) {
  greg_t* const registers = context->uc_mcontext.gregs;
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  const auto* const at = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  const bool restarts = at[0] == 0x0f && at[1] == 0x05;
  if (restarts && is_interruptible(registers[REG_RAX], registers[REG_RDI], registers[REG_RSI])) {
    registers[REG_RIP] += 2;
    registers[REG_RAX] = -EINTR;
  }
}

void handle(int number, siginfo_t* info, void* context) {
  const int error = errno;
  undo_restart(static_cast<ucontext_t*>(context));
  errno = error;
  const std::uint64_t packed = handlers.at(static_cast<std::size_t>(number)).load();
  const std::uint64_t address = packed & ~kThreeArguments;
  if ((packed & kThreeArguments) != 0) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    reinterpret_cast<void (*)(int, siginfo_t*, void*)>(address)(number, info, context);
  } else {
    reinterpret_cast<void (*)(int)>(address)(number);  // NOLINT(performance-no-int-to-ptr)
  }
}

// Not of a signal that an instruction raises: it interrupts no call.
bool needs_hiding(int number, const Action& action) {
  for (const int raised : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS}) {
    if (number == raised) {
      return false;
    }
  }
  return (action.sa_flags & SA_RESTART) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

// As it was given, of one that the kernel has from us.
void show_as_given(Action* action, std::uint64_t packed) {
  if ((action->sa_flags & SA_SIGINFO) == 0 || action->sa_sigaction != handle) {
    return;
  }
  action->sa_flags &= ~SA_RESTART;
  if ((packed & kThreeArguments) == 0) {
    action->sa_flags &= ~SA_SIGINFO;
  }
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  action->sa_handler = reinterpret_cast<void (*)(int)>(packed & ~kThreeArguments);
}

}  // namespace

// In the place of the C library's.
extern "C" int sigaction(int number, const Action* action, Action* before) noexcept {
  if (!active || number <= 0 || number >= NSIG) {
    return next_sigaction(number, action, before);
  }
  std::atomic<std::uint64_t>& handler = handlers.at(static_cast<std::size_t>(number));
  const std::uint64_t packed_before = handler;
  Action ours{};
  if (action != nullptr && needs_hiding(number, *action)) {
    const bool three = (action->sa_flags & SA_SIGINFO) != 0;
    handler = reinterpret_cast<std::uint64_t>(action->sa_handler) | (three ? kThreeArguments : 0);
    ours = *action;
    ours.sa_sigaction = handle;
    ours.sa_flags |= SA_SIGINFO | SA_RESTART;
    action = &ours;
  }
  const int result = next_sigaction(number, action, before);
  if (result != 0) {
    handler = packed_before;
  } else if (before != nullptr) {
    show_as_given(before, packed_before);
  }
  return result;
}

namespace chaosgate::tap {

void hide_waiting_from_signals() {
  active = true;
  for (int number = 1; number < NSIG; ++number) {
    Action now{};
    if (next_sigaction(number, nullptr, &now) == 0 && needs_hiding(number, now)) {
      ::sigaction(number, &now, nullptr);
    }
  }
}

}  // namespace chaosgate::tap

#else

namespace chaosgate::tap {

void hide_waiting_from_signals() {}

}  // namespace chaosgate::tap

#endif
