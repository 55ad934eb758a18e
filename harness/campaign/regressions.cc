#include "harness/campaign/regressions.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/json.h"
#include "harness/base/printable.h"
#include "harness/campaign/plans.h"
#include "harness/campaign/tap_setup.h"
#include "harness/disk/profile.h"
#include "harness/report/facts.h"
#include "workloads/generator.h"

namespace chaosgate::campaign {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

fs::path file_of(const fs::path& results, const std::string& engine) {
  return results / "regressions" / (engine + ".jsonl");
}

bool same_place(const Regression& a, const Regression& b) {
  return json(a.key) == json(b.key) && a.protocol == b.protocol && a.lane == b.lane && a.cycle == b.cycle &&
         a.power.has_value() == b.power.has_value() && a.group == b.group;
}

RegressionOf kind_of(const Regression& regression) {
  if (regression.group) {
    return regression.power ? RegressionOf::group_power_cut : RegressionOf::group_kill;
  }
  return regression.power ? RegressionOf::power_cut : RegressionOf::kill;
}

// By this build; empty for a cycle of a single engine, whose plan is in the line.
std::string planned_now(const Regression& regression) {
  const std::uint64_t count = regression.cycle + 1;
  if (regression.group) {
    const GroupRegression& group = *regression.group;
    return group_checksum(regression.key, group_protocols(group.protocol, group.engines.size(), group.number),
                          group.number, count);
  }
  return regression.power ? loads_checksum(regression.key, regression.protocol, regression.lane, count) : "";
}

GroupRegression parse_group(const json& entry) {
  GroupRegression group{entry.at("engines"), ProtocolChoice::both, entry.at("number")};
  const std::string protocol = entry.at("protocol");
  for (const ProtocolChoice choice :
       {ProtocolChoice::in_batch, ProtocolChoice::sidecar, ProtocolChoice::both}) {
    if (to_string(choice) == protocol) {
      group.protocol = choice;
      return group;
    }
  }
  throw UsageError("unknown protocol of a group");
}

// That it is of a replica that the group has.
void check_replica(const Regression& regression) {
  const GroupRegression& group = *regression.group;
  const std::size_t size = group.engines.size();
  if (size < 2) {
    throw UsageError("a group has at least two replicas");
  }
  const std::uint64_t member = regression.lane % size;
  if (regression.lane / size != group.number || group.engines[member] != regression.engine ||
      regression.protocol != lane_protocol(group.protocol, member + group.number)) {
    throw UsageError("its group has no such replica");
  }
}

// One line. Throws nlohmann::json::exception, or UsageError, for one that no campaign appended.
Regression parse_line(std::string_view line, const std::string& engine) {
  const json entry = parse_json(line);
  const auto protocol = wire::parse_protocol(entry.at("protocol").get<std::string>());
  if (!protocol) {
    throw UsageError("unknown protocol");
  }
  Regression read{entry.at("key").get<PlanKey>(), engine, *protocol, entry.at("lane"), entry.at("cycle"), {},
                  entry.at("invariant")};
  if (const Status status = crash::parse_plan(entry.at("plan").get<std::string>(), &read.plan);
      !status.ok()) {
    throw UsageError(status.message());
  }
  if (!read.key.fault.empty()) {
    throw UsageError("a planted fault is no regression");
  }
  workloads::Generator(read.key.workload, read.key.seed);  // throws for an unknown one
  if (entry.contains("power")) {
    const json& power = entry.at("power");
    read.power = {power.at("profile"), power.at("images"), power.at("images_per_load")};
    disk::Profile profile;
    if (const Status status = disk::parse_profile(read.power->profile, &profile); !status.ok()) {
      throw UsageError(status.message());
    }
    if (read.power->images_per_load == 0) {
      throw UsageError("images_per_load 0: must be 1 or more");
    }
  }
  if (entry.contains("group")) {
    read.group = parse_group(entry.at("group"));
    check_replica(read);
  }
  read.plan_checksum = entry.value("plan_checksum", "");
  return read;
}

std::vector<Regression> read_all(const fs::path& path, const std::string& engine, std::size_t* whole_bytes) {
  std::string bytes;
  if (const Status status = read_file(path, &bytes); !status.ok() && !status.is_not_found()) {
    throw EnvironmentError(status.message());
  }
  return parse_regressions(bytes, path.string(), engine, whole_bytes);
}

}  // namespace

