#include "harness/tap/tap.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/tap/call.h"
#include "harness/tap/decider.h"
#include "harness/tap/listener.h"
#include "harness/tap/lost_pages.h"

namespace chaosgate::tap {

namespace {

constexpr std::uint64_t kNeverReturned = UINT64_MAX;

}  // namespace

struct Tap::State {
  explicit State(TapOptions given) : options(std::move(given)), files(options.directory, options.rules) {
    trace.base = files.entries();
  }

  std::uint32_t number_of(std::map<pid_t, std::uint32_t>* numbers, pid_t id) {
    return numbers->emplace(id, numbers->size()).first->second;
  }

  TapOptions options;
  FileTable files;
  Trace trace;
  std::uint64_t clock = 0;  // of TraceRecord::begin and end
  std::map<pid_t, std::uint32_t> threads;
  std::map<pid_t, std::uint32_t> processes;
};

// One worker, from attach() to detach(). Everything but the constructor and finish() is on the supervising
// thread.
class Tap::Session {
 public:
  Session(State& state, Worker worker)
      : state_(state),
        worker_(std::move(worker)),
        listener_(std::move(worker_.listener)),
        decider_(std::move(worker_.faults)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!stop_) {
      throw_errno("eventfd");
    }
    main_ = processes_.emplace(worker_.pid, RemoteProcess(worker_.pid, std::move(worker_.pidfd))).first;
    groups_.emplace(worker_.pid, worker_.pid);
    thread_ = std::thread([this] { supervise(); });
  }

  ~Session() {
    if (thread_.joinable()) {
      stop();
      thread_.join();
    }
  }

  void replace_faults(std::vector<StorageFault> faults) {
    const std::lock_guard lock(mutex_);
    decider_ = Decider(std::move(faults));
  }

  TapEnd finish() {
    stop();
    thread_.join();
    if (error_) {
      std::rethrow_exception(error_);
    }
    state_.trace.last = worker_.look().indexes;
    old_pages_.restore();
    return std::move(end_);
  }

 private:
  using Act = Decision::Act;

  struct Waiting {
    seccomp_notif call;
    std::uint64_t begin;
  };

  void stop() {
    const std::uint64_t one = 1;
    CHECK(::write(stop_.get(), &one, sizeof one) == sizeof one);
  }

  void supervise() {
    try {
      while (take_calls(waiting_.empty())) {
        if (!waiting_.empty()) {
          const Waiting next = waiting_.front();
          waiting_.pop_front();
          if (!handle(next)) {
            break;
          }
        }
      }
    } catch (...) {
      error_ = std::current_exception();
    }
    // A child that outlived the worker must not write any more, and nobody would answer it.
    for (const auto& [pid, process] : processes_) {
      process.kill();
    }
  }

