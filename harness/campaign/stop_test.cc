#include "harness/campaign/stop.h"

#include <poll.h>
#include <unistd.h>

#include <csignal>

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::campaign;

namespace {

// Blocks the signals, so that they wait for who reads them.
void send_all(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  REQUIRE(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  for (const int signal : signals) {
    REQUIRE(::kill(::getpid(), signal) == 0);
  }
}

int signal_of(StopSignal& stop) {
  pollfd readable{stop.fd(), POLLIN, 0};
  REQUIRE(::poll(&readable, 1, 30'000) == 1);
  return stop.signal();
}

}  // namespace

TEST_CASE("signals that come together are one: timeout(1) sends two") {
  send_all({SIGINT, SIGTERM, SIGHUP});
  StopSignal stop;
  CHECK(signal_of(stop) != 0);  // and this process lives
}

TEST_CASE("a closed terminal is like SIGTERM") {
  StopSignal stop;
  CHECK_FALSE(stop.requested());
  send_all({SIGHUP});
  CHECK(signal_of(stop) == SIGTERM);
}

TEST_CASE("a program that was started to outlive its terminal does") {
  REQUIRE(::signal(SIGHUP, SIG_IGN) != SIG_ERR);
  {
    StopSignal stop;
    send_all({SIGHUP, SIGTERM});
    CHECK(signal_of(stop) == SIGTERM);
  }
  REQUIRE(::signal(SIGHUP, SIG_DFL) != SIG_ERR);
}
