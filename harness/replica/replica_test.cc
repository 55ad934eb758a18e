// A replica over real engines, in this process: what it recovers is compared with the same entries applied to
// maps in memory. Closing without a flush stands in for the crash; real kills are the campaign tests' part.
#include "harness/replica/replica.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "engines/registry.h"
#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/replica/load.h"
#include "workloads/map_state_for_test.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::replica;
using wire::Protocol;
using workloads::Keyspace;
using workloads::MapState;

namespace {

namespace fs = std::filesystem;

void expect_ok(const Status& status) {
  if (!status.ok()) {
    throw EnvironmentError(status.to_string());
  }
}

// One data directory over several lives of a replica.
class Rig {
 public:
  Rig(const std::string& engine, Protocol protocol)
      : directory_(fs::temp_directory_path(), "chaosgate-replica-"), generator("mixed", 7) {
    order.directory = directory_.path().string();
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
  }

  // The state that the entries up to `index` make.
  MapState expected(std::uint64_t index) {
    note_terms();
    MapState state;
    for (std::uint64_t i = 1; i <= index; ++i) {
      workloads::apply(generator.transaction(terms_.at(i), i), state);
    }
    return state;
  }
  // The state in the engine.
  MapState actual() {
    MapState state;
    for (std::size_t id = 0; id < workloads::kKeyspaceCount; ++id) {
      const auto it = replica->engine().iterator(static_cast<engines::KeyspaceId>(id));
      for (it->seek_to_first(); it->valid(); it->next()) {
        state.put(static_cast<Keyspace>(id), it->key(), it->value());
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
  Sidecar sidecar() const { return Sidecar(directory_.path() / "durable-index"); }
  fs::path path() const { return directory_.path(); }

 private:
  void start() { replica = std::make_unique<Replica>(order, no_steps(), recorder); }
  // Remembers which term wrote each entry that is in the log.
  void note_terms() {
    if (!replica || !opened_log()) {
      return;
    }
    log::Log& log = replica->log();
    if (log.last_index() < log.first_index()) {
      return;
    }
    terms_.resize(std::max<std::size_t>(terms_.size(), log.last_index() + 1), 0);
    expect_ok(log.read(log.first_index(), log.last_index(), [&](const log::Entry& entry) -> Status {
      terms_.at(entry.index) = entry.term;
      return {};
    }));
  }
  bool opened_log() { return &replica->log() != nullptr; }

  TempDir directory_;
  std::vector<std::uint64_t> terms_;  // by index

 public:
  const workloads::Generator generator;
  wire::WorkerOrder order;
  wire::FlightRecorder recorder;
  std::unique_ptr<Replica> replica;
};

Protocol any_protocol() { return GENERATE(Protocol::in_batch, Protocol::sidecar); }
std::string any_engine() { return GENERATE(as<std::string>{}, "lmdb", "lmdb-nosync", "rocksdb", "rocksdb-wal"); }

}  // namespace
