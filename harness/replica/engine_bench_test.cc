#include "harness/replica/engine_bench.h"

#include "harness/base/file.h"
#include "harness/base/test.h"
#include "workloads/generator.h"

using namespace chaosgate;
using namespace chaosgate::replica;

namespace {

struct BenchRig {
  explicit BenchRig(const std::string& engine, bool free_running = false) {
    order.directory = directory.path().string();
    order.engine = engine;
    order.workload = "small";
    order.seed = 3;
    order.segment_bytes = 1 << 20;
    order.term = 1;
    order.free_running = free_running;
    order.schedule.flush_one_in = order.schedule.compact_one_in = order.schedule.checkpoint_one_in =
        UINT32_MAX;
    order.schedule.entries_max = 300;
    recorder.reset();
  }

  wire::LoadMeasured load() {
    wire::LoadMeasured measured;
    const Status status =
        bench_load(order, no_steps(), recorder, [&](const wire::LoadMeasured& result) { measured = result; });
    INFO(status.to_string());
    REQUIRE(status.ok());
    return measured;
  }

  TempDir directory{std::filesystem::temp_directory_path(), "chaosgate-engine-bench-"};
  wire::WorkerOrder order;
  wire::FlightRecorder recorder;
};

}  // namespace

TEST_CASE("bytes of the log are told from those of the engine, whatever threads that has") {
  BenchRig reference("lmdb");
  const wire::LoadMeasured lmdb = reference.load();
  const workloads::Generator generator(reference.order.workload, reference.order.seed);
  std::uint64_t payload_bytes = 0;
  for (std::uint64_t i = 1; i <= lmdb.entries; ++i) {
    payload_bytes += generator.payload(reference.order.term, generator.preload_entries() + i).size();
  }
  CHECK(lmdb.entries >= 300);
  CHECK(lmdb.log_written_bytes > payload_bytes);
  CHECK(lmdb.log_written_bytes < 2 * payload_bytes + 64 * lmdb.entries);
  CHECK(lmdb.engine_written_bytes > lmdb.batch_bytes);
  CHECK(lmdb.engine_us <= lmdb.total_us);
  for (const bool free_running : {false, true}) {
    BenchRig rig("rocksdb", free_running);
    const wire::LoadMeasured rocksdb = rig.load();
    CHECK(rocksdb.batch_bytes == lmdb.batch_bytes);
    CHECK(rocksdb.log_written_bytes == lmdb.log_written_bytes);
    CHECK(rocksdb.engine_written_bytes > 0);
    CHECK(rocksdb.engine_written_bytes != lmdb.engine_written_bytes);
  }
}

TEST_CASE("what is measured after a recovery leaves the replica open, whole and compact") {
  BenchRig rig("rocksdb");
  const wire::LoadMeasured load = rig.load();
  wire::WorkerOrder order = rig.order;
  order.term = 2;
  rig.recorder.reset();
  Replica replica(order, no_steps(), rig.recorder);
  REQUIRE(replica.open_log().ok());
  REQUIRE(replica.open_engine().ok());
  REQUIRE(replica.replay().ok());
  // The tail behind the last flush was replayed; afterwards there is nothing to replay.
  CHECK(rig.recorder.replayed >= wire::kBenchTailEntries);
  const std::uint64_t replayed = rig.recorder.replayed;
  wire::RecoveryMeasured measured;
  REQUIRE(bench_recovery(replica, &measured).ok());
  CHECK(rig.recorder.replayed == replayed);
  CHECK(replica.witness() == replica.log().last_index());
  CHECK(replica.log().last_index() > load.entries + wire::kBenchTailEntries);
  CHECK(measured.used_bytes > 0);
  CHECK(measured.disk_bytes >= measured.used_bytes);
  CHECK(measured.compacted_bytes > 0);
  CHECK(replica.engine().check_integrity().ok());
}
