#include "harness/cli/settings.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <sstream>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/campaign/campaign.h"
#include "harness/campaign/engines.h"
#include "harness/cli/command.h"
#include "harness/report/facts.h"

namespace chaosgate::cli {
namespace {

using campaign::CampaignConfig;
using campaign::ProtocolChoice;

// One setting: its key is the flag without dashes, the TOML key, and (upper case, _ for -) the end of the
// environment variable's name.
struct Setting {
  std::string key;
  std::string value_name;  // empty: a switch, with --no-<key>
  std::string help;
  std::function<void(CampaignConfig&, const std::string&)> set;
  std::function<std::string(const CampaignConfig&)> get;
};

[[noreturn]] void refuse(const std::string& key, const std::string& value, const std::string& expected) {
  throw UsageError(fmt::format("{} '{}': expected {}", key, value, expected));
}

bool parse_switch(const std::string& key, const std::string& value) {
  if (value == "true" || value == "1" || value == "yes") {
    return true;
  }
  if (value == "false" || value == "0" || value == "no") {
    return false;
  }
  refuse(key, value, "true or false");
}

Setting number(const std::string& key, const std::string& value_name, const std::string& help,
               std::uint64_t low, std::uint64_t high, std::function<void(CampaignConfig&, std::uint64_t)> set,
               std::function<std::uint64_t(const CampaignConfig&)> get) {
  return {key, value_name, help,
          [=](CampaignConfig& config, const std::string& text) {
            set(config, parse_number(key, text, low, high));
          },
          [=](const CampaignConfig& config) { return std::to_string(get(config)); }};
}

Setting toggle(const std::string& key, const std::string& help, std::function<bool&(CampaignConfig&)> field) {
  return {key, "", help,
          [=](CampaignConfig& config, const std::string& text) { field(config) = parse_switch(key, text); },
          [=](const CampaignConfig& config) {
            return field(const_cast<CampaignConfig&>(config)) ? std::string("true") : std::string("false");
          }};
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) {
    throw_errno("draw a seed");
  }
  return seed;
}

// Two values of which at least one must be allowed: "both" or the name of one.
void set_pair(const std::string& key, const std::string& text, const char* first_name,
              const char* second_name, bool* first, bool* second) {
  if (text != first_name && text != second_name && text != "both") {
    refuse(key, text, fmt::format("{}, {} or both", first_name, second_name));
  }
  *first = text != second_name;
  *second = text != first_name;
}

// Names, separated by commas, each of which sets its flag; all others are cleared. At least one.
void set_flags(const std::string& key, const std::string& text,
               const std::vector<std::pair<std::string, bool*>>& flags) {
  std::string known;
  for (const auto& [name, flag] : flags) {
    *flag = false;
    known += (known.empty() ? "" : ", ") + name;
  }
  for (const std::string& part : split(text)) {
    const auto named =
        std::find_if(flags.begin(), flags.end(), [&](const auto& each) { return each.first == part; });
    if (named == flags.end()) {
      refuse(key, text, fmt::format("some of {}, separated by commas", known));
    }
    *named->second = true;
  }
}

const std::vector<Setting>& declared() {
  static const std::vector<Setting> settings = {
      {"engine", "NAME",
       "engine configuration: a name, or PATH.so or PATH.so:NAME of a plugin; repeat it or separate several "
       "by commas",
       [](CampaignConfig& config, const std::string& text) {
         for (const std::string& name : split(text)) {
           config.engines.push_back(name);
         }
       },
       [](const CampaignConfig& config) { return fmt::format("{}", fmt::join(config.engines, ",")); }},
      number(
          "replicas", "N", "so many replicas of one log, each with an engine of --engines; 0: single engines",
          0, 9, [](CampaignConfig& c, std::uint64_t v) { c.replicas = static_cast<std::uint32_t>(v); },
          [](const CampaignConfig& c) { return c.replicas; }),
      {"engines", "NAMES", "with --replicas: an engine for each, or one for all; names as for --engine",
       [](CampaignConfig& config, const std::string& text) {
         if (!text.empty()) {
           config.engines = split(text);
         }
       },
       [](const CampaignConfig& config) {
         return config.replicas > 0 ? fmt::format("{}", fmt::join(config.engines, ",")) : std::string();
       }},
      number(
          "kills", "N", "confirmed kills for each engine, or replica", 0, 100'000'000,
          [](CampaignConfig& c, std::uint64_t v) { c.kills = v; },
          [](const CampaignConfig& c) { return c.kills; }),
      {"seed", "SEED", "decimal or 0x-hexadecimal, 64 bits; drawn and printed when not given",
       [](CampaignConfig& config, const std::string& text) {
         config.key.seed = parse_number("seed", text, 0, UINT64_MAX);
       },
       [](const CampaignConfig& config) { return campaign::seed_text(config.key.seed); }},
      number(
          "lanes", "N", "independent data directories, worked on in parallel", 0, 256,
          [](CampaignConfig& c, std::uint64_t v) { c.lanes = static_cast<std::uint32_t>(v); },
          [](const CampaignConfig& c) { return c.lanes; }),
      {"workload", "NAME", "profile of the load; see 'chaosgate list workloads'",
       [](CampaignConfig& config, const std::string& text) {
         config.key.workload = text;
         config.power_workloads = {text};
       },
       [](const CampaignConfig& config) { return config.key.workload; }},
      {"protocol", "NAME", "durable-index protocol: in-batch, sidecar, or both (lanes alternate)",
       [](CampaignConfig& config, const std::string& text) {
         for (const ProtocolChoice choice :
              {ProtocolChoice::in_batch, ProtocolChoice::sidecar, ProtocolChoice::both}) {
           if (campaign::to_string(choice) == text) {
             config.protocol = choice;
             return;
           }
         }
         refuse("protocol", text, "in-batch, sidecar or both");
       },
       [](const CampaignConfig& config) { return std::string(campaign::to_string(config.protocol)); }},
      {"crash", "KINDS", "how loads die: timer, step, call (at a storage call), or several with commas",
       [](CampaignConfig& config, const std::string& text) {
         crash::PlanOptions& plan = config.key.plan;
         set_flags("crash", text, {{"timer", &plan.timer}, {"step", &plan.step}, {"call", &plan.call}});
         config.calls_asked = plan.call;
       },
       [](const CampaignConfig& config) { return campaign::crash_kinds_text(config.key.plan); }},
      {"faults", "KINDS",
       "what happens: kill, power (cuts), io (I/O errors and full disks besides kills or power cuts), or "
       "several with commas",
       [](CampaignConfig& config, const std::string& text) {
         set_flags("faults", text,
                   {{"kill", &config.kill}, {"io", &config.key.plan.io}, {"power", &config.power}});
         if (config.key.plan.io && !config.kill && !config.power) {
           refuse("faults", text, "kill or power among them: a load with I/O errors ends by one of them");
         }
       },
       [](const CampaignConfig& config) {
         std::vector<std::string> kinds;
         for (const auto& [on, name] : {std::pair{config.kill, "kill"}, std::pair{config.key.plan.io, "io"},
                                        std::pair{config.power, "power"}}) {
           if (on) {
             kinds.emplace_back(name);
           }
         }
         return fmt::format("{}", fmt::join(kinds, ","));
       }},
      number(
          "images", "N", "power cuts: disk images to judge, for each engine, or replica", 0, 100'000'000,
          [](CampaignConfig& c, std::uint64_t v) { c.images = v; },
          [](const CampaignConfig& c) { return c.images; }),
      number(
          "loads", "N", "power cuts: record at most so many loads; 0: as many as it takes", 0, 1'000'000,
          [](CampaignConfig& c, std::uint64_t v) { c.loads_max = v; },
          [](const CampaignConfig& c) { return c.loads_max; }),
      {"profile", "PROFILE",
       "power cuts: what the file system promises; strict, ext4-writeback, xfs, ext4-ordered, btrfs, prefix, "
       "with +flag or -flag",
       [](CampaignConfig& config, const std::string& text) {
         if (const Status status = disk::parse_profile(text, &config.profile); !status.ok()) {
           throw UsageError(fmt::format("profile '{}': {}", text, status.message()));
         }
       },
       [](const CampaignConfig& config) { return disk::to_string(config.profile); }},
      {"tap", "WHEN", "storage calls go through the driver: auto (where a plan needs it), always, or off",
       [](CampaignConfig& config, const std::string& text) {
         for (const campaign::TapUse use :
              {campaign::TapUse::automatic, campaign::TapUse::always, campaign::TapUse::off}) {
           if (campaign::to_string(use) == text) {
             config.tap = use;
             return;
           }
         }
         refuse("tap", text, "auto, always or off");
       },
       [](const CampaignConfig& config) { return std::string(campaign::to_string(config.tap)); }},
      {"plan", "FILE", "plans to carry out instead of the seed's, one cycle a line; see --print-plan",
       [](CampaignConfig& config, const std::string& text) {
         if (!text.empty()) {
           try {
             config.plans = campaign::read_plans(text);
           } catch (const UsageError& error) {
             throw UsageError(fmt::format("plan {}", error.what()));  // as all others begin
           }
         }
         config.plan_file = text;
       },
       [](const CampaignConfig& config) { return config.plan_file.string(); }},
      toggle("recrash", "kill some recoveries too, up to three times in a row",
             [](CampaignConfig& c) -> bool& { return c.key.plan.recrash; }),
      {"maintenance", "MODE",
       "who flushes and compacts: scheduled (by the seed), free-running (the engine), or both",
       [](CampaignConfig& config, const std::string& text) {
         set_pair("maintenance", text, "scheduled", "free-running", &config.key.plan.scheduled,
                  &config.key.plan.free_running);
       },
       [](const CampaignConfig& config) {
         const crash::PlanOptions& plan = config.key.plan;
         return std::string(plan.scheduled && plan.free_running ? "both"
                            : plan.scheduled                    ? "scheduled"
                                                                : "free-running");
       }},
      number(
          "timer-us-max", "US", "longest delay of a timer kill, in microseconds", campaign::kTimerUsMin,
          campaign::kTimerUsMax,
          [](CampaignConfig& c, std::uint64_t v) { c.key.plan.timer_us_max = static_cast<std::uint32_t>(v); },
          [](const CampaignConfig& c) { return c.key.plan.timer_us_max; }),
      number(
          "segment-bytes", "BYTES", "size at which a log segment is cut", campaign::kSegmentBytesMin,
          campaign::kSegmentBytesMax, [](CampaignConfig& c, std::uint64_t v) { c.key.segment_bytes = v; },
          [](const CampaignConfig& c) { return c.key.segment_bytes; }),
      {"fault", "NAME", "plant this fault; see 'chaosgate list faults'",
       [](CampaignConfig& config, const std::string& text) { config.key.fault = text; },
       [](const CampaignConfig& config) { return config.key.fault; }},
      {"dir", "DIR", "work directory; default: memory-backed storage with room, else the temporary directory",
       [](CampaignConfig& config, const std::string& text) { config.directory = text; },
       [](const CampaignConfig& config) { return config.directory.string(); }},
      {"results", "DIR", "where result directories and regressions are kept",
       [](CampaignConfig& config, const std::string& text) { config.results = text; },
       [](const CampaignConfig& config) { return config.results.string(); }},
      {"worker", "FILE", "the chaosgate-worker program; default: beside this one",
       [](CampaignConfig& config, const std::string& text) { config.worker = text; },
       [](const CampaignConfig& config) { return config.worker.string(); }},
      number(
          "failures-max", "N",
          "an engine's part ends after so many failing cycles and causes of broken images", 1, 1'000'000,
          [](CampaignConfig& c, std::uint64_t v) { c.failures_max = static_cast<std::uint32_t>(v); },
          [](const CampaignConfig& c) { return c.failures_max; }),
      number(
          "hang-ms", "MS", "a worker that takes longer than this for a recovery or a load hangs", 100,
          86'400'000, [](CampaignConfig& c, std::uint64_t v) { c.hang_ms = static_cast<std::uint32_t>(v); },
          [](const CampaignConfig& c) { return c.hang_ms; }),
      number(
          "at-risk-percent-min", "PERCENT",
          "inconclusive when acknowledged data was at risk in a smaller share of the cycles", 0, 100,
          [](CampaignConfig& c, std::uint64_t v) { c.at_risk_percent_min = static_cast<std::uint32_t>(v); },
          [](const CampaignConfig& c) { return c.at_risk_percent_min; }),
      toggle("regressions", "replay earlier failures of the engine first",
             [](CampaignConfig& c) -> bool& { return c.replay_regressions; }),
      toggle("selftest", "also run the gate against every planted fault",
             [](CampaignConfig& c) -> bool& { return c.self_test; }),
  };
  return settings;
}

const Setting& find(const std::string& key) {
  for (const Setting& setting : declared()) {
    if (setting.key == key) {
      return setting;
    }
  }
  throw std::logic_error("setting " + key + " is not declared");
}

// Whether every command has it, so that every command that is printed repeats it.
bool is_of_invocation(const std::string& key) { return key == "dir" || key == "worker" || key == "hang-ms"; }

// The value as it means the same in every directory.
std::string absolute_value(const Setting& setting, const std::string& value) {
  if (setting.key == "engine" || setting.key == "engines") {
    std::vector<std::string> selectors;
    for (const std::string& selector : split(value)) {
      selectors.push_back(campaign::absolute_selector(selector));
    }
    return fmt::format("{}", fmt::join(selectors, ","));
  }
  const bool is_path = setting.value_name == "DIR" || setting.value_name == "FILE";
  return is_path ? std::filesystem::absolute(value).lexically_normal().string() : value;
}

std::string environment_name(const std::string& key) {
  std::string name = "CHAOSGATE_";
  for (const char c : key) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::string node_text(const std::string& file, const std::string& key, const toml::node& node) {
  if (const auto text = node.value<std::string>()) {
    return *text;
  }
  if (node.is_boolean()) {
    return *node.value<bool>() ? "true" : "false";
  }
  if (node.is_integer()) {
    return std::to_string(*node.value<std::int64_t>());
  }
  if (const toml::array* array = node.as_array()) {
    std::string joined;
    for (const toml::node& item : *array) {
      joined += (joined.empty() ? "" : ",") + node_text(file, key, item);
    }
    return joined;
  }
  throw UsageError(fmt::format("{}: key '{}': expected a string, a number, a boolean or a list", file, key));
}

// TOML allows a key of as many parts as its line is long, and the library takes one call deeper for each. No
// key here has more than one part; a few more get the parser's message.
constexpr std::size_t kKeyPartsMax = 16;

// Where a text in quotes ends that begins at `at`, behind its last quote: on its line, or, with three quotes,
// on a later one. The end of the text when it does not end.
std::size_t end_of_quoted(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const bool long_one = text.substr(at, 3) == std::string(3, quote);
  std::size_t i = at + (long_one ? 3 : 1);
  for (; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (!long_one && (text[i] == quote || text[i] == '\n')) {
      return text[i] == quote ? i + 1 : i;
    } else if (long_one && text.substr(i, 3) == std::string(3, quote)) {
      const std::size_t end =
          text.find_first_not_of(quote, i);  // up to two quotes may stand before the three
      return std::min({end, i + 5, text.size()});
    }
  }
  return text.size();
}

// Throws UsageError for a line with more dots outside of strings and comments than any key, number or list of
// numbers needs before its first sign of equality or in one inline table.
void check_keys(const std::string& file, std::string_view text) {
  std::size_t line = 1;
  std::size_t parts = 1;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    std::size_t next = i + 1;
    if (c == '\n') {
      ++line;
      parts = 1;
    } else if (c == '"' || c == '\'') {
      next = end_of_quoted(text, i);
      line += static_cast<std::size_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(i),
                                                  text.begin() + static_cast<std::ptrdiff_t>(next), '\n'));
    } else if (c == '#') {
      next = std::min(text.find('\n', i), text.size());
    } else if (c == '=' || c == ',') {
      parts = 1;
    } else if (c == '.' && ++parts > kKeyPartsMax) {
      throw UsageError(fmt::format("{}:{}: a key of more than {} parts", file, line, kKeyPartsMax));
    }
    i = next;
  }
}

