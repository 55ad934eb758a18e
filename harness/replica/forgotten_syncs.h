// The planted fault of forgetting to sync: from a call of forget_syncs() on, fsync() and fdatasync() of some
// files of this process return success and do nothing, whoever calls them, an engine's library included.
//
// A kill never shows it: the page cache survives. Linking this defines fsync() and fdatasync() for the whole
// program, in the place of the C library's; without forget_syncs() they are the system calls and no more.
#pragma once

#include <string>

namespace chaosgate::replica {

// Of the files and directories whose path matches `pattern` (fnmatch(3), so `*` also matches `/`). Empty:
// none. For the whole process; call it before other threads start.
void forget_syncs(const std::string& pattern);

}  // namespace chaosgate::replica
