// Bundles and regressions that somebody made by hand: a clear error, and nothing of it is used.
#include <chrono>

#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/base/rng.h"
#include "harness/campaign/bundle.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/lane.h"
#include "harness/campaign/minimize.h"
#include "harness/campaign/power.h"
#include "harness/campaign/raw_bundle_for_test.h"
#include "harness/campaign/regressions.h"
#include "harness/campaign/replay.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::campaign;

namespace fs = std::filesystem;

namespace {

TempDir hostile_directory() { return {fs::temp_directory_path(), "chaosgate-hostile-test-"}; }

struct Found {
  Bundle bundle;
  fs::path image;
};

// A finding of a planted fault, and its image in `directory`.
Found find(const fs::path& directory) {
  LaneOptions options;
  options.key.seed = 3;
  options.key.fault = "half-batch";
  options.engine = "lmdb";
  options.worker = CHAOSGATE_WORKER;
  options.directory = directory / "lane";
  Lane lane(options, nullptr);
  for (;;) {
    const report::CycleEvent event = lane.run_cycle(false);
    if (lane.evidence()) {
      fs::copy(lane.evidence()->image, directory / "image", fs::copy_options::recursive);
      return {lane.bundle(event), directory / "image"};
    }
  }
}

// The bundle of a power cut, in `file`.
void find_power_cut(const fs::path& directory, const fs::path& file) {
  PowerOptions options;
  options.key.seed = 5;
  options.key.workload = "small";
  options.key.fault = "dir-never-synced";
  options.key.plan.free_running = false;
  options.engine = "lmdb";
  options.profile = disk::named_profile("strict");
  options.images_per_load = 60;
  options.stop_at_first = true;
  options.worker = CHAOSGATE_WORKER;
  options.directory = directory / "lane";
  PowerLane lane(options, nullptr);
  lane.explorer().on_failure = [&](const PowerFailure& failure, report::PowerFinding* finding) {
    write_bundle(lane.explorer().bundle(failure), failure.image, {}, file, &failure.power);
    finding->bundle = file.string();
  };
  while (!fs::exists(file) && lane.tally().judged < 400 && lane.run_load(400)) {
  }
  REQUIRE(fs::exists(file));
}

// Without an image.
Bundle empty_bundle() {
  Bundle bundle;
  bundle.recovery.order.engine = "lmdb";
  bundle.recovery.order.workload = bundle.key.workload;
  bundle.recovery.order.seed = bundle.key.seed;
  bundle.recovery.order.term = 1;
  bundle.recovery.order.segment_bytes = bundle.key.segment_bytes;
  bundle.plan = crash::plan_cycle({}, wire::Protocol::in_batch, 1, 0, 0);
  return bundle;
}

// Reads bundles into directories that are empty each time.
class Inbox {
 public:
  explicit Inbox(const fs::path& directory) : directory_(directory) {}

  fs::path image() const { return directory_ / "in" / "image"; }
  fs::path base() const { return directory_ / "in" / "base"; }

  Bundle read(const RawBundle& raw) {
    const fs::path file = directory_ / "raw.tar.zst";
    raw.save(file);
    fs::remove_all(directory_ / "in");
    fs::create_directories(image());
    fs::create_directories(base());
    return read_bundle(file, image(), base());
  }
  // What it is refused with; nothing was unpacked then. Empty: it is read.
  std::string refusal(const RawBundle& raw) {
    try {
      read(raw);
    } catch (const UsageError& error) {
      REQUIRE(fs::is_empty(image()));
      REQUIRE(fs::is_empty(base()));
      return error.what();
    }
    return {};
  }

