// BatchState lets the state machine run over an engine while its mutations still lie in a batch.
//
// Reads see the mutations of the batch first and the engine below them. A scan needs an empty batch, so a
// caller writes the batch before a transaction that scans. An engine error makes reads answer "absent" and is
// kept: status() must be looked at before the batch is written. Not thread-safe.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engines/engine.h"
#include "workloads/state_machine.h"

namespace chaosgate::replica {

inline engines::KeyspaceId id(workloads::Keyspace keyspace) {
  return static_cast<engines::KeyspaceId>(keyspace);
}

class BatchState final : public workloads::MutableState {
 public:
  // `engine` must outlive this.
  explicit BatchState(engines::Engine& engine) : engine_(engine) {}

  bool get(workloads::Keyspace keyspace, std::string_view key, std::string* value) override;
  void scan(workloads::Keyspace keyspace, std::string_view begin, std::string_view end,
            const std::function<bool(std::string_view, std::string_view)>& visit) override;
  void put(workloads::Keyspace keyspace, std::string_view key, std::string_view value) override;
  void erase(workloads::Keyspace keyspace, std::string_view key) override;
  void erase_range(workloads::Keyspace keyspace, std::string_view begin, std::string_view end) override;

  // The batch, to be completed (with the applied index) and written by the caller, then clear()ed.
  engines::WriteBatch& batch() { return batch_; }
  const Status& status() const { return status_; }
  void clear();

 private:
  struct Overlay {
    std::map<std::string, std::optional<std::string>, std::less<>> keys;
    std::vector<std::pair<std::string, std::string>> erased_ranges;
  };

  engines::Engine& engine_;
  engines::WriteBatch batch_;
  std::array<Overlay, workloads::kKeyspaceCount> overlays_;
  Status status_;
};

}  // namespace chaosgate::replica
