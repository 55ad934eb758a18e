#include "harness/base/step.h"

#include <cstdlib>

namespace chaosgate {
namespace {

struct StepInfo {
  std::string_view name;
  bool span;
};

constexpr std::array<StepInfo, kStepCount> kSteps = {{
    {"before-log-append", false},
    {"inside-log-append", false},
    {"after-log-append", false},
    {"before-log-sync", false},
    {"after-log-sync", false},
    {"before-apply", false},
    {"inside-apply", true},
    {"after-apply", false},
    {"before-index-capture", false},
    {"after-index-capture", false},
    {"during-flush", true},
    {"after-flush", false},
    {"before-sidecar-rename", false},
    {"after-sidecar-rename", false},
    {"during-log-cut", false},
    {"during-prefix-truncation", false},
    {"during-compaction", true},
    {"during-checkpoint", true},
    {"during-engine-open", true},
    {"after-engine-open", false},
    {"during-suffix-truncation", false},
    {"during-replay", false},
    {"after-replay", false},
    {"before-probe", false},
}};

class NoSteps final : public StepSink {
 public:
  void at(Step) override {}
  void begin(Step) override {}
  void end(Step) override {}
  std::size_t bytes_before_crash(Step, std::uint64_t, std::size_t size) override { return size; }
  void die() override { std::abort(); }  // bytes_before_crash never asks for it
};

}  // namespace

std::string_view to_string(Step step) { return kSteps[static_cast<std::size_t>(step)].name; }

std::optional<Step> parse_step(std::string_view name) {
  for (const Step step : all_steps()) {
    if (to_string(step) == name) {
      return step;
    }
  }
  return std::nullopt;
}

bool is_recovery_step(Step step) { return step >= Step::during_engine_open; }

bool is_span(Step step) { return kSteps[static_cast<std::size_t>(step)].span; }

const std::array<Step, kStepCount>& all_steps() {
  static const auto steps = [] {
    std::array<Step, kStepCount> all{};
    for (std::size_t i = 0; i < kStepCount; ++i) {
      all[i] = static_cast<Step>(i);
    }
    return all;
  }();
  return steps;
}

StepSink& no_steps() {
  static NoSteps sink;
  return sink;
}

}  // namespace chaosgate
