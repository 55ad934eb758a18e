// What engines and the registry need to do with whole directories: make them durable, copy, remove and
// measure them.
//
// Stateless. Failures are Status values, because the directory belongs to something under test.
#pragma once

#include <cstdint>
#include <filesystem>

#include "harness/base/status.h"

namespace chaosgate::engines {

// fsyncs every regular file and directory in the tree, what is deeper first and `directory` last. The name of
// `directory` itself is its parent's business.
Status sync_tree(const std::filesystem::path& directory);

// Removes the tree, in an order that is the same each time; ok when there is none. What is gone may reappear
// after a power cut, whole or in part, until the parent has been fsynced.
Status remove_tree(const std::filesystem::path& directory);

// Copies the tree, files and directories, to `to`, which must not exist; in an order and in blocks that are
// the same each time. Nothing is durable yet, and a copy that failed stays as it is.
Status copy_directory(const std::filesystem::path& from, const std::filesystem::path& to);

// fsyncs one file.
Status sync_file(const std::filesystem::path& file);

// Copies the bytes of one file, in large blocks, over those of `to` if that exists.
Status copy_file(const std::filesystem::path& from, const std::filesystem::path& to);

// Sum of the sizes of the regular files in the tree. Files that go away meanwhile count as nothing.
Status directory_bytes(const std::filesystem::path& directory, std::uint64_t* bytes);

// The directory that holds `path`: "." for a bare name, and a trailing slash is not a name.
std::filesystem::path parent_directory(const std::filesystem::path& path);

// `path` without trailing slashes, so that a suffix can be appended to its last name.
std::filesystem::path without_trailing_slash(const std::filesystem::path& path);

}  // namespace chaosgate::engines