std::vector<Regression> parse_regressions(std::string_view text, const std::string& name,
                                          const std::string& engine, std::size_t* whole_bytes) {
  std::vector<Regression> all;
  *whole_bytes = text.size();
  std::size_t begin = 0;
  for (int number = 1; begin < text.size(); ++number) {
    const std::size_t end = text.find('\n', begin);
    const bool torn = end == std::string_view::npos;
    const std::string_view line = text.substr(begin, torn ? std::string_view::npos : end - begin);
    if (torn && !json::accept(line)) {
      *whole_bytes = begin;
      break;
    }
    begin = torn ? text.size() : end + 1;
    if (line.empty()) {
      continue;
    }
    try {
      all.push_back(parse_line(line, engine));
    } catch (const std::exception& error) {
      throw UsageError(
          fmt::format("{}:{}: not a regression: {}", name, number, json_complaint(error.what())));
    }
  }
  return all;
}

std::string regression_line(const Regression& regression) {
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
  if (regression.group) {
    line["group"] = {{"engines", regression.group->engines},
                     {"protocol", to_string(regression.group->protocol)},
                     {"number", regression.group->number}};
  }
  if (!regression.plan_checksum.empty()) {
    line["plan_checksum"] = regression.plan_checksum;
  }
  return line.dump();
}

void append_regression(const fs::path& results, const Regression& regression) {
  if (!regression.key.fault.empty()) {
    return;
  }
  const fs::path path = file_of(results, regression.engine);
  fs::create_directories(path.parent_path());
  std::size_t whole_bytes = 0;
  for (const Regression& known : read_all(path, regression.engine, &whole_bytes)) {
    if (same_place(known, regression)) {
      return;
    }
  }
  std::string kept;
  if (fs::exists(path) && read_file(path, &kept).ok() && !kept.ends_with('\n')) {
    kept.resize(whole_bytes);  // else the torn line would stand in the middle
    kept += kept.empty() || kept.ends_with('\n') ? "" : "\n";
    replace_file(path, kept);
  }
  std::ofstream file(path, std::ios::app);
  Regression written = regression;
  written.plan_checksum = planned_now(regression);
  file << regression_line(written) << "\n";
  file.flush();
  if (!file) {
    throw EnvironmentError(fmt::format("cannot append to {}", path.string()));
  }
}

bool needs_tap(const Regression& regression) {
  const crash::PlanOptions& plan = regression.key.plan;
  return plan.call || plan.io || load_needs_tap(regression.plan) ||
         std::any_of(regression.plan.recrashes.begin(), regression.plan.recrashes.end(),
                     [](const crash::Recrash& recrash) { return recrash.call.has_value(); });
}

RegressionList read_regressions(const fs::path& results, const std::string& engine, RegressionOf kind) {
  const fs::path path = file_of(results, engine);
  std::size_t whole_bytes = 0;
  std::vector<Regression> all = read_all(path, engine, &whole_bytes);
  std::erase_if(all, [kind](const Regression& each) { return kind_of(each) != kind; });
  std::reverse(all.begin(), all.end());
  RegressionList list;
  std::size_t long_ones = 0;
  std::size_t old_ones = 0;
  std::size_t other_ones = 0;
  for (Regression& regression : all) {
    if (regression.cycle >= kRegressionCyclesMax) {
      ++long_ones;
    } else if (list.entries.size() == kRegressionsReplayed) {
      ++old_ones;
    } else if (!regression.plan_checksum.empty() && regression.plan_checksum != planned_now(regression)) {
      ++other_ones;
    } else {
      list.entries.push_back(std::move(regression));
    }
  }
  std::error_code ignored;
  if (fs::exists(path, ignored) && whole_bytes != fs::file_size(path, ignored)) {
    list.note =
        fmt::format("{}: the last line is torn, as a killed campaign leaves it; left out", path.string());
  }
  const auto more = [&] { list.note += list.note.empty() ? "" : "; "; };
  if (other_ones > 0) {
    more();
    list.note += fmt::format("{}: {} not replayed, since this build plans something else for their seeds",
                             engine, report::plural(other_ones, "earlier failure"));
  }
  if (long_ones + old_ones > 0) {
    more();
    list.note += fmt::format(
        "{}: {} earlier failures are not replayed ({} older than the last {}, {} past cycle {})", engine,
        long_ones + old_ones, old_ones, kRegressionsReplayed, long_ones, kRegressionCyclesMax);
  }
  return list;
}

}  // namespace chaosgate::campaign