// What --help says is taken when nothing is given; empty: nothing, or the help says it.
std::string default_of(const Setting& setting) {
  static const CampaignConfig config;
  if (setting.key == "engine") {
    return "rocksdb,lmdb";
  }
  return setting.key == "seed" || setting.key == "engines" ? "" : setting.get(config);
}

std::string help_text(const Setting& setting, const std::string& value) {
  return value.empty() ? setting.help : fmt::format("{} (default {})", setting.help, value);
}

// On one line, and in ASCII where it would act on a terminal: JSON's escapes are TOML's, too.
std::string toml_string(const std::string& value) {
  if (report::printable_line(value) != value) {
    return nlohmann::json(value).dump(-1, ' ', true);
  }
  std::ostringstream text;
  text << toml::value<std::string>(value);
  return text.str();
}

std::map<std::string, std::string> read_toml(const std::string& file, const std::vector<std::string>& keys) {
  if (std::filesystem::is_directory(file)) {
    throw UsageError(fmt::format("--config {}: a directory; expected a TOML file", file));
  }
  std::string text;
  if (const Status status = read_file(file, &text); !status.ok()) {
    throw UsageError(fmt::format("{}: {}", file, status.message()));
  }
  return parse_settings(file, text, keys);
}

}  // namespace

std::map<std::string, std::string> parse_settings(const std::string& file, std::string_view text,
                                                  const std::vector<std::string>& keys) {
  std::map<std::string, std::string> values;
  check_keys(file, text);
  try {
    const toml::table table = toml::parse(text, file);
    for (const auto& [name, node] : table) {
      const std::string key(name.str());
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        throw UsageError(fmt::format("{}:{}: unknown key '{}'; known: {}", file, node.source().begin.line,
                                     key, fmt::join(keys, ", ")));
      }
      values[key] = node_text(file, key, node);
    }
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
  return values;
}

