// The printed form of a plan: "key=value" words, each once, all of them.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <utility>

#include "harness/crash/plan.h"

namespace chaosgate::crash {
namespace {

constexpr std::string_view kNone = "none";
constexpr std::string_view kTimer = "timer:";
constexpr std::string_view kMicroseconds = "us";
constexpr std::string_view kSteered = "?";  // behind a storage fault: steering may choose another

Status wrong(std::string_view key, std::string_view value, std::string_view expected) {
  return Status::invalid_argument(fmt::format("{} '{}', expected {}", key, value, expected));
}

Status parse_number(std::string_view key, std::string_view text, std::uint64_t high, std::uint64_t* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || *number > high) {
    return wrong(key, text, fmt::format("a number up to {}", high));
  }
  return {};
}

// Field of any unsigned type.
template <typename Number>
Status parse_into(std::string_view key, std::string_view text, Number* field) {
  std::uint64_t number = 0;
  RETURN_IF_ERROR(parse_number(key, text, static_cast<Number>(-1), &number));
  *field = static_cast<Number>(number);
  return {};
}

Status parse_bool(std::string_view key, std::string_view text, bool* field) {
  if (text != "0" && text != "1") {
    return wrong(key, text, "0 or 1");
  }
  *field = text == "1";
  return {};
}

bool is_timer(std::string_view text) { return text.starts_with(kTimer) && text.ends_with(kMicroseconds); }

Status parse_timer(std::string_view key, std::string_view text, std::uint32_t* timer_us) {
  text.remove_prefix(kTimer.size());
  text.remove_suffix(kMicroseconds.size());
  return parse_into(key, text, timer_us);
}

// "FAULT" or "FAULT?NUMBER".
Status parse_call(std::string_view key, std::string_view text, tap::StorageFault* call,
                  std::uint64_t* steer) {
  const std::size_t mark = text.find(kSteered);
  *steer = 0;
  if (mark != std::string_view::npos) {
    RETURN_IF_ERROR(parse_into(key, text.substr(mark + 1), steer));
  }
  if (const Status status = tap::parse_fault(text.substr(0, mark), call); !status.ok()) {
    return Status::invalid_argument(fmt::format("{}: {}", key, status.message()));
  }
  return {};
}

// What is wrong with a text that is no crash point but begins with the name of a step; ok for any other text.
Status check_step(std::string_view key, std::string_view text) {
  const std::optional<Step> step = parse_step(text.substr(0, text.find_first_of("#~+")));
  if (!step) {
    return {};
  }
  return wrong(key, text,
               fmt::format("{}#N{}{} with N > 0", to_string(*step),
                           *step == Step::inside_log_append ? "~PERMILLE (0 to 999)" : "",
                           is_span(*step) ? "+DELAYus" : ""));
}

std::string call_text(const tap::StorageFault& call, std::uint64_t steer) {
  return to_string(call) + (steer == 0 ? "" : fmt::format("{}{}", kSteered, steer));
}

Status parse_crash(std::string_view text, CyclePlan* plan) {
  if (is_timer(text)) {
    plan->kind = CrashKind::timer;
    return parse_timer("crash", text, &plan->timer_us);
  }
  if (const auto point = parse_crash_point(text)) {
    if (is_recovery_step(point->step)) {
      return wrong("crash", text, "a step of the load; steps of recovery go into recrash=");
    }
    plan->kind = CrashKind::step;
    plan->point = *point;
    return {};
  }
  RETURN_IF_ERROR(check_step("crash", text));
  plan->kind = CrashKind::call;
  RETURN_IF_ERROR(parse_call("crash", text, &plan->call, &plan->steer));
  return plan->call.is_kill() ? Status()
                              : wrong("crash", text, "timer:Nus, a step, or a kill at a storage call");
}

Status parse_recrash(std::string_view text, Recrash* recrash) {
  if (is_timer(text)) {
    return parse_timer("recrash", text, &recrash->timer_us);
  }
  recrash->point = parse_crash_point(text);
  if (recrash->point) {
    return is_recovery_step(recrash->point->step) ? Status() : wrong("recrash", text, "a step of recovery");
  }
  RETURN_IF_ERROR(check_step("recrash", text));
  return parse_call("recrash", text, &recrash->call.emplace(), &recrash->steer);
}

Status parse_recrashes(std::string_view text, CyclePlan* plan) {
  if (text == kNone) {
    return {};
  }
  for (;;) {
    const std::size_t comma = text.find(',');
    RETURN_IF_ERROR(parse_recrash(text.substr(0, comma), &plan->recrashes.emplace_back()));
    if (plan->recrashes.size() > kRecrashesMax) {
      return wrong("recrash", text, fmt::format("at most {}", kRecrashesMax));
    }
    if (comma == std::string_view::npos) {
      return {};
    }
    text.remove_prefix(comma + 1);
  }
}

Status parse_error(std::string_view text, CyclePlan* plan) {
  if (text == kNone) {
    return {};
  }
  std::uint64_t steer = 0;
  RETURN_IF_ERROR(parse_call("error", text, &plan->error.emplace(), &steer));
  return plan->error->is_kill() ? wrong("error", text, "an I/O error") : Status();
}

Status parse_forced(std::string_view text, wire::Schedule* schedule) {
  const std::size_t slash = text.find('/');
  const std::string name(text.substr(0, slash));
  schedule->forced = nlohmann::json(name).get<wire::Chore>();  // an unknown name gives the first, none
  if (slash == std::string_view::npos || nlohmann::json(schedule->forced) != nlohmann::json(name)) {
    return wrong("forced", text, "none, flush, truncate, compact or checkpoint, a slash, and a number");
  }
  RETURN_IF_ERROR(parse_into("forced", text.substr(slash + 1), &schedule->forced_every));
  const bool every = schedule->forced == wire::Chore::none || schedule->forced_every > 0;
  return every ? Status() : wrong("forced", text, "a number above 0");
}

Status parse_choice(std::string_view key, std::string_view text, std::string_view no, std::string_view yes,
                    bool* field) {
  if (text != no && text != yes) {
    return wrong(key, text, fmt::format("{} or {}", no, yes));
  }
  *field = text == yes;
  return {};
}

// "1/N".
Status parse_one_in(std::string_view key, std::string_view text, std::uint32_t* field) {
  RETURN_IF_ERROR(text.starts_with("1/") ? Status() : wrong(key, text, "1/N"));
  RETURN_IF_ERROR(parse_into(key, text.substr(2), field));
  return *field > 0 ? Status() : wrong(key, text, "1/N with N > 0");
}

using Parser = std::function<Status(std::string_view)>;

// In the order in which they are printed.
std::vector<std::pair<std::string_view, Parser>> parsers(CyclePlan* plan) {
  wire::Schedule* s = &plan->schedule;
  const auto number = [](std::string_view key, auto* field) {
    return std::pair<std::string_view, Parser>(
        key, [=](std::string_view text) { return parse_into(key, text, field); });
  };
  const auto positive = [](std::string_view key, std::uint32_t* field) {
    return std::pair<std::string_view, Parser>(key, [=](std::string_view text) -> Status {
      RETURN_IF_ERROR(parse_into(key, text, field));
      return *field > 0 ? Status() : wrong(key, text, "a number above 0");
    });
  };
  const auto one_in = [](std::string_view key, std::uint32_t* field) {
    return std::pair<std::string_view, Parser>(
        key, [=](std::string_view text) { return parse_one_in(key, text, field); });
  };
  const auto toggle = [](std::string_view key, bool* field) {
    return std::pair<std::string_view, Parser>(
        key, [=](std::string_view text) { return parse_bool(key, text, field); });
  };
  return {
      number("lane", &plan->lane),
      number("cycle", &plan->cycle),
      {"crash", [=](std::string_view text) { return parse_crash(text, plan); }},
      {"error", [=](std::string_view text) { return parse_error(text, plan); }},
      {"recrash", [=](std::string_view text) { return parse_recrashes(text, plan); }},
      {"maintenance",
       [=](std::string_view text) {
         return parse_choice("maintenance", text, "scheduled", "free-running", &plan->free_running);
       }},
      {"tuning",
       [=](std::string_view text) {
         return parse_choice("tuning", text, "lean", "stock", &plan->stock_tuning);
       }},
      positive("sync-group", &s->sync_group_max),
      positive("apply-group", &s->apply_group_max),
      one_in("flush", &s->flush_one_in),
      one_in("truncate", &s->truncate_one_in),
      one_in("compact", &s->compact_one_in),
      one_in("checkpoint", &s->checkpoint_one_in),
      {"forced", [=](std::string_view text) { return parse_forced(text, s); }},
      positive("entries", &s->entries_max),
      toggle("cut-suffix", &plan->cut_suffix),
      toggle("flush-after-replay", &plan->flush_after_replay),
      toggle("reopen", &plan->check_reopen),
      toggle("backward", &plan->check_backward),
      toggle("integrity", &plan->check_integrity),
      toggle("space", &plan->check_space),
      toggle("border-sizes", &plan->border_sizes),
  };
}

// Plans that were printed before these came stand in bundles and regressions; they mean what is the default.
bool is_younger(std::string_view key) { return key == "space" || key == "border-sizes"; }

}  // namespace

