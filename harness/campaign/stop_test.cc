#include "harness/campaign/stop.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>
#include <vector>

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::campaign;

namespace {

// Signals that wait for who reads them, and are forgotten in the end.
class Sent {
 public:
  explicit Sent(std::initializer_list<int> signals) : signals_(signals) {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : signals_) {
      sigaddset(&set, signal);
    }
    REQUIRE(::pthread_sigmask(SIG_BLOCK, &set, &before_) == 0);
    for (const int signal : signals_) {
      REQUIRE(::kill(::getpid(), signal) == 0);
    }
  }
  ~Sent() {
    for (const int signal : signals_) {
      ::signal(signal, SIG_IGN);  // what still waits goes
      ::signal(signal, SIG_DFL);
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  Sent(const Sent&) = delete;
  Sent& operator=(const Sent&) = delete;

 private:
  std::vector<int> signals_;
  sigset_t before_{};
};

int signal_of(StopSignal& stop) {
  pollfd readable{stop.fd(), POLLIN, 0};
  REQUIRE(::poll(&readable, 1, 30'000) == 1);
  return stop.signal();
}

}  // namespace

TEST_CASE("signals that come together are one: timeout(1) sends two") {
  const Sent sent({SIGINT, SIGTERM, SIGHUP});
  StopSignal stop;
  CHECK(signal_of(stop) != 0);  // and this process lives
}

TEST_CASE("a closed terminal is like SIGTERM") {
  StopSignal stop;
  CHECK_FALSE(stop.requested());
  const Sent sent({SIGHUP});
  CHECK(signal_of(stop) == SIGTERM);
}

TEST_CASE("a program that was started to outlive its terminal does") {
  REQUIRE(::signal(SIGHUP, SIG_IGN) != SIG_ERR);
  const Sent sent({SIGHUP});
  StopSignal stop;
  CHECK_FALSE(stop.requested());
  const Sent later({SIGINT});
  CHECK(signal_of(stop) == SIGINT);
}