std::uint64_t parse_number(const std::string& what, const std::string& text, std::uint64_t low,
                           std::uint64_t high) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const char* begin = text.data() + (hex ? 2 : 0);
  const char* end = text.data() + text.size();
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(begin, end, value, hex ? 16 : 10);
  if (begin == end || stop != end || error != std::errc() || value < low || value > high) {
    refuse(what, text, fmt::format("a whole number from {} to {}", low, high));
  }
  return value;
}

void check_environment() {
  constexpr std::string_view kPrefix = "CHAOSGATE_";
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('='));
    const std::vector<Setting>& all = declared();
    if (!name.starts_with(kPrefix) || std::any_of(all.begin(), all.end(), [&](const Setting& setting) {
          return environment_name(setting.key) == name;
        })) {
      continue;
    }
    std::vector<std::string> known;
    for (const Setting& setting : all) {
      known.push_back(environment_name(setting.key));
    }
    throw UsageError(
        fmt::format("environment variable {}: no such setting; known: {}", name, fmt::join(known, ", ")));
  }
}

void refuse_flags(const CLI::App& app, const std::vector<std::string>& flags, const std::string& why) {
  for (const std::string& flag : flags) {
    if (app.count(flag) > 0) {
      throw UsageError(fmt::format("{} {}", flag, why));
    }
  }
}

