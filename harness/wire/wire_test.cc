#include <fcntl.h>
#include <unistd.h>

#include "harness/base/error.h"
#include "harness/base/fill_fields_for_test.h"
#include "harness/base/test.h"
#include "harness/wire/awake_bound.h"
#include "harness/wire/channel.h"
#include "harness/wire/engine_bench.h"
#include "harness/wire/flight_recorder.h"
#include "harness/wire/message.h"
#include "harness/wire/order.h"

using namespace chaosgate;
using namespace chaosgate::wire;

namespace {

// Every field set, to JSON, and back.
template <typename T>
void check_round_trip() {
  const T sent = with_all_fields_set<T>();
  INFO(nlohmann::json(sent).dump());
  CHECK_FALSE(same_fields(sent, T{}));
  CHECK(same_fields(nlohmann::json::parse(nlohmann::json(sent).dump()).get<T>(), sent));
}

}  // namespace

TEST_CASE("what travels between driver and worker arrives with every field") {
  check_round_trip<Schedule>();
  check_round_trip<WorkerOrder>();
  check_round_trip<FileClassDescription>();
  check_round_trip<EngineDescription>();
  check_round_trip<FaultDescription>();
  check_round_trip<Hello>();
  check_round_trip<MigrationOrder>();
  check_round_trip<MigratedKeyspace>();
  check_round_trip<MigrationReport>();
  check_round_trip<LoadMeasured>();
  check_round_trip<RecoveryMeasured>();
}

TEST_CASE("a list of fields that is too short, too long or repeats a name is noticed") {
  static_assert(count_names("a") == 1);
  static_assert(count_names("a, b,c") == 3);
  static_assert(!repeats_a_name("a, b, ab"));
  static_assert(repeats_a_name("a, b, a"));
  static_assert(repeats_a_name("a,b,b"));
  static_assert(repeats_a_name("scratch, found, keys, scratch"));
  // A field that does not come back is seen.
  MigrationReport report = with_all_fields_set<MigrationReport>();
  nlohmann::json json = report;
  for (const auto& [name, value] : json.items()) {
    INFO(name);
    nlohmann::json cut = json;
    cut[name] = nlohmann::json(MigrationReport{})[name];
    CHECK_FALSE(same_fields(cut.get<MigrationReport>(), report));
  }
}

TEST_CASE("a bound is used up by the time in which this process looked, not while it slept") {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  std::uint64_t now = 5 * kSecond;
  AwakeBound bound(60'000, now);
  CHECK(bound.next_wait_ns() == AwakeBound::kLookEveryNs);
  now += 61 * kSecond;  // SIGSTOP, or a laptop that was shut
  CHECK_FALSE(bound.look(now));
  for (int i = 1; i < 59; ++i) {
    now += kSecond;
    CHECK_FALSE(bound.look(now));
  }
  now += kSecond - 50'000'000;
  CHECK_FALSE(bound.look(now));
  CHECK(bound.next_wait_ns() == 50'000'000);
  CHECK(bound.look(now + 50'000'000));
  CHECK(bound.used_up());
  bound.restart();
  CHECK_FALSE(bound.used_up());
  AwakeBound brief(1000, now);
  CHECK_FALSE(brief.look(now + 61 * kSecond));
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

TEST_CASE("a flight recorder that an engine wrote into is read as it is") {
  auto recorder = std::make_unique<FlightRecorder>();
  recorder->reset();
  recorder->phase = static_cast<Phase>(kPhaseCount);
  recorder->failure = static_cast<Failure>(UINT32_MAX);
  recorder->step = UINT32_MAX;
  recorder->observation_bytes = kObservationCapacity + 1;
  recorder->message.fill('x');
  CHECK(to_string(recorder->phase) == "unknown");
  CHECK(to_string(recorder->failure) == "unknown");
  CHECK(protocol_phase(*recorder) == "end");
  CHECK(recorder->published() == kObservationCapacity);
  CHECK(recorder->said() == std::string(recorder->message.size(), 'x'));
  recorder->say("why");
  CHECK(recorder->said() == "why");
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
