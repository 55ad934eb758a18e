#include "harness/replica/engine_bench.h"

#include <cstdlib>

#include "harness/base/usage.h"
#include "harness/replica/load.h"
#include "workloads/generator.h"

namespace chaosgate::replica {
namespace {

// Tells the engine's part from the replica's own: the engine's calls are the spans, and what this thread
// writes between them goes to the log. Whatever else the process writes comes from the engine's threads.
class Meter final : public StepSink {
 public:
  explicit Meter(StepSink& next) : next_(next) {}

  void start() {
    process_at_start_ = process_.read();
    at_last_span_ = thread_.read();
    begin_ns_ = wire::monotonic_ns();
    cpu_at_start_us_ = cpu_us();
    outside_ = 0;
    inside_ns_ = 0;
  }

  void stop(wire::LoadMeasured* measured) {
    measured->total_us = (wire::monotonic_ns() - begin_ns_) / 1000;
    measured->cpu_us = cpu_us() - cpu_at_start_us_;
    measured->engine_us = inside_ns_ / 1000;
    outside_ += thread_.read() - at_last_span_;
    measured->log_written_bytes = outside_;
    measured->engine_written_bytes = process_.read() - process_at_start_ - outside_;
  }

  void at(Step step) override { next_.at(step); }
  void begin(Step step) override {
    next_.begin(step);
    outside_ += thread_.read() - at_last_span_;
    span_at_ns_ = wire::monotonic_ns();
  }
  void end(Step step) override {
    inside_ns_ += wire::monotonic_ns() - span_at_ns_;
    at_last_span_ = thread_.read();
    next_.end(step);
  }
  std::size_t bytes_before_crash(Step step, std::uint64_t offset, std::size_t size) override {
    return next_.bytes_before_crash(step, offset, size);
  }
  [[noreturn]] void die() override {
    next_.die();
    std::abort();  // not reached; a virtual call's promise is not seen here
  }

 private:
  StepSink& next_;
  const WrittenMeter process_{WrittenMeter::Of::process};
  const WrittenMeter thread_{WrittenMeter::Of::this_thread};
  std::uint64_t process_at_start_ = 0;
  std::uint64_t at_last_span_ = 0;  // of this thread, at the end of the last span or at the start
  std::uint64_t outside_ = 0;       // of this thread, between spans
  std::uint64_t begin_ns_ = 0;
  std::uint64_t span_at_ns_ = 0;
  std::uint64_t inside_ns_ = 0;
  std::uint64_t cpu_at_start_us_ = 0;
};

// Entries that a load left unapplied are applied, too.
Status load_and_apply(Replica& replica, const workloads::Generator& generator, const wire::WorkerOrder& order,
                      wire::FlightRecorder& recorder) {
  RETURN_IF_ERROR(run_load(replica, generator, order, recorder));
  return replica.apply_pending(replica.pending());
}

}  // namespace

Status bench_load(const wire::WorkerOrder& order, StepSink& steps, wire::FlightRecorder& recorder,
                  const std::function<void(const wire::LoadMeasured&)>& at_end) {
  const workloads::Generator generator(order.workload, order.seed);
  Meter meter(steps);
  Replica replica(order, meter, recorder);
  RETURN_IF_ERROR(replica.create());
  RETURN_IF_ERROR(preload(replica, generator, order));

  wire::LoadMeasured measured;
  const std::uint64_t bytes_before = replica.batch_bytes();
  meter.start();
  RETURN_IF_ERROR(load_and_apply(replica, generator, order, recorder));
  RETURN_IF_ERROR(replica.flush());
  meter.stop(&measured);
  measured.entries = recorder.entries;
  measured.operations = recorder.operations;
  measured.batch_bytes = replica.batch_bytes() - bytes_before;
  measured.resident_kib = resident_kib();

  wire::WorkerOrder tail = order;
  tail.schedule.entries_max = wire::kBenchTailEntries;
  tail.schedule.forced = wire::Chore::none;
  RETURN_IF_ERROR(load_and_apply(replica, generator, tail, recorder));
  at_end(measured);
  return {};
}

Status bench_recovery(Replica& replica, wire::RecoveryMeasured* measured) {
  engines::SizeInfo size;
  RETURN_IF_ERROR(replica.flush());
  RETURN_IF_ERROR(replica.engine().size(&size));
  measured->disk_bytes = size.bytes_on_disk;
  measured->used_bytes = size.bytes_in_use;

  replica.close_engine();
  std::uint64_t begin = wire::monotonic_ns();
  RETURN_IF_ERROR(replica.open_engine());
  measured->open_us = (wire::monotonic_ns() - begin) / 1000;
  RETURN_IF_ERROR(replica.replay());

  begin = wire::monotonic_ns();
  RETURN_IF_ERROR(replica.compact());
  measured->compact_us = (wire::monotonic_ns() - begin) / 1000;
  RETURN_IF_ERROR(replica.engine().size(&size));
  measured->compacted_bytes = size.bytes_on_disk;
  return {};
}

}  // namespace chaosgate::replica
