#include "harness/campaign/config.h"

#include <fmt/format.h>

#include <sstream>
#include <utility>

#include "harness/base/coding.h"
#include "harness/base/error.h"
#include "harness/base/file.h"

namespace chaosgate::campaign {
void to_json(nlohmann::json& json, const PlanKey& key) {
  json = {{"seed", key.seed},
          {"workload", key.workload},
          {"fault", key.fault},
          {"segment_bytes", key.segment_bytes},
          {"timer", key.plan.timer},
          {"step", key.plan.step},
          {"call", key.plan.call},
          {"io", key.plan.io},
          {"recrash", key.plan.recrash},
          {"free_running", key.plan.free_running},
          {"scheduled", key.plan.scheduled},
          {"timer_us_max", key.plan.timer_us_max}};
}

void from_json(const nlohmann::json& json, PlanKey& key) {
  json.at("seed").get_to(key.seed);
  json.at("workload").get_to(key.workload);
  json.at("fault").get_to(key.fault);
  json.at("segment_bytes").get_to(key.segment_bytes);
  json.at("timer").get_to(key.plan.timer);
  json.at("step").get_to(key.plan.step);
  json.at("call").get_to(key.plan.call);
  json.at("io").get_to(key.plan.io);
  json.at("recrash").get_to(key.plan.recrash);
  json.at("free_running").get_to(key.plan.free_running);
  json.at("scheduled").get_to(key.plan.scheduled);
  json.at("timer_us_max").get_to(key.plan.timer_us_max);
  if (const std::string wrong = wrong_with(key); !wrong.empty()) {
    throw nlohmann::json::other_error::create(501, wrong, nullptr);
  }
}

std::string wrong_with(const PlanKey& key) {
  const crash::PlanOptions& plan = key.plan;
  const auto outside = [](std::string_view what, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
    return value >= min && value <= max
               ? std::string()
               : fmt::format("{} {}: must be between {} and {}", what, value, min, max);
  };
  if (!plan.timer && !plan.step && !plan.call) {
    return "no kind of kill is planned: timer, step or call";
  }
  if (!plan.free_running && !plan.scheduled) {
    return "no kind of maintenance is planned: free-running or scheduled";
  }
  if (std::string wrong = outside("timer_us_max", plan.timer_us_max, kTimerUsMin, kTimerUsMax);
      !wrong.empty()) {
    return wrong;
  }
  return outside("segment_bytes", key.segment_bytes, kSegmentBytesMin, kSegmentBytesMax);
}

wire::WorkerOrder worker_order(const LaneTarget& target, const crash::CyclePlan& plan,
                               const std::filesystem::path& data) {
  wire::WorkerOrder order;
  order.directory = data.string();
  order.plugin = target.plugin;
  order.engine = target.engine;
  order.fault = target.key.fault;
  order.workload = target.key.workload;
  order.seed = target.key.seed;
  order.protocol = target.protocol;
  order.segment_bytes = target.key.segment_bytes;
  order.free_running = plan.free_running;
  order.stock_tuning = plan.stock_tuning;
  order.border_sizes = plan.border_sizes;
  order.schedule = plan.schedule;
  return order;
}

LaneTarget lane_target(const CampaignConfig& config, const wire::EngineDescription& engine,
                       wire::Protocol protocol, std::uint64_t lane) {
  return {config.key, engine.plugin, engine.name, protocol, lane, config.worker, config.hang_ms};
}

std::uint64_t share(std::uint64_t all, std::uint64_t lane, std::uint64_t lanes) {
  return all / lanes + (lane < all % lanes ? 1 : 0);
}

std::string crash_kinds_text(const crash::PlanOptions& plan) {
  std::string text;
  for (const auto& [allowed, name] :
       {std::pair{plan.timer, "timer"}, std::pair{plan.step, "step"}, std::pair{plan.call, "call"}}) {
    if (allowed) {
      text += (text.empty() ? "" : ",") + std::string(name);
    }
  }
  return text;
}

std::vector<crash::CyclePlan> read_plans(const std::filesystem::path& file) {
  std::string bytes;
  if (const Status status = read_file(file, &bytes); !status.ok()) {
    throw UsageError(fmt::format("{}: {}", file.string(), status.message()));
  }
  std::vector<crash::CyclePlan> plans;
  std::istringstream lines(bytes);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line.front() == '#') {
      continue;
    }
    if (const Status status = crash::parse_plan(line, &plans.emplace_back()); !status.ok()) {
      throw UsageError(fmt::format("{}:{}: {}", file.string(), number, status.message()));
    }
  }
  if (plans.empty()) {
    throw UsageError(fmt::format("{}: no plan in it", file.string()));
  }
  return plans;
}

std::map<std::uint64_t, crash::CyclePlan> plans_of_lane(const std::vector<crash::CyclePlan>& plans,
                                                        std::uint64_t lane) {
  std::map<std::uint64_t, crash::CyclePlan> of_lane;
  for (const crash::CyclePlan& plan : plans) {
    if (plan.lane == lane) {
      of_lane[plan.cycle] = plan;
    }
  }
  return of_lane;
}

std::string_view to_string(TapUse use) {
  switch (use) {
    case TapUse::automatic:
      return "auto";
    case TapUse::always:
      return "always";
    case TapUse::off:
      return "off";
  }
  return "unknown";
}

std::string_view to_string(ProtocolChoice choice) {
  switch (choice) {
    case ProtocolChoice::in_batch:
      return "in-batch";
    case ProtocolChoice::sidecar:
      return "sidecar";
    case ProtocolChoice::both:
      return "both";
  }
  return "unknown";
}

wire::Protocol lane_protocol(ProtocolChoice choice, std::uint64_t lane) {
  const bool sidecar = choice == ProtocolChoice::sidecar || (choice == ProtocolChoice::both && lane % 2 == 1);
  return sidecar ? wire::Protocol::sidecar : wire::Protocol::in_batch;
}

}  // namespace chaosgate::campaign
