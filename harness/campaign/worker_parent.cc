#include "harness/campaign/worker_parent.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/process/v2.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>
#include <utility>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/campaign/limits.h"
#include "harness/tap/listener.h"

namespace chaosgate::campaign {

namespace bp = boost::process::v2;

namespace {

constexpr int kAnswerTimeoutMs = 30'000;
constexpr int kDescribeTimeoutMs = 15'000;  // for each plugin; the worker program's own bound is shorter

UniqueFd make_memfd(const char* name, std::size_t size) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    throw_errno(std::string("make shared memory ") + name);
  }
  return fd;
}

// "123 (chaosgate-worke) T 122 ...": the name may hold anything, so the state is behind the last bracket.
bool is_stopped_process(pid_t pid) {
  std::string stat;
  if (!read_file(fmt::format("/proc/{}/stat", pid), &stat).ok()) {
    return false;
  }
  const std::size_t bracket = stat.rfind(')');
  const char state = bracket != std::string::npos && bracket + 2 < stat.size() ? stat[bracket + 2] : '?';
  return state == 'T' || state == 't';
}

// Sets an eventfd back to zero, without waiting.
void drain(int eventfd) {
  pollfd readable{eventfd, POLLIN, 0};
  std::uint64_t count = 0;
  if (::poll(&readable, 1, 0) == 1) {
    CHECK(::read(eventfd, &count, sizeof count) == sizeof count);
  }
}

}  // namespace

// Gives the child the descriptors it expects, by number. An initializer of Boost.Process's launcher; its own
// bind_fd is not usable in 1.81 (on_setup() returns nothing).
class BindFds {
 public:
  using Launcher = bp::posix::default_launcher;

  BindFds(std::initializer_list<std::pair<int, int>> targets_and_sources) {
    for (const auto& [target, source] : targets_and_sources) {
      // Out of the way of all targets, so that no dup2() below overwrites a source.
      UniqueFd copy(::fcntl(source, F_DUPFD_CLOEXEC, 64));
      if (!copy) {
        throw_errno("duplicate a descriptor");
      }
      bindings_.emplace_back(target, std::move(copy));
    }
  }

  boost::system::error_code on_setup(Launcher& launcher, const bp::filesystem::path&, const char* const*) {
    for (const auto& [target, source] : bindings_) {
      launcher.fd_whitelist.push_back(target);
    }
    return {};
  }

  // Between fork and exec.
  boost::system::error_code on_exec_setup(Launcher&, const bp::filesystem::path&, const char* const*) {
    for (const auto& [target, source] : bindings_) {
      if (::dup2(source.get(), target) < 0) {
        return {errno, boost::system::system_category()};
      }
    }
    return {};
  }

 private:
  std::vector<std::pair<int, UniqueFd>> bindings_;
};

// The one place that starts a program.
class WorkerParent::Process {
 public:
  Process(const std::filesystem::path& program, const std::vector<std::string>& arguments, int output,
          BindFds fds)
      : process_(context_, program.string(), arguments, bp::process_stdio{nullptr, output, output},
                 std::move(fds)) {}
  ~Process() {
    boost::system::error_code ignored;
    process_.terminate(ignored);
    process_.wait(ignored);
  }
  pid_t id() { return process_.id(); }

 private:
  boost::asio::io_context context_;
  bp::process process_;
};

bool Exit::by_sigkill() const { return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL; }

bool Exit::clean() const { return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0; }

std::string Exit::describe() const {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    return fmt::format("killed by signal {} ({}){}", signal, ::strsignal(signal),
                       signal == SIGKILL
                           ? ", which chaosgate did not send: the kernel's OOM killer is a candidate "
                             "(its log says so), or somebody's kill -9"
                           : "");
  }
  return fmt::format("exited with status {}", WEXITSTATUS(wait_status));
}

void* WorkerParent::map(int fd, std::size_t size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (memory == MAP_FAILED) {
    throw_errno("map shared memory");
  }
  return memory;
}