Settings::Settings(CLI::App& app, const std::vector<std::string>& keys,
                   const std::map<std::string, std::string>& defaults)
    : command_(app.get_name()), keys_(keys) {
  for (const std::string& key : keys_) {
    const Setting& setting = find(key);
    const auto other = defaults.find(key);
    const std::string help =
        help_text(setting, other == defaults.end() ? default_of(setting) : other->second);
    if (setting.value_name.empty()) {
      app.add_flag_function(
          "--" + key + ",!--no-" + key,
          [this, key](std::int64_t count) { flags_[key] = {count > 0 ? "true" : "false"}; }, help);
    } else {
      app.add_option_function<std::vector<std::string>>(
             "--" + key, [this, key](const std::vector<std::string>& values) { flags_[key] = values; }, help)
          ->type_name(setting.value_name)
          ->expected(1)
          ->take_all();
    }
  }
  app.add_option_function<std::string>(
         "--config",
         [this](const std::string& file) {
           if (file.empty()) {
             throw UsageError("--config '': expected the name of a TOML file");
           }
           file_ = file;
         },
         "TOML file with any of these settings as keys")
      ->type_name("FILE");
}

campaign::CampaignConfig Settings::resolve() {
  CampaignConfig config;
  const std::map<std::string, std::string> file = file_.empty() ? decltype(file){} : read_toml(file_, keys_);
  for (const std::string& key : keys_) {
    const Setting& setting = find(key);
    std::string source = "default";
    std::optional<std::string> value;
    if (const auto flag = flags_.find(key); flag != flags_.end()) {
      if (flag->second.size() > 1 && key != "engine") {
        throw UsageError(fmt::format("--{} is given {} times", key, flag->second.size()));
      }
      value = fmt::format("{}", fmt::join(flag->second, ","));
      source = "flag";
    } else if (const char* environment = std::getenv(environment_name(key).c_str())) {
      value = environment;
      source = "environment";
    } else if (const auto entry = file.find(key); entry != file.end()) {
      value = entry->second;
      source = "file";
    }
    if (value) {
      try {
        setting.set(config, *value);
      } catch (const UsageError& error) {
        const std::string where = source == "flag" ? "--"
                                  : source == "environment"
                                      ? "environment variable " + environment_name(key) + ": "
                                      : file_ + ": ";
        throw UsageError(where + error.what());
      }
    } else if (key == "seed") {
      config.key.seed = random_seed();
    } else if (key == "engine") {
      config.engines = {"rocksdb", "lmdb"};
    }
    lines_.push_back({key, setting.get(config), source});
  }
  config.invocation = invocation();
  config.invocation.again = again().text();
  return config;
}

