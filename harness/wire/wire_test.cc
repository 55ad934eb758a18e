#include <fcntl.h>
#include <unistd.h>

#include "harness/base/error.h"
#include "harness/base/test.h"
#include "harness/wire/channel.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/message.h"
#include "harness/wire/order.h"

using namespace chaosgate;
using namespace chaosgate::wire;

TEST_CASE("an order survives the wire unchanged") {
  WorkerOrder order;
  order.directory = "/tmp/lane";
  order.engine = "lmdb";
  order.seed = UINT64_MAX;
  order.protocol = Protocol::sidecar;
  order.load_crash = "during-flush#1+250us";
  order.schedule.forced = Chore::compact;
  order.schedule.forced_every = 77;
  order.migration.role = MigrationRole::importer;
  order.migration.keyspaces = {"first", "meta"};
  order.migration.flush_bytes = 4096;
  const auto back = nlohmann::json::parse(nlohmann::json(order).dump()).get<WorkerOrder>();
  CHECK(back.directory == order.directory);
  CHECK(back.seed == order.seed);
  CHECK(back.protocol == order.protocol);
  CHECK(back.load_crash == order.load_crash);
  CHECK(back.schedule == order.schedule);
  CHECK(back.migration == order.migration);
}

TEST_CASE("an order of an earlier build lacks what came later and means the default") {
  nlohmann::json json = WorkerOrder{};
  json["seed"] = 7;
  json["engine_bench"] = "load";
  CHECK(json.get<WorkerOrder>().engine_bench == EngineBench::load);
  json.erase("engine_bench");
  CHECK(json.get<WorkerOrder>().engine_bench == EngineBench::none);
  CHECK(json.get<WorkerOrder>().seed == 7);
}

TEST_CASE("a channel carries messages and descriptors, and says when the other end is gone") {
  auto [left, right] = Channel::make_pair();
  Channel sender(std::move(left));
  Channel receiver(std::move(right));
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK_FALSE(receiver.has_message());
  sender.send("with a descriptor", file.get());
  sender.send("without");
  CHECK(receiver.has_message());
  auto message = receiver.receive(1000);
  REQUIRE(message);
  CHECK(message->text == "with a descriptor");
  CHECK(::fcntl(message->fd.get(), F_GETFD) == FD_CLOEXEC);
  message = receiver.receive(1000);
  CHECK(message->text == "without");
  CHECK_FALSE(message->fd);
  CHECK_FALSE(receiver.has_message());
  CHECK_THROWS_AS(receiver.receive(1), EnvironmentError);
  { const Channel gone = std::move(sender); }
  CHECK_FALSE(receiver.has_message());
  CHECK_FALSE(receiver.receive(1000));
}

TEST_CASE("a reset flight recorder says nothing of the worker before") {
  auto recorder = std::make_unique<FlightRecorder>();
  recorder->phase = Phase::failed;
  recorder->appended = 7;
  recorder->step_count[3] = 9;
  recorder->message[0] = 'x';
  recorder->reset();
  CHECK(recorder->phase == Phase::starting);
  CHECK(recorder->appended == 0);
  CHECK(recorder->step_count[3] == 0);
  CHECK(recorder->message[0] == '\0');
}

TEST_CASE("a message survives the wire unchanged, and nothing shorter or longer is one") {
  Message message;
  message.kind = MessageKind::append;
  message.index = 41;
  message.term = 3;
  message.commit = UINT64_MAX;
  message.entries = {{3, "payload"}, {4, ""}, {4, std::string("\0x", 2)}};
  message.bytes = "bytes";
  const std::string bytes = encode(message);
  Message back;
  REQUIRE(decode(bytes, &back).ok());
  CHECK(back == message);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode(std::string_view(bytes).substr(0, size), &back).ok());
  }
  CHECK_FALSE(decode(bytes + "x", &back).ok());
  CHECK_FALSE(decode(std::string(1, '\x2a') + bytes.substr(1), &back).ok());
}