WorkerParent::WorkerParent(const std::filesystem::path& program, const std::vector<std::string>& plugins,
                           const std::filesystem::path& output_file, StopSignal* stop)
    : stop_(stop),
      recorder_fd_(make_memfd("chaosgate-flight-recorder", sizeof(wire::FlightRecorder))),
      observation_fd_(make_memfd("chaosgate-observations", wire::kObservationCapacity)),
      notice_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      go_fd_(::eventfd(0, EFD_CLOEXEC)) {
  recorder_ = static_cast<wire::FlightRecorder*>(map(recorder_fd_.get(), sizeof(wire::FlightRecorder)));
  observations_ = static_cast<char*>(map(observation_fd_.get(), wire::kObservationCapacity));
  const UniqueFd output(::open(output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!output) {
    throw_errno("create " + output_file.string());
  }
  if (::access(program.c_str(), X_OK) != 0) {
    throw_errno("start " +
                program.string());  // after a failed exec, Boost.Process 1.81 leaves an unreaped child
  }
  std::vector<std::string> arguments = {"--serve"};
  arguments.insert(arguments.end(), plugins.begin(), plugins.end());
  auto [ours, theirs] = wire::Channel::make_pair();
  auto [tap_ours, tap_theirs] = wire::Channel::make_pair();
  try {
    process_ = std::make_unique<Process>(program, arguments, output.get(),
                                         BindFds{{wire::kControlFd, theirs.get()},
                                                 {wire::kRecorderFd, recorder_fd_.get()},
                                                 {wire::kObservationFd, observation_fd_.get()},
                                                 {wire::kNoticeFd, notice_fd_.get()},
                                                 {wire::kGoFd, go_fd_.get()},
                                                 {wire::kTapFd, tap_theirs.get()}});
  } catch (const boost::system::system_error& error) {
    throw EnvironmentError(fmt::format("start {}: {}{}", program.string(), error.code().message(),
                                       limit_behind(error.code().value())));
  }
  theirs.reset();
  tap_theirs.reset();
  control_.emplace(std::move(ours));
  listeners_.emplace(std::move(tap_ours));
  const auto greeting =
      control_->receive(kAnswerTimeoutMs + static_cast<int>(plugins.size()) * kDescribeTimeoutMs);
  if (!greeting) {
    throw EnvironmentError(fmt::format("{} ended without a greeting", program.string()));
  }
  try {
    hello_ = parse_json(greeting->text).get<wire::Hello>();
  } catch (const nlohmann::json::exception& error) {
    throw EnvironmentError(
        fmt::format("{} greets with something else: {}", program.string(), json_complaint(error.what())));
  }
  if (hello_.tap_unavailable.empty()) {
    // Its workers are copies of it: what may not be read of it may not be read of them.
    hello_.tap_unavailable = tap::RemoteProcess::why_unreadable(process_->id());
  }
  if (stop_ != nullptr) {
    stop_->add_process(process_->id());  // last: a constructor that throws has no destructor to take it back
  }
}

WorkerParent::~WorkerParent() {
  if (pidfd_) {
    kill();
    try {
      if (!silent_) {
        reap();  // so that it is gone, and no longer writes, when this returns
      }
    } catch (const std::exception&) {
      // The parent is gone, and its worker with it.
    }
  }
  control_.reset();
  if (stop_ != nullptr && process_) {
    stop_->remove_process(process_->id());
  }
  process_.reset();
  ::munmap(recorder_, sizeof(wire::FlightRecorder));
  ::munmap(observations_, wire::kObservationCapacity);
}

std::string_view WorkerParent::observations() const { return {observations_, recorder_->published()}; }

void WorkerParent::start(const wire::WorkerOrder& order, tap::Tap* tap, std::vector<tap::StorageFault> faults,
                         int stream) {
  CHECK(!running());
  CHECK(!order.tap || tap != nullptr);
  tap_end_ = {};
  recorder_->reset();
  drain(notice_fd_.get());
  drain(go_fd_.get());  // a worker may die before it has read the word
  network_.reset();
  UniqueFd theirs;
  if (order.follow) {
    auto [ours, end] = wire::Channel::make_pair();
    network_.emplace(std::move(ours));
    theirs = std::move(end);
    stream = theirs.get();
  }
  control_->send(nlohmann::json(order).dump(), stream);
  theirs.reset();
  wire::Channel::Message started = answer();
  if (!started.fd) {
    throw EnvironmentError(fmt::format("start a worker: {}{}",
                                       parse_json(started.text).at("error").get<std::string>(),
                                       limit_behind(EAGAIN)));
  }
  pidfd_ = std::move(started.fd);
  worker_ = parse_json(started.text).at("pid");
  if (order.tap) {
    tap_ = tap;
    attach(worker_, std::move(faults));
  }
}

void WorkerParent::attach(pid_t pid, std::vector<tap::StorageFault> faults) {
  // The worker sends its listener first of all, or dies.
  pollfd waits[] = {{listeners_->fd(), POLLIN, 0}, {pidfd_.get(), POLLIN, 0}};
  while (::poll(waits, 2, kAnswerTimeoutMs) < 0 && errno == EINTR) {
  }
  auto greeting = waits[0].revents != 0 ? listeners_->receive(0) : std::nullopt;
  if (!greeting || !greeting->fd) {
    tap_ = nullptr;  // its death will be reported as what it is
    return;
  }
  tap::Tap::Worker worker;
  worker.listener = std::move(greeting->fd);
  worker.pid = pid;
  worker.pidfd = UniqueFd(::fcntl(pidfd_.get(), F_DUPFD_CLOEXEC, 0));
  worker.faults = std::move(faults);
  worker.look = [this] {
    const wire::FlightRecorder& r = *recorder_;
    return tap::Moment{{r.appended, r.synced, r.applied, r.flushed, r.term}, wire::protocol_phase(r)};
  };
  worker.before_kill = [this] { recorder_->crash_ordered = 1; };
  try {
    tap_->attach(std::move(worker));
  } catch (const std::system_error& error) {  // it runs on a thread of its own
    tap_ = nullptr;
    throw EnvironmentError(
        fmt::format("start a thread: {}{}", error.code().message(), limit_behind(error.code().value())));
  }
}

WorkerParent::Event WorkerParent::wait(wire::AwakeBound* bound, std::uint64_t until_ns) {
  CHECK(running());
  for (;;) {
    pollfd waits[] = {{pidfd_.get(), POLLIN, 0},
                      {notice_fd_.get(), POLLIN, 0},
                      {stop_ != nullptr ? stop_->fd() : -1, POLLIN, 0}};
    const std::uint64_t begin = wire::monotonic_ns();
    const std::uint64_t left = std::min(until_ns > begin ? until_ns - begin : 0, bound->next_wait_ns());
    const timespec timeout{static_cast<time_t>(left / 1'000'000'000),
                           static_cast<long>(left % 1'000'000'000)};
    const int count = ::ppoll(waits, 3, &timeout, nullptr);
    if (count < 0 && errno != EINTR) {
      throw_errno("poll");
    }
    const std::uint64_t now = wire::monotonic_ns();
    const bool overdue = bound->look(now);
    if (count <= 0) {
      if (now >= until_ns) {
        return Event::due;
      }
      if (overdue) {
        return Event::overdue;
      }
      continue;
    }
    if (waits[0].revents != 0) {
      return Event::death;
    }
    if (waits[1].revents != 0) {
      drain(notice_fd_.get());
      return Event::notice;
    }
    return Event::stop;
  }
}

bool WorkerParent::is_stopped() const {
  CHECK(running());
  return is_stopped_process(worker_);
}

wire::Channel::Message WorkerParent::answer() {
  constexpr int kStoppedLooks = 20;  // 100 ms each: a Ctrl-Z stops us, too, and ends for both at once
  wire::AwakeBound bound(kAnswerTimeoutMs);
  int stopped = 0;
  pollfd readable{control_->fd(), POLLIN, 0};
  while (::poll(&readable, 1, static_cast<int>(bound.next_wait_ns() / 1'000'000)) <= 0) {
    stopped = is_stopped_process(process_->id()) ? stopped + 1 : 0;
    silent_ = stopped >= kStoppedLooks || bound.look(wire::monotonic_ns());
    if (silent_) {
      throw EnvironmentError(
          fmt::format("the worker parent, process {}, {}", process_->id(),
                      stopped > 0 ? "was stopped by somebody (SIGSTOP)" : "does not answer"));
    }
  }
  auto message = control_->receive(0);
  if (!message) {
    silent_ = true;
    throw EnvironmentError(
        "the worker parent ended: the kernel's OOM killer is a candidate, or somebody's kill -9");
  }
  return std::move(*message);
}

void WorkerParent::go(std::vector<tap::StorageFault> faults) {
  if (tap_ != nullptr) {
    tap_->replace_faults(std::move(faults));
  }
  const std::uint64_t one = 1;
  CHECK(::write(go_fd_.get(), &one, sizeof one) == sizeof one);
}

bool WorkerParent::kill() {
  CHECK(running());
  return ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0) == 0;
}

Exit WorkerParent::reap() {
  CHECK(running());
  control_->send(R"({"reap": true})");
  const wire::Channel::Message ended = answer();
  pidfd_.reset();
  if (tap_ != nullptr) {
    tap::Tap* const tap = std::exchange(tap_, nullptr);
    tap_end_ = tap->detach();
  }
  const auto json = parse_json(ended.text);
  return {json.at("wait_status"), json.at("rss_max_kib"), json.at("cpu_us")};
}

}  // namespace chaosgate::campaign