 private:
  fs::path directory_;
};

// Another value in the place of this one.
nlohmann::json another(const nlohmann::json& value, Rng& rng) {
  static const std::vector<std::uint64_t> numbers = {
      0, 1, 2, 31, 32, 255, 4096, 65'536, UINT32_MAX, std::uint64_t{1} << 62, UINT64_MAX};
  static const std::vector<std::string> texts = {
      "",        "x",          "../../x",     "/x",    std::string(300, 'x'), "lmdb",          "none",
      "sidecar", "half-batch", "a\n\x1b[31m", "churn", "kubernetes",          "before-flush#1"};
  if (rng.chance(1, 8)) {
    return nlohmann::json::array({nullptr, -3});
  }
  if (value.is_boolean()) {
    return !value.get<bool>();
  }
  if (value.is_number()) {
    return numbers.at(rng.below(numbers.size()));
  }
  if (value.is_string() && rng.chance(1, 2)) {
    std::string text = value;
    if (!text.empty()) {
      text[rng.below(text.size())] = "0123456789=,#?/:x "[rng.below(18)];
    }
    return text;
  }
  return texts.at(rng.below(texts.size()));
}

// A number of a member that ends with the hash64 of the rest.
void change_number(std::string* bytes, std::size_t end, Rng& rng) {
  static const std::vector<std::uint64_t> numbers = {0,         1, 2, 300, UINT32_MAX, std::uint64_t{1} << 62,
                                                     UINT64_MAX};
  bytes->resize(bytes->size() - sizeof(std::uint64_t));
  std::string number;
  put_u64(&number, numbers.at(rng.below(numbers.size())));
  const std::size_t width = rng.chance(1, 2) ? 8 : rng.chance(1, 2) ? 4 : 1;
  const std::size_t begin = 24;
  bytes->replace(begin + rng.below(std::min(end, bytes->size()) - begin - width), width, number, 0, width);
  put_u64(bytes, hash64(*bytes));
}

void mutate(RawBundle* raw, Rng& rng) {
  const bool power = raw->head.contains("power_cut");
  switch (rng.weighted({6, 3, 1, power ? 5U : 0U})) {
    case 0: {
      nlohmann::json flat = raw->head.flatten();
      std::vector<std::string> places;
      for (const auto& [place, value] : flat.items()) {
        if (!place.starts_with("/members") && place != "/sha256" && place != "/format_version") {
          places.push_back(place);
        }
      }
      const std::string place = places.at(rng.below(places.size()));
      raw->head[nlohmann::json::json_pointer(place)] = another(flat.at(place), rng);
      break;
    }
    case 1:
      change_number(&raw->member("belief"), 300, rng);
      break;
    case 2: {
      std::string& content = raw->members.at(rng.below(raw->members.size())).second;
      content.resize(rng.below(content.size() + 1));
      break;
    }
    default:
      change_number(&raw->member("trace"), SIZE_MAX, rng);
      break;
  }
}

struct Mutants {
  int refused = 0;
  int judged = 0;
};

// Only a UsageError refuses a mutant, and each is dealt with in a bounded time; a failed CHECK of the product
// ends this program.
Mutants try_mutants(const RawBundle& good, const fs::path& directory, int count, std::uint64_t seed) {
  using Clock = std::chrono::steady_clock;
  const wire::Hello hello = read_hello(CHAOSGATE_WORKER);
  Inbox inbox(directory);
  StopSignal stop;
  Mutants result;
  for (int i = 0; i < count; ++i) {
    INFO("mutant " << i << " of seed " << seed);
    Rng rng = Rng(seed).fork(std::to_string(i));
    RawBundle raw = good;
    mutate(&raw, rng);
    const fs::path work = directory / "work";
    fs::remove_all(work);
    fs::create_directory(work);
    const Clock::time_point begin = Clock::now();
    try {
      Bundle bundle = inbox.read(raw);
      choose_plugin({}, &bundle);
      const wire::EngineDescription& engine = require_engine(hello, bundle.recovery.order.engine);
      validate_key(bundle.key, hello);
      if (bundle.power) {
        minimize_bundle(bundle, engine, work, CHAOSGATE_WORKER, 5'000, 2, stop);
      } else {
        replay_bundle(bundle, inbox.image(), work / "replay", CHAOSGATE_WORKER, 5'000, stop);
      }
      ++result.judged;
    } catch (const UsageError&) {
      ++result.refused;
    }
    CHECK(Clock::now() - begin < std::chrono::seconds(60));
  }
  return result;
}

}  // namespace

TEST_CASE("mutants of a kill's bundle are refused or judged") {
  const TempDir directory = hostile_directory();
  const Found found = find(directory.path());
  const fs::path file = directory.path() / "bundle.tar.zst";
  write_bundle(found.bundle, found.image, {}, file);
  const Mutants mutants = try_mutants(RawBundle(file), directory.path(), 80, 1);
  CHECK(mutants.refused > 20);
  CHECK(mutants.judged > 5);
}

TEST_CASE("mutants of a power cut's bundle are refused or judged") {
  const TempDir directory = hostile_directory();
  const fs::path file = directory.path() / "bundle.tar.zst";
  find_power_cut(directory.path(), file);
  const Mutants mutants = try_mutants(RawBundle(file), directory.path(), 60, 2);
  CHECK(mutants.refused > 20);
  CHECK(mutants.judged > 5);
}

TEST_CASE("a damaged member of a bundle is named, in words that are not the library's") {
  const TempDir directory = hostile_directory();
  Inbox inbox(directory.path());
  const fs::path file = directory.path() / "bundle.tar.zst";
  const fs::path image = directory.path() / "image";
  fs::create_directory(image);
  write_bundle(empty_bundle(), image, {}, file);
  for (const std::string_view events : {"{", "[]", R"({"cycle":"x"})"}) {
    RawBundle raw(file);
    raw.member("events.jsonl") = events;
    const std::string refusal = inbox.refusal(raw);
    CHECK_THAT(refusal, Catch::Contains(": events.jsonl is damaged: ") && !Catch::Contains("json.exception"));
  }
  RawBundle raw(file);
  raw.head["order"]["term"] = "x";
  CHECK_THAT(inbox.refusal(raw),
             Catch::Contains(": bundle.json is damaged: ") && !Catch::Contains("json.exception"));
}

TEST_CASE("what a bundle names outside of its directories is not touched, and it is refused") {
  const TempDir directory = hostile_directory();
  const fs::path outside = directory.path() / "outside";
  fs::create_directory(outside);
  const Bundle bundle = empty_bundle();
  const fs::path file = directory.path() / "bundle.tar.zst";
  write_bundle(bundle, {}, {}, file);
  const RawBundle good(file);
  Inbox inbox(directory.path());
  CHECK(inbox.refusal(good) == "");
  for (const std::string& name :
       {"image/" + outside.string() + "/evil", std::string("image/../../outside/evil"),
        std::string("image/a/../../../outside/evil"), "base/" + outside.string() + "/evil",
        "image/" + std::string(300, 'x'), "image/" + std::string(5'000, 'x'), std::string("image/..")}) {
    INFO(name);
    RawBundle raw = good;
    raw.members.emplace_back(name, "evil");
    CHECK(inbox.refusal(raw) != "");
  }
  RawBundle below_a_file = good;
  below_a_file.members.emplace_back("image/file", "x");
  below_a_file.members.emplace_back("image/file/below", "x");
  CHECK_THAT(inbox.refusal(below_a_file), Catch::Contains("'file/below'"));
  RawBundle twice = good;
  twice.members.emplace_back("image/file", "x");
  twice.members.emplace_back("image/file", "x");
  CHECK(inbox.refusal(twice) != "");
  CHECK(fs::is_empty(outside));
}

TEST_CASE("a bundle that unpacks to more than its limit is refused before it is unpacked") {
  const TempDir directory = hostile_directory();
  const Bundle bundle = empty_bundle();
  const fs::path file = directory.path() / "bundle.tar.zst";
  write_bundle(bundle, {}, {}, file);
  RawBundle raw(file);
  raw.members.emplace_back("image/a", std::string(kBundleBytesMax / 2, '\0'));
  Inbox inbox(directory.path());
  CHECK(inbox.refusal(raw) == "");
  raw.members.emplace_back("image/b", std::string(kBundleBytesMax / 2, '\0'));
  CHECK_THAT(inbox.refusal(raw), Catch::Contains("image/b") && Catch::Contains("256 MiB"));
  CHECK(fs::file_size(directory.path() / "raw.tar.zst") < 1'000'000);
  raw.members.resize(raw.members.size() - 2);
  raw.head["explanation"] = std::string(kBundleTextBytesMax, 'x');
  CHECK_THAT(inbox.refusal(raw), Catch::Contains("bundle.json"));

  // Nor is one written.
  fs::create_directory(directory.path() / "large");
  replace_file(directory.path() / "large" / "a", std::string(kBundleBytesMax, '\0'));
  CHECK_THROWS_WITH(write_bundle(bundle, directory.path() / "large", {}, directory.path() / "large.tar.zst"),
                    Catch::Contains("is not kept") && Catch::Contains("256 MiB"));
  CHECK_FALSE(fs::exists(directory.path() / "large.tar.zst"));
}

TEST_CASE("a base that is not what the trace began with is refused") {
  const TempDir directory = hostile_directory();
  const fs::path file = directory.path() / "bundle.tar.zst";
  find_power_cut(directory.path(), file);
  const RawBundle good(file);
  Inbox inbox(directory.path());
  CHECK(inbox.refusal(good) == "");
  int files = 0;
  for (std::size_t i = 0; i < good.members.size(); ++i) {
    const std::string& name = good.members[i].first;
    if (!name.starts_with("base/") || name.ends_with('/')) {
      continue;
    }
    INFO(name);
    RawBundle longer = good;
    longer.members[i].second += "x";
    CHECK_THAT(inbox.refusal(longer), Catch::Contains("but the trace began with"));
    RawBundle renamed = good;
    renamed.members[i].first += "x";
    CHECK_THAT(inbox.refusal(renamed), Catch::Contains("which the bundle does not have"));
    ++files;
  }
  CHECK(files > 0);
}

TEST_CASE("a bundle whose worker's term had begun before is refused, not a fault of ours") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-hostile-test-");
  const Found found = find(directory.path());
  StopSignal stop;
  const std::uint64_t term = found.bundle.recovery.order.term;
  const auto replay_in = [&](const Bundle& bundle, const char* name) {
    return replay_bundle(bundle, found.image, directory.path() / name, CHAOSGATE_WORKER, 60'000, stop);
  };
  REQUIRE(term > 2);
  for (const std::uint64_t wrong : {0, 1}) {
    Bundle bundle = found.bundle;
    bundle.recovery.order.term = wrong;
    CHECK_THROWS_AS(replay_in(bundle, wrong == 0 ? "zero" : "before"), UsageError);
  }
  CHECK_FALSE(replay_in(found.bundle, "right").violations.empty());
}

TEST_CASE("a key that nothing can be planned from is refused where it is read") {
  const nlohmann::json good = PlanKey{};
  CHECK_NOTHROW(good.get<PlanKey>());
  const auto refused = [&](const nlohmann::json& patch) {
    INFO(patch.dump());
    nlohmann::json key = good;
    key.update(patch);
    CHECK_THROWS_AS(key.get<PlanKey>(), nlohmann::json::exception);
  };
  refused({{"timer_us_max", 0}});
  refused({{"timer_us_max", 4'000'000'000U}});
  refused({{"segment_bytes", 0}});
  refused({{"segment_bytes", UINT64_MAX}});
  refused({{"timer", false}, {"step", false}, {"call", false}});
  refused({{"free_running", false}, {"scheduled", false}});
  refused({{"seed", "7"}});
}

namespace {

// The regressions of lmdb when this line is all that there is.
RegressionList read_only(const fs::path& results, const nlohmann::json& line, RegressionOf kind) {
  fs::create_directories(results / "regressions");
  replace_file(results / "regressions" / "lmdb.jsonl", line.dump() + "\n");
  return read_regressions(results, "lmdb", kind);
}

}  // namespace

TEST_CASE("a regression that no campaign appended is an error that names its line") {
  const TempDir directory = hostile_directory();
  const nlohmann::json good = {
      {"key", PlanKey{}},
      {"protocol", "sidecar"},
      {"lane", 0},
      {"cycle", 1},
      {"plan", crash::to_string(crash::plan_cycle({}, wire::Protocol::sidecar, 1, 0, 1))},
      {"invariant", "state.prefix"},
      {"power", {{"profile", "strict"}, {"images", 5}, {"images_per_load", 5}}}};
  const auto read = [&](const nlohmann::json& line) {
    return read_only(directory.path(), line, RegressionOf::power_cut).entries.size();
  };
  CHECK(read(good) == 1);
  std::string forced = good.at("plan");
  const std::size_t at = forced.find(" forced=");
  forced.replace(at, forced.find(' ', at + 1) - at, " forced=flush/0");
  for (const auto& [place, value] :
       std::vector<std::pair<std::string, nlohmann::json>>{{"/key/workload", "nosuch"},
                                                           {"/key/fault", "half-batch"},
                                                           {"/key/seed", "x"},
                                                           {"/plan", forced},
                                                           {"/plan", "none"},
                                                           {"/protocol", "nosuch"},
                                                           {"/lane", nullptr},
                                                           {"/invariant", 7},
                                                           {"/power/profile", "nosuch"},
                                                           {"/power/images_per_load", 0}}) {
    INFO(place << " " << value);
    nlohmann::json line = good;
    line[nlohmann::json::json_pointer(place)] = value;
    CHECK_THROWS_AS(read(line), UsageError);
    CHECK_THROWS_WITH(read(line), Catch::Contains("lmdb.jsonl:1: not a regression"));
  }
}

TEST_CASE("a regression of a replica that its group does not have is an error that names its line") {
  const TempDir directory = hostile_directory();
  const nlohmann::json good = {
      {"key", PlanKey{}},
      {"protocol", "in-batch"},
      {"lane", 3},
      {"cycle", 1},
      {"plan", crash::to_string(crash::plan_cycle({}, wire::Protocol::in_batch, 1, 3, 1))},
      {"invariant", "state.prefix"},
      {"group", {{"engines", {"rocksdb", "lmdb"}}, {"protocol", "both"}, {"number", 1}}}};
  const auto read = [&](const nlohmann::json& line) {
    return read_only(directory.path(), line, RegressionOf::group_kill).entries.size();
  };
  CHECK(read(good) == 1);
  for (const auto& [place, value] :
       std::vector<std::pair<std::string, nlohmann::json>>{{"/group/engines", nlohmann::json::array()},
                                                           {"/group/engines", {"lmdb"}},
                                                           {"/group/engines", {"lmdb", "rocksdb"}},
                                                           {"/group/engines", 7},
                                                           {"/group/protocol", "nosuch"},
                                                           {"/group/protocol", "sidecar"},
                                                           {"/group/number", 0},
                                                           {"/group/number", nullptr},
                                                           {"/lane", 2},
                                                           {"/lane", UINT64_MAX}}) {
    INFO(place << " " << value);
    nlohmann::json line = good;
    line[nlohmann::json::json_pointer(place)] = value;
    CHECK_THROWS_WITH(read(line), Catch::Contains("lmdb.jsonl:1: not a regression"));
  }
}

TEST_CASE("a regression that nothing can be planned from is an error that names its line") {
  const TempDir directory(fs::temp_directory_path(), "chaosgate-hostile-test-");
  nlohmann::json key = PlanKey{};
  key["timer_us_max"] = 0;
  const nlohmann::json line = {{"key", key},
                               {"protocol", "sidecar"},
                               {"lane", 0},
                               {"cycle", 1},
                               {"plan", crash::to_string(crash::CyclePlan{})},
                               {"invariant", "state.prefix"}};
  CHECK_THROWS_WITH(read_only(directory.path(), line, RegressionOf::kill),
                    Catch::Contains("lmdb.jsonl:1") && Catch::Contains("timer_us_max 0"));
}
