#include "harness/replica/worker.h"

#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/rng.h"
#include "harness/replica/conformance.h"
#include "harness/replica/crash_trigger.h"
#include "harness/replica/engine_bench.h"
#include "harness/replica/floor.h"
#include "harness/replica/follower.h"
#include "harness/replica/load.h"
#include "harness/replica/migration.h"
#include "harness/replica/observe.h"
#include "harness/replica/replica.h"

namespace chaosgate::replica {
namespace {

using wire::Failure;
using wire::Phase;
using workloads::SectionKind;

std::optional<CrashPoint> crash_point(const std::string& text) {
  if (text.empty()) {
    return std::nullopt;
  }
  std::optional<CrashPoint> point = parse_crash_point(text);
  if (!point) {
    throw UsageError("'" + text + "' is not a crash point");
  }
  return point;
}

class Worker {
 public:
  Worker(const wire::WorkerOrder& order, const Shared& shared)
      : order_(order),
        shared_(shared),
        recorder_(*shared.recorder),
        trigger_(recorder_, crash_point(order.recovery_crash), crash_point(order.load_crash)),
        writer_(shared.observations, wire::kObservationCapacity),
        observer_(writer_, recorder_),
        generator_(order.workload, order.seed),
        replica_(order, trigger_, recorder_) {
    recorder_.term = order.term;
    recorder_.phase_at_ns.at(static_cast<std::size_t>(Phase::starting)) = wire::monotonic_ns();
  }

  // What fails is recorded in doing_ for the driver.
  Status run() {
    if (order_.floor_cycles > 0) {
      doing_ = Failure::load;
      std::string times;
      RETURN_IF_ERROR(measure_floor(order_, trigger_, recorder_, &times));
      set_message(times);
      return {};
    }
    if (order_.engine_bench == wire::EngineBench::load) {
      return measure_load();
    }
    if (order_.create) {
      doing_ = Failure::create;
      RETURN_IF_ERROR(replica_.create());
      return preload(replica_, generator_, order_);
    }
    RETURN_IF_ERROR(recover());
    if (order_.engine_bench == wire::EngineBench::recovery) {
      doing_ = Failure::load;
      wire::RecoveryMeasured measured;
      RETURN_IF_ERROR(bench_recovery(replica_, &measured));
      set_message(nlohmann::json(measured).dump());
    }
    RETURN_IF_ERROR(show_after_replay());
    if (order_.load) {
      enter(Phase::ready);
      notify();
      await_go();
      enter(Phase::loading);
      trigger_.enter_load();
      doing_ = Failure::load;
      if (order_.follow) {
        Follower follower(replica_, observer_, order_, recorder_, wire::Channel(UniqueFd(shared_.stream_fd)),
                          [this] { notify(); });
        return follower.run();
      }
      RETURN_IF_ERROR(run_load(replica_, generator_, order_, recorder_));
      await_end();
    }
    return {};
  }

  void finish(const Status& status) {
    if (!status.ok()) {
      fail(doing_, status.to_string());
      return;
    }
    enter(Phase::closed);
    notify();
  }

  // Whether a process whose load was refused ends without closing anything, as most programs do. Closing is
  // tried, too, in some: engines can take long for it, RocksDB a second after a flush that failed.
  bool ends_at_once(const Status& status) const {
    return !status.ok() && doing_ == Failure::load && order_.load &&
           Rng(order_.seed).fork("end-at-once").fork(order_.term).chance(7, 8);
  }

  void fail_as_doing(const std::string& message) { fail(doing_, message); }

  void fail(Failure failure, const std::string& message) {
    set_message(message);
    recorder_.failure = failure;
    enter(Phase::failed);
    notify();
  }

 private:
  Status measure_load() {
    await_go();
    enter(Phase::loading);
    doing_ = Failure::load;
    return bench_load(order_, trigger_, recorder_, [&](const wire::LoadMeasured& measured) {
      set_message(nlohmann::json(measured).dump());
      await_end();
    });
  }

  // The load has reached its bound; the driver kills.
  void await_end() {
    enter(Phase::load_done);
    notify();
    await_death();
  }

  void set_message(const std::string& message) { recorder_.say(message); }

  void enter(Phase phase) {
    recorder_.phase_at_ns.at(static_cast<std::size_t>(phase)) = wire::monotonic_ns();
    recorder_.phase.store(phase, std::memory_order_release);
  }

