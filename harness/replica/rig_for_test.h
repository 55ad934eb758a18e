// A replica for tests: one data directory over several lives, and what it should hold.
//
// Include it before "harness/base/test.h". Failures throw, so that a helper needs no assertion macro.
#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/replica/load.h"
#include "harness/replica/replica.h"
#include "harness/replica/sidecar.h"
#include "workloads/map_state_for_test.h"

namespace chaosgate::replica {

inline void expect_ok(const Status& status) {
  if (!status.ok()) {
    throw EnvironmentError(status.to_string());
  }
}

// One data directory over several lives of a replica.
class Rig {
 public:
  // In a temporary directory.
  Rig(const std::string& engine, wire::Protocol protocol)
      : Rig(engine, protocol, TempDir(std::filesystem::temp_directory_path(), "chaosgate-replica-")) {}
  // In a directory that exists and stays.
  Rig(const std::string& engine, wire::Protocol protocol, const std::filesystem::path& directory)
      : generator("mixed", 7) {
    order.directory = directory.string();
    order.engine = engine;
    order.workload = "mixed";
    order.seed = 7;
    order.protocol = protocol;
    order.segment_bytes = 16 << 10;
    order.term = 1;
    order.schedule.sync_group_max = 16;
    order.schedule.apply_group_max = 8;
    order.schedule.flush_one_in = 100;
    order.schedule.entries_max = 400;
    recorder.reset();
  }

  // A preloaded directory, closed.
  void create() {
    start();
    expect_ok(replica->create());
    has_log_ = true;
    expect_ok(preload(*replica, generator, order));
    close();
  }
  // The next life, up to the open engine.
  Status open() {
    close();
    ++order.term;
    recorder.reset();
    start();
    RETURN_IF_ERROR(replica->open_log());
    has_log_ = true;
    return replica->open_engine();
  }
  void recover() {
    expect_ok(open());
    expect_ok(replica->replay());
  }
  void load() { expect_ok(run_load(*replica, generator, order, recorder)); }
  // Appends, syncs and applies `count` entries; no flush, no truncation.
  void write_entries(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t index = replica->log().last_index() + 1;
      expect_ok(replica->append(index, generator.transaction(order.term, index)));
    }
    expect_ok(replica->sync());
    expect_ok(replica->apply_pending(count));
  }
  void close() {
    note_terms();
    replica.reset();
    has_log_ = false;
  }

  // The state that the entries up to `index` make.
  workloads::MapState expected(std::uint64_t index) {
    note_terms();
    workloads::MapState state;
    for (std::uint64_t i = 1; i <= index; ++i) {
      workloads::apply(generator.transaction(terms_.at(i), i), state);
    }
    return state;
  }
  // The state in the engine.
  workloads::MapState actual() {
    workloads::MapState state;
    for (std::size_t id = 0; id < workloads::kKeyspaceCount; ++id) {
      const auto it = replica->engine().iterator(static_cast<engines::KeyspaceId>(id));
      for (it->seek_to_first(); it->valid(); it->next()) {
        state.put(static_cast<workloads::Keyspace>(id), it->key(), it->value());
      }
      expect_ok(it->status());
    }
    return state;
  }
  // The applied index in the engine now.
  std::uint64_t stored_witness() {
    std::string value;
    expect_ok(replica->engine().get(kMetaKeyspace, kWitnessKey, &value));
    return load_fixed<std::uint64_t>(value.data());
  }
  Sidecar sidecar() const { return Sidecar(path() / kSidecarFile); }
  std::filesystem::path path() const { return order.directory; }

 private:
  Rig(const std::string& engine, wire::Protocol protocol, TempDir temporary)
      : Rig(engine, protocol, temporary.path()) {
    temporary_ = std::move(temporary);
  }
  void start() { replica = std::make_unique<Replica>(order, no_steps(), recorder); }
  // Remembers which term wrote each entry: what is new since the last call, this life did.
  void note_terms() {
    if (replica && has_log_) {
      terms_.resize(std::max<std::size_t>(terms_.size(), replica->log().last_index() + 1), order.term);
    }
  }

  std::optional<TempDir> temporary_;
  std::vector<std::uint64_t> terms_;  // by index
  bool has_log_ = false;

 public:
  const workloads::Generator generator;
  wire::WorkerOrder order;
  wire::FlightRecorder recorder;
  std::unique_ptr<Replica> replica;
};

}  // namespace chaosgate::replica
