// Keeps signals from showing a process that its storage calls wait for the driver.
//
// Without a tap a signal interrupts no write, sync or rename of a file (kill_inside_test measures it). With
// one the call is interrupted while it waits for the driver to take it, and fails with EINTR when the handler
// was set without SA_RESTART. So sigaction() is replaced in the processes that this is linked into: the
// kernel is told to restart, and where it is about to restart a call that a signal does interrupt without a
// tap, such as a read of a pipe, the handler's frame makes it return EINTR instead.
//
// Handlers that come with sigaction() are covered, in the program and in the libraries it loads; signal()
// asks for restarts anyway. Handlers set by the system call itself, or made interrupting by siginterrupt(),
// are not. Only on x86-64, and not under ThreadSanitizer, which keeps the handlers itself; elsewhere it does
// nothing.
#pragma once

namespace chaosgate::tap {

// From now on, and for the handlers that are set already. One thread.
void hide_waiting_from_signals();

}  // namespace chaosgate::tap