  void notify() const {
    const std::uint64_t one = 1;
    CHECK(::write(shared_.notice_fd, &one, sizeof one) == sizeof one);
  }

  void await_go() const {
    std::uint64_t count = 0;
    while (::read(shared_.go_fd, &count, sizeof count) < 0) {
      CHECK(errno == EINTR);
    }
  }

  Status recover() {
    doing_ = Failure::open_log;
    RETURN_IF_ERROR(replica_.open_log());
    RETURN_IF_ERROR(observer_.log(replica_));
    enter(Phase::log_opened);
    if (order_.cut_suffix_from != 0) {
      RETURN_IF_ERROR(replica_.cut_suffix(order_.cut_suffix_from));
    }
    recorder_.appended = replica_.log().last_index();
    recorder_.synced = replica_.log().last_index();
    doing_ = Failure::open_engine;
    RETURN_IF_ERROR(replica_.open_engine());
    enter(Phase::engine_opened);
    doing_ = Failure::observe;
    RETURN_IF_ERROR(observer_.state(replica_, SectionKind::state_before));
    enter(Phase::observed_before);
    notify();  // the driver compares while replay runs
    doing_ = Failure::replay;
    RETURN_IF_ERROR(replica_.replay());
    enter(Phase::replayed);
    return {};
  }

  Status show_after_replay() {
    doing_ = Failure::observe;
    RETURN_IF_ERROR(observer_.state(replica_, SectionKind::state_after));
    enter(Phase::observed_after);
    if (order_.check_reopen || order_.check_space) {
      doing_ = Failure::open_engine;
      RETURN_IF_ERROR(replica_.flush());
      RETURN_IF_ERROR(order_.check_space ? replica_.reclaim() : replica_.reopen());
      doing_ = Failure::observe;
      RETURN_IF_ERROR(observer_.state(replica_, SectionKind::state_reopened));
      if (order_.check_space) {
        RETURN_IF_ERROR(observer_.space(replica_));
      }
      enter(Phase::reopened);
    } else if (order_.flush_after_replay) {
      doing_ = Failure::replay;
      RETURN_IF_ERROR(replica_.flush());
      doing_ = Failure::observe;
    }
    RETURN_IF_ERROR(observer_.reads(replica_, order_.reads, order_.seed ^ order_.term));
    if (order_.check_backward) {
      RETURN_IF_ERROR(observer_.state(replica_, SectionKind::state_backward));
    }
    if (order_.check_integrity) {
      RETURN_IF_ERROR(observer_.integrity(replica_));
    }
    trigger_.at(Step::before_probe);
    RETURN_IF_ERROR(observer_.probe(replica_, order_.term));
    // The write may have hidden what the check did.
    return order_.check_integrity ? observer_.state(replica_, SectionKind::state_probed) : Status();
  }

  const wire::WorkerOrder& order_;
  const Shared& shared_;
  wire::FlightRecorder& recorder_;
  CrashTrigger trigger_;
  workloads::ObservationWriter writer_;
  Observer observer_;
  workloads::Generator generator_;
  Replica replica_;
  Failure doing_ = Failure::harness;
};

}  // namespace

int run_worker(const wire::WorkerOrder& order, const Shared& shared) {
  if (!order.conformance_check.empty()) {
    return run_conformance(order, shared);
  }
  if (order.migration.role != wire::MigrationRole::none) {
    return run_migration(order, shared);
  }
  auto owned = std::make_unique<Worker>(order, shared);
  Worker& worker = *owned;
  Status status;
  try {
    status = worker.run();
  } catch (const UsageError& error) {
    worker.fail(Failure::harness, error.what());
    return wire::kWorkerFailed;
  } catch (const EnvironmentError& error) {
    worker.fail(Failure::harness, error.what());
    return wire::kWorkerFailed;
  } catch (const std::bad_alloc& error) {
    worker.fail(Failure::harness, std::string("no memory is left: ") + error.what());
    return wire::kWorkerFailed;
  } catch (const std::exception& error) {  // thrown through the engine's functions, which return a Status
    worker.fail_as_doing(std::string("an exception was thrown: ") + error.what());
    return wire::kWorkerFailed;
  }
  worker.finish(status);
  if (worker.ends_at_once(status)) {
    (void)owned.release();  // the process ends now
  }
  return status.ok() ? 0 : wire::kWorkerFailed;
}

}  // namespace chaosgate::replica
