#include "harness/campaign/regressions.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

fs::path file_of(const fs::path& results, const std::string& engine) {
  return results / "regressions" / (engine + ".jsonl");
}

bool same_place(const Regression& a, const Regression& b) {
  return json(a.key) == json(b.key) && a.protocol == b.protocol && a.lane == b.lane && a.cycle == b.cycle &&
         a.power.has_value() == b.power.has_value();
}

std::vector<Regression> read_all(const fs::path& path, const std::string& engine) {
  std::vector<Regression> all;
  std::ifstream file(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty()) {
      continue;
    }
    try {
      const json entry = parse_json(line);
      const auto protocol = wire::parse_protocol(entry.at("protocol").get<std::string>());
      if (!protocol) {
        throw UsageError(fmt::format("{}:{}: unknown protocol", path.string(), number));
      }
      crash::CyclePlan plan;
      if (const Status status = crash::parse_plan(entry.at("plan").get<std::string>(), &plan); !status.ok()) {
        throw UsageError(fmt::format("{}:{}: {}", path.string(), number, status.message()));
      }
      all.push_back({entry.at("key").get<PlanKey>(), engine, *protocol, entry.at("lane"), entry.at("cycle"),
                     std::move(plan), entry.at("invariant")});
      if (entry.contains("power")) {
        const json& power = entry.at("power");
        all.back().power = {power.at("profile"), power.at("images"), power.at("images_per_load")};
      }
    } catch (const json::exception& error) {
      throw UsageError(fmt::format("{}:{}: not a regression: {}", path.string(), number, error.what()));
    }
  }
  return all;
}

}  // namespace

void append_regression(const fs::path& results, const Regression& regression) {
  if (!regression.key.fault.empty()) {
    return;
  }
  const fs::path path = file_of(results, regression.engine);
  fs::create_directories(path.parent_path());
  for (const Regression& known : read_all(path, regression.engine)) {
    if (same_place(known, regression)) {
      return;
    }
  }
  json line = {{"key", regression.key},
               {"protocol", wire::to_string(regression.protocol)},
               {"lane", regression.lane},
               {"cycle", regression.cycle},
               {"plan", crash::to_string(regression.plan)},
               {"invariant", regression.invariant}};
  if (regression.power) {
    line["power"] = {{"profile", regression.power->profile},
                     {"images", regression.power->images},
                     {"images_per_load", regression.power->images_per_load}};
  }
  std::ofstream file(path, std::ios::app);
  file << line.dump() << "\n";
  file.flush();
  if (!file) {
    throw EnvironmentError(fmt::format("cannot append to {}", path.string()));
  }
}

RegressionList read_regressions(const fs::path& results, const std::string& engine, RegressionOf kind) {
  std::vector<Regression> all = read_all(file_of(results, engine), engine);
  std::erase_if(all, [kind](const Regression& each) {
    return each.power.has_value() != (kind == RegressionOf::power_cut);
  });
  std::reverse(all.begin(), all.end());
  RegressionList list;
  std::size_t long_ones = 0;
  std::size_t old_ones = 0;
  for (Regression& regression : all) {
    if (regression.cycle >= kRegressionCyclesMax) {
      ++long_ones;
    } else if (list.entries.size() == kRegressionsReplayed) {
      ++old_ones;
    } else {
      list.entries.push_back(std::move(regression));
    }
  }
  if (long_ones + old_ones > 0) {
    list.note = fmt::format(
        "{}: {} earlier failures are not replayed ({} older than the last {}, {} past cycle {})", engine,
        long_ones + old_ones, old_ones, kRegressionsReplayed, long_ones, kRegressionCyclesMax);
  }
  return list;
}

}  // namespace chaosgate::campaign
