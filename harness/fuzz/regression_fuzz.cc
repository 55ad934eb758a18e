// A file of regressions: each line that was read is written and read again as the same; a torn last line is
// left out, and nothing else is.
#include "harness/campaign/regressions.h"

#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/json_mutant.h"

namespace chaosgate::fuzz {
namespace {

using campaign::Regression;

constexpr const char* kEngine = "lmdb";

std::string text_of(const std::vector<Regression>& regressions) {
  std::string text;
  for (const Regression& regression : regressions) {
    text += campaign::regression_line(regression) + "\n";
  }
  return text;
}

std::vector<std::string> seeds() {
  Regression kill;
  kill.key.seed = 42;
  kill.engine = kEngine;
  kill.lane = 1;
  kill.cycle = 17;
  kill.plan = crash::plan_cycle({}, wire::Protocol::in_batch, 42, 1, 17);
  kill.invariant = "log.acked";
  Regression cut = kill;
  cut.power = {"ext4-ordered", 1000, 120};
  Regression group = kill;
  group.protocol = wire::Protocol::sidecar;
  group.lane = 5;
  group.group = {{"rocksdb", "rocksdb", kEngine}, campaign::ProtocolChoice::both, 1};
  std::string torn = text_of({kill, cut});
  torn.resize(torn.size() - 40);
  return {text_of({kill}), text_of({cut}), text_of({group}), torn};
}

Reach run(std::string_view bytes) {
  std::vector<Regression> read;
  std::size_t whole = 0;
  try {
    read = campaign::parse_regressions(bytes, "file", kEngine, &whole);
  } catch (const UsageError& error) {
    const std::string_view text = error.what();
    CHECK(text.starts_with("file:") && text.find('\n') == std::string_view::npos, "{}", text);
    return text.find("parse error") == std::string_view::npos ? Reach::verified : Reach::refused;
  }
  CHECK(whole <= bytes.size() && bytes.find('\n', whole) == std::string_view::npos);
  for (const Regression& regression : read) {
    CHECK(regression.engine == kEngine && campaign::wrong_with(regression.key).empty());
    campaign::needs_tap(regression);
  }
  const std::string again = text_of(read);
  std::size_t whole_again = 0;
  const std::string third = text_of(campaign::parse_regressions(again, "file", kEngine, &whole_again));
  CHECK(third == again && whole_again == again.size(), "'{}' and then '{}'", again, third);
  return read.empty() ? Reach::refused : Reach::accepted;
}

}  // namespace

// A JSON value is large.
Target target() {
  Target target{"regression", seeds, nullptr, run, 1 << 20, 512};
  target.mutate = mutate_json_lines;
  return target;
}

}  // namespace chaosgate::fuzz