std::string crash_text(const CyclePlan& plan) {
  switch (plan.kind) {
    case CrashKind::timer:
      return fmt::format("{}{}{}", kTimer, plan.timer_us, kMicroseconds);
    case CrashKind::step:
      return to_string(plan.point);
    case CrashKind::call:
      return call_text(plan.call, plan.steer);
  }
  return "unknown";
}

std::string to_string(const CyclePlan& plan) {
  std::string recrashes;
  for (const Recrash& recrash : plan.recrashes) {
    recrashes += (recrashes.empty() ? "" : ",") +
                 (recrash.call ? call_text(*recrash.call, recrash.steer) : to_string(recrash));
  }
  const wire::Schedule& s = plan.schedule;
  return fmt::format(
      "lane={} cycle={} crash={} error={} recrash={} maintenance={} tuning={} sync-group={} apply-group={} "
      "flush=1/{} truncate=1/{} compact=1/{} checkpoint=1/{} forced={}/{} entries={} cut-suffix={:d} "
      "flush-after-replay={:d} reopen={:d} backward={:d} integrity={:d} space={:d} border-sizes={:d}",
      plan.lane, plan.cycle, crash_text(plan), plan.error ? to_string(*plan.error) : kNone,
      recrashes.empty() ? kNone : recrashes, plan.free_running ? "free-running" : "scheduled",
      plan.stock_tuning ? "stock" : "lean", s.sync_group_max, s.apply_group_max, s.flush_one_in,
      s.truncate_one_in, s.compact_one_in, s.checkpoint_one_in, nlohmann::json(s.forced).get<std::string>(),
      s.forced_every, s.entries_max, plan.cut_suffix, plan.flush_after_replay, plan.check_reopen,
      plan.check_backward, plan.check_integrity, plan.check_space, plan.border_sizes);
}

Status parse_plan(std::string_view text, CyclePlan* plan) {
  CyclePlan parsed;
  const auto keys = parsers(&parsed);
  std::map<std::string_view, bool> seen;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    const std::string_view word = text.substr(0, blank);
    text = blank == std::string_view::npos ? std::string_view() : text.substr(blank + 1);
    if (word.empty()) {
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const auto known =
        std::find_if(keys.begin(), keys.end(), [&](const auto& each) { return each.first == key; });
    if (known == keys.end() || equals == std::string_view::npos) {
      return wrong("plan", word, "KEY=VALUE with a known key");
    }
    if (std::exchange(seen[key], true)) {
      return wrong("plan", word, "each key once");
    }
    RETURN_IF_ERROR(known->second(word.substr(equals + 1)));
  }
  for (const auto& [key, parser] : keys) {
    if (!seen.contains(key) && !is_younger(key)) {
      return Status::invalid_argument(fmt::format("the plan has no {}=", key));
    }
  }
  *plan = std::move(parsed);
  return {};
}

}  // namespace chaosgate::crash
