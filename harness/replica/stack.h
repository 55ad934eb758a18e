// print_stack_on_death() makes a process that dies by a fault of its own say where it was.
#pragma once

namespace chaosgate::replica {

// From now on this process and its children print the stack of the thread that gets SIGSEGV, SIGBUS, SIGFPE,
// SIGILL or SIGABRT to stderr, which a bundle keeps, and then die by that signal as before. Addresses are
// relative to their file, for addr2line. Does nothing under a sanitizer, which does better.
void print_stack_on_death();

}  // namespace chaosgate::replica
