// The sidecar: the durable index in a file of its own, outside the engine.
//
// Format, 24 bytes, little-endian:
//   magic:u64 = kSidecarMagic   index:u64   checksum:u64 = hash64(the 16 bytes before)
//
// persist() replaces the file by temporary file, fsync, rename and fsync of the directory, so that any crash
// leaves the old index or the new one. The index must have been captured *before* the flush began that it
// vouches for, and be persisted *after* that flush returned.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "harness/base/status.h"
#include "harness/base/step.h"

namespace chaosgate::replica {

inline constexpr std::string_view kSidecarFile = "durable-index";
inline constexpr std::uint64_t kSidecarMagic = 0x3152414345444953;  // "SIDECAR1"

class Sidecar {
 public:
  explicit Sidecar(std::filesystem::path path) : path_(std::move(path)) {}

  // Reaches the two sidecar-rename steps.
  Status persist(std::uint64_t index, StepSink& steps) const;
  // *index is 0 when there is no file yet. corruption when it is damaged; *index is then left alone. What was
  // read is durable, name and all: a process that was killed between the rename and the sync behind it may
  // have left one that is not.
  Status read(std::uint64_t* index) const;

 private:
  std::filesystem::path path_;
};

}  // namespace chaosgate::replica
