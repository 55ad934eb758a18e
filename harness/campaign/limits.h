// The limits of this process (ulimit) that workers inherit. A limit that is reached looks like an engine's
// own error, so what is too low is refused before anything runs.
#pragma once

#include <string>

namespace chaosgate::campaign {

// Raises what may be raised. Throws EnvironmentError that names the limit, what it is and what is needed.
void check_limits();

// " (ulimit -u is 3)" for an error that a limit may be the cause of (EAGAIN, EMFILE, ENOMEM, EFBIG), when
// there is such a limit; else empty.
std::string limit_behind(int error);

}  // namespace chaosgate::campaign
