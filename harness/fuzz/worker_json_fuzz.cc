// What driver and worker say to each other as JSON: what was read is written and read again as the same.
#include "harness/base/check.h"
#include "harness/base/fill_fields_for_test.h"
#include "harness/base/json.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/json_mutant.h"
#include "harness/wire/engine_bench.h"
#include "harness/wire/order.h"

namespace chaosgate::fuzz {
namespace {

using nlohmann::json;

template <typename T>
std::string sample() {
  return json(with_all_fields_set<T>()).dump();
}

std::vector<std::string> seeds() {
  return {sample<wire::Hello>(), sample<wire::WorkerOrder>(), sample<wire::MigrationReport>(),
          sample<wire::LoadMeasured>(), sample<wire::RecoveryMeasured>()};
}

// Whether it is one. `member`: one that nothing else has.
template <typename T>
bool round_trip(const json& text, const char* member) {
  if (!text.contains(member)) {
    return false;
  }
  T value;
  try {
    value = text.get<T>();
  } catch (const json::exception&) {
    return false;
  }
  const std::string written = json(value).dump();
  CHECK(json(parse_json(written).get<T>()).dump() == written);
  return true;
}

Reach run(std::string_view bytes) {
  if (!json::accept(bytes)) {  // the same without an exception, which takes long
    return Reach::refused;
  }
  json text;
  try {
    text = parse_json(bytes);
  } catch (const json::exception&) {
    return Reach::refused;
  }
  const bool hello = round_trip<wire::Hello>(text, "conformance_checks");
  const bool order = round_trip<wire::WorkerOrder>(text, "check_reopen");
  const bool report = round_trip<wire::MigrationReport>(text, "peer_gone");
  const bool load = round_trip<wire::LoadMeasured>(text, "engine_us");
  const bool recovery = round_trip<wire::RecoveryMeasured>(text, "open_us");
  return hello || order || report || load || recovery ? Reach::accepted : Reach::verified;
}

}  // namespace

// A JSON value is large.
Target target() {
  Target target{"worker_json", seeds, nullptr, run, 1 << 20, 512};
  target.mutate = mutate_json_lines;
  return target;
}

}  // namespace chaosgate::fuzz