Invocation Settings::invocation() const {
  Invocation invocation;
  invocation.program = program_to_print();
  for (const report::SettingLine& line : lines_) {
    if (is_of_invocation(line.key) && line.source != "default" && !line.value.empty()) {
      invocation.options.emplace_back("--" + line.key, absolute_value(find(line.key), line.value));
    }
  }
  return invocation;
}

void Settings::refuse(const std::vector<std::string>& keys, const std::string& why) const {
  for (const std::string& key : keys) {
    if (source(key) == "flag") {
      throw UsageError(fmt::format("--{} {}", key, why));
    }
    if (source(key) == "file") {
      throw UsageError(fmt::format("{}: {} {}", file_, key, why));
    }
  }
}

std::string Settings::toml() const {
  std::string text;
  for (const report::SettingLine& line : lines_) {
    const Setting& setting = find(line.key);
    const bool bare = setting.value_name.empty() || setting.value_name == "N" || setting.value_name == "US" ||
                      setting.value_name == "MS" || setting.value_name == "BYTES" ||
                      setting.value_name == "PERCENT";
    if (valid_utf8(line.value) != line.value) {
      throw UsageError(
          fmt::format("{} {}: not UTF-8, so TOML cannot hold it", line.key, shell_quoted(line.value)));
    }
    std::ostringstream value;
    if (bare) {
      value << line.value;
    } else {
      value << toml_string(line.value);
    }
    const bool fixed = line.source != "default" || line.key == "seed";
    text +=
        fmt::format("{:<22} {:<28} # {}\n", (fixed ? "" : "#") + line.key + " =", value.str(), line.source);
  }
  return text;
}

CommandLine Settings::again() const {
  CommandLine command(invocation(), command_);
  for (const report::SettingLine& line : lines_) {
    const Setting& setting = find(line.key);
    if (is_of_invocation(line.key) || line.value.empty() ||
        (line.source == "default" && line.key != "seed")) {
      continue;
    }
    if (setting.value_name.empty()) {
      command.word((line.value == "true" ? "--" : "--no-") + line.key);
    } else {
      command.option("--" + line.key, absolute_value(setting, line.value));
    }
  }
  return command;
}

const report::SettingLine& Settings::line_of(const std::string& key) const {
  for (const report::SettingLine& line : lines_) {
    if (line.key == key) {
      return line;
    }
  }
  throw std::logic_error("setting " + key + " is not one of this command");
}

}  // namespace chaosgate::cli