  // Receives all calls that wait: those that started before the next one returns are concurrent with it.
  // False when the worker is gone.
  bool take_calls(bool wait) {
    for (;; wait = false) {
      pollfd events[] = {{listener_.fd(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      const int count = ::poll(events, 2, wait ? -1 : 0);
      if (count < 0) {
        if (errno == EINTR) {
          continue;
        }
        throw_errno("poll a listener");
      }
      if (count == 0) {
        return true;
      }
      // After POLLHUP there is nobody left; on stop the worker is dead, and its last calls with it.
      if (events[1].revents != 0 || (events[0].revents & POLLIN) == 0) {
        return false;
      }
      Waiting next{};
      if (listener_.receive(&next.call)) {
        next.begin = ++state_.clock;
        waiting_.push_back(next);
      }
    }
  }

  const RemoteProcess& process_of(pid_t thread) {
    auto group = groups_.find(thread);
    if (group == groups_.end()) {
      RemoteProcess process = RemoteProcess::of_thread(thread);
      group = groups_.emplace(thread, process.pid()).first;
      processes_.emplace(group->second, std::move(process));
    }
    return processes_.at(group->second);
  }

  // False when the worker was killed.
  bool handle(const Waiting& waiting) {
    const std::uint64_t id = waiting.call.id;
    if (state_.options.hand_over_only) {
      listener_.let_through(id);
      return true;
    }
    const pid_t thread = static_cast<pid_t>(waiting.call.pid);
    const RemoteProcess& process = process_of(thread);
    const std::lock_guard lock(mutex_);
    std::optional<Call> call =
        read_call(waiting.call, process, state_.files, state_.options.volatile_files, &mappings_);
    if (!call) {
      return true;
    }
    switch (call->kind) {
      case Call::Kind::ignore:
        listener_.let_through(id);
        return true;
      case Call::Kind::map:
        end_.refusal = call->record.path +
                       " is mapped writable: what is stored there cannot be seen, and the engine's contract "
                       "does not list it as volatile";
        kill(process);
        return false;
      case Call::Kind::refuse:
        complete(&*call, waiting, process);
        listener_.fail(id, call->refusal_error);
        add(*call, ++state_.clock);
        return true;
      case Call::Kind::storage:
        complete(&*call, waiting, process);
        return perform(&*call, id, process);
    }
    return true;
  }

  void complete(Call* call, const Waiting& waiting, const RemoteProcess& process) {
    const Moment moment = worker_.look();
    TraceRecord& record = call->record;
    record.begin = waiting.begin;
    record.thread = state_.number_of(&state_.threads, static_cast<pid_t>(waiting.call.pid));
    record.process = state_.number_of(&state_.processes, process.pid());
    record.indexes = moment.indexes;
    record.phase = moment.phase;
    record.informational = state_.files.is_informational(record.file_class);
  }

  bool perform(Call* call, std::uint64_t id, const RemoteProcess& process) {
    TraceRecord& record = call->record;
    const Decision decision = decider_.decide(record);
    if (decision.act == Act::kill_before) {
      kill_as_ordered(decision, process, record);
      return false;
    }
    if (decision.act == Act::fail) {
      fail(call, decision);
      listener_.fail(id, decision.error);
      add(*call, ++state_.clock);
      return true;
    }
    const std::int64_t result = carry_out_call(call, decision);
    if (decision.act == Act::kill_after) {
      kill_as_ordered(decision, process, record);
      record.injected = record.call == StorageCall::write && record.length < record.requested;
      add(*call, kNeverReturned);
      return false;
    }
    record.injected = decision.act == Act::cut_short;
    bool returned = true;
    if (result < 0) {
      returned = listener_.fail(id, static_cast<int>(-result));
    } else if (call->opened) {
      returned = listener_.answer_with_fd(id, call->opened.get(), (call->open_flags & O_CLOEXEC) != 0);
    } else {
      returned = listener_.answer(id, result);
    }
    add(*call, returned ? ++state_.clock : kNeverReturned);
    return true;
  }

  std::int64_t carry_out_call(Call* call, const Decision& decision) {
    TraceRecord& record = call->record;
    const bool write = record.call == StorageCall::write;
    const std::uint64_t bytes = decision.act == Act::carry_out ? record.requested : decision.bytes;
    if (write && decider_.needs_old_pages()) {
      old_pages_.before_write(record.inode, call->file.get(), record.offset, bytes);
    }
    const std::int64_t result = carry_out(call, bytes, state_.options.sync_disk, &state_.files);
    if (result < 0) {
      record.error = static_cast<std::uint32_t>(-result);
      record.size_after = record.size_before;
    } else if (record.call == StorageCall::sync || record.call == StorageCall::datasync) {
      old_pages_.synced(record.inode);
    } else if (write && record.write_through) {
      old_pages_.written_through(record.inode, record.offset, record.length);
    }
    decider_.happened(record);
    return result;
  }

  void fail(Call* call, const Decision& decision) {
    TraceRecord& record = call->record;
    record.error = static_cast<std::uint32_t>(decision.error);
    record.injected = true;
    record.length = 0;
    record.size_after = record.size_before;
    record.payload.clear();
    if (decision.loses_pages) {
      old_pages_.lost(record.inode);
    }
  }

  void add(Call& call, std::uint64_t end) {
    TraceRecord& record = call.record;
    record.end = end;
    if (record.injected && end != kNeverReturned) {
      end_.faulted.push_back(state_.trace.records.size());
    }
    if (!state_.options.keep_payloads) {
      record.payload = std::string();
    }
    state_.trace.records.push_back(std::move(record));
  }

  void kill_as_ordered(const Decision& decision, const RemoteProcess& process, const TraceRecord& record) {
    end_.killed_by = decision.fault;
    end_.killed_call = record;
    end_.killed_call->payload.clear();
    worker_.before_kill();
    kill(process);
  }

  void kill(const RemoteProcess& process) {
    process.kill();
    main_->second.kill();
  }

  State& state_;
  Worker worker_;
  Listener listener_;
  std::mutex mutex_;  // guards decider_ against replace_faults()
  Decider decider_;
  UniqueFd stop_;
  std::map<pid_t, RemoteProcess> processes_;
  std::map<pid_t, RemoteProcess>::iterator main_;
  std::map<pid_t, pid_t> groups_;  // thread -> process
  std::deque<Waiting> waiting_;
  Mappings mappings_;
  LostPages old_pages_;
  TapEnd end_;
  std::exception_ptr error_;
  std::thread thread_;
};

Tap::Tap(TapOptions options) : state_(std::make_unique<State>(std::move(options))) {}

Tap::~Tap() = default;

void Tap::attach(Worker worker) {
  CHECK(!attached());
  session_ = std::make_unique<Session>(*state_, std::move(worker));
}

bool Tap::attached() const { return session_ != nullptr; }

void Tap::replace_faults(std::vector<StorageFault> faults) {
  CHECK(attached());
  session_->replace_faults(std::move(faults));
}

TapEnd Tap::detach() {
  CHECK(attached());
  const std::unique_ptr<Session> session = std::move(session_);
  return session->finish();
}

const Trace& Tap::trace() const { return state_->trace; }

Trace Tap::take_trace() {
  CHECK(!attached());
  Trace taken = std::move(state_->trace);
  state_ = std::make_unique<State>(std::move(state_->options));
  return taken;
}

std::vector<TraceRecord> Tap::take_records() {
  CHECK(!attached());
  return std::exchange(state_->trace.records, {});
}

const FileTable& Tap::files() const { return state_->files; }

}  // namespace chaosgate::tap
