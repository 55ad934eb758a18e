// The seccomp filter that a worker puts on itself, so that its storage calls stop until the driver answers.
//
// The filter is on the calling thread and on all threads and processes it starts from then on; REQUIRES: the
// process has one thread. It cannot be taken off. Reads, and calls that cannot change a file or a name, are
// not stopped. io_uring and Linux AIO are answered with ENOSYS, so that programs fall back to calls that are
// seen.
//
// Source: seccomp(2), seccomp_unotify(2). The program is made by libseccomp; it is installed by hand because
// libseccomp 2.5 does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, without which a signal (the Go runtime
// sends many) makes the kernel repeat a call that the driver has already carried out. A signal that comes
// before the driver took the call is signals.h's to hide.
#pragma once

#include <string>

#include "harness/base/unique_fd.h"

namespace chaosgate::tap {

// Puts the filter on and returns the listener for the driver. Throws EnvironmentError.
UniqueFd install_filter();

// Why install_filter() cannot work here; empty when it can. Tries it in a child process, once; thread-safe.
const std::string& why_unavailable();

}  // namespace chaosgate::tap
