// The TOML file of --config: what settings were read are printed as a file that says the same, or one of them
// is refused by its name.
#include <algorithm>

#include "harness/base/check.h"
#include "harness/base/error.h"
#include "harness/base/hash.h"
#include "harness/cli/settings.h"
#include "harness/fuzz/fuzz.h"
#include "harness/fuzz/scratch_file.h"

namespace chaosgate::fuzz {
namespace {

// Without "plan", whose value is a file that would be read: any file of this machine.
const std::vector<std::string>& keys() {
  static const std::vector<std::string> kKeys = {
      "engine",      "replicas",     "engines",       "kills",   "seed",
      "lanes",       "workload",     "protocol",      "crash",   "faults",
      "images",      "loads",        "profile",       "tap",     "recrash",
      "maintenance", "timer-us-max", "segment-bytes", "fault",   "dir",
      "results",     "worker",       "failures-max",  "hang-ms", "at-risk-percent-min",
      "regressions", "selftest"};
  return kKeys;
}

// The settings of a command that was given this file.
struct Given {
  explicit Given(const std::string& text) {
    write_scratch("settings.toml", text);
    app.parse({(scratch_directory() / "settings.toml").string(), "--config"});  // from behind
    config = settings.resolve();
  }

  CLI::App app{"", "run"};
  cli::Settings settings{app, keys()};
  campaign::CampaignConfig config;
};

std::vector<std::string> seeds() {
  return {
      "seed = 1\n",
      "# of a campaign\nengine = [\"rocksdb\", 'lmdb']\nkills = 1_000\nseed = \"0x2a\"\nlanes = 0x4\n"
      "recrash = false\ncrash = \"timer,step\"\nprofile = \"ext4-ordered\"\nprotocol = \"both\"\n",
      "replicas = 3\nengines = \"rocksdb,lmdb\"\nfaults = [\"kill\", \"power\"]\nsegment-bytes = 65536\n"
      "maintenance = \"scheduled\"\ntap = \"always\"\nseed = 7\ndir = \"\"\"a\tb\"\"\"\nhang-ms = 500\n",
      "\"workload\" = \"txn\"\nworker = \"/usr/bin/x\"\nresults = \"r\\u00e9\"\nfault = \"\"\nseed = 0\n"};
}

std::map<std::string, std::string> parse(std::string_view text) {
  return cli::parse_settings("settings.toml", text, keys());
}

// A line with a setting, in the place of another or behind all, or one less.
std::string mutate_lines(Rng& rng, std::string bytes, std::string_view /*other*/) {
  static const std::vector<std::string> kValues = {"0",
                                                   "1",
                                                   "-1",
                                                   "0x10",
                                                   "1_000",
                                                   "9223372036854775807",
                                                   "1.5",
                                                   "inf",
                                                   "true",
                                                   "false",
                                                   "\"\"",
                                                   "\"both\"",
                                                   "\"lmdb\"",
                                                   "[]",
                                                   "[[1], 2]",
                                                   "{a = 1}",
                                                   "\"txn\"",
                                                   "[\"kill\", 'io']",
                                                   "\"0x2a\"",
                                                   "\"/x\"",
                                                   "1979-05-27",
                                                   "'sidecar'",
                                                   "\"a\\u0007b\"",
                                                   "\"strict+fsync-commits-dir-ops\"",
                                                   "\"step,call\"",
                                                   "'''\n\"b'''"};
  const std::size_t begin = bytes.rfind('\n', rng.below(bytes.size() + 1)) + 1;  // npos + 1 is 0
  const std::size_t end = std::max(begin, std::min(bytes.find('\n', begin), bytes.size()));
  const std::string& value = kValues[rng.below(kValues.size())];
  const std::string line =
      keys()[rng.below(keys().size())] + " = " + (rng.chance(1, 4) ? mutate(rng, value, "\"'=[],.") : value);
  switch (rng.below(3)) {
    case 0:
      return bytes.replace(begin, end - begin, line);
    case 1:
      return bytes.erase(begin, end - begin);
    default:
      return bytes + line + "\n";
  }
}

// What is printed is a file that gives the same settings; defaults are comments in it.
void check_printed(const cli::Settings& settings) {
  const std::string printed = settings.toml();
  for (const auto& [key, value] : parse(printed)) {
    CHECK(settings.value(key) == value, "{}", printed);
  }
  CHECK(Given(printed).settings.again().text() == settings.again().text(), "{}", printed);
}

Reach run(std::string_view bytes) {
  try {
    parse(bytes);
  } catch (const UsageError& error) {
    CHECK(std::string_view(error.what()).starts_with("settings.toml:"), "{}", error.what());
    return Reach::refused;
  }
  try {
    const Given given{std::string(bytes)};
    check_printed(given.settings);
  } catch (const UsageError&) {
    return Reach::verified;
  }
  return Reach::accepted;
}

}  // namespace

// The flags of a command are much, and a value of TOML is large.
Target target() {
  Target target{"config", seeds, nullptr, run, 2 << 20, 2048};
  target.mutate = mutate_lines;
  return target;
}

}  // namespace chaosgate::fuzz
