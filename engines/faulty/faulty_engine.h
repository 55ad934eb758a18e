// Planted engine faults: decorators that make a correct engine break its contract in one known way.
//
// Each fault re-creates a mechanism that was once published, so that the gate can prove that it would find
// it. A fault lies wholly in its decorator; the engine inside stays correct. Faults count calls instead of
// drawing random numbers: the same sequence of calls misbehaves in the same way. Threading and ownership are
// those of Engine.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "engines/engine.h"

namespace chaosgate::engines {

struct EngineFaultInfo {
  std::string_view name;
  std::string_view mechanism;     // one line
  std::string_view published_as;  // where it was seen, or "" when it is our own
  bool needs_io_error = false;    // only an I/O error shows it; kills do not
  // Only a power cut shows it, under this weakest profile of the persistence model; else empty.
  std::string_view power_profile;
  // The configuration to show it on. What loses unflushed batches needs one without a write-ahead log.
  std::string_view engine = "lmdb";
};

const std::vector<EngineFaultInfo>& engine_faults();
// Null when no fault has this name.
const EngineFaultInfo* find_engine_fault(std::string_view name);

// Opens (or creates) through the registry and wraps. `witness_keyspace` and `witness_key` tell the decorator
// where the replica stores its applied index, a 64-bit little-endian value. invalid_argument for an unknown
// fault.
Status open_faulty_engine(std::string_view fault, const EngineConfig& config,
                          const std::filesystem::path& directory, const EngineOptions& options,
                          KeyspaceId witness_keyspace, std::string_view witness_key, bool create,
                          std::unique_ptr<Engine>* engine);

}  // namespace chaosgate::engines
