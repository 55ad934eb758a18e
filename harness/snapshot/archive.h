// A directory as one archive, and back: a tar archive compressed with zstd that holds regular files and
// directories, in the order of their names, without times, owners and permissions. The same tree makes the
// same bytes.
//
// Stateless. Failures of the archive's bytes and of files are Status values.
#pragma once

#include <filesystem>

#include "harness/base/status.h"
#include "harness/snapshot/file_range.h"

namespace chaosgate::snapshot {

// Writes the archive of what is in `directory` at the position of `fd`. invalid_argument for anything but
// regular files and directories.
Status pack_directory(const std::filesystem::path& directory, int fd);

// Unpacks an archive into `directory`, which exists and is empty. corruption when the range does not begin
// with a whole archive, or a member would leave the directory; damage of a file's content is for the caller
// to find, by a checksum over the range. Makes nothing durable; after a failure a part may be there.
Status unpack_directory(const FileRange& archive, const std::filesystem::path& directory);

}  // namespace chaosgate::snapshot
