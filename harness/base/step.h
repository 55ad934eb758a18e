// Step names the places of the worker's protocol where a crash can be ordered, and StepSink is told when
// one is reached.
//
// The code under the gate (log, replica) calls the sink; the worker's crash trigger implements it and may
// never return from a call. Two kinds of step exist. A *point* is between two operations: the process
// dies exactly there. A *span* covers an operation: the process dies at an unknown moment inside it, and
// never after it returned. Not thread-safe: the protocol runs on one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace chaosgate {

enum class Step : std::uint8_t {
  // Points and spans of the load.
  before_log_append,
  inside_log_append,  // the write up to a border of pages, or nothing of it, reaches the file
  after_log_append,
  before_log_sync,
  after_log_sync,
  before_apply,
  inside_apply,  // span: the engine's write call
  after_apply,
  before_index_capture,
  after_index_capture,
  during_flush,  // span: the engine's flush call
  after_flush,
  before_sidecar_rename,
  after_sidecar_rename,
  during_log_cut,            // between the old segment's sync and the new one's name
  during_prefix_truncation,  // between two removals, or before the first
  during_compaction,         // span: the engine's compact call
  during_checkpoint,         // span: the engine's checkpoint call
  // Points and spans of recovery, for re-crashes.
  during_engine_open,  // span: the engine's open call
  after_engine_open,
  during_suffix_truncation,  // between two removals, or before the cut
  during_replay,             // before an entry group is applied
  after_replay,
  before_probe,  // every check of the recovered state is done, nothing new was written
};

inline constexpr std::size_t kStepCount = static_cast<std::size_t>(Step::before_probe) + 1;

// "before-log-append", ...
std::string_view to_string(Step step);
std::optional<Step> parse_step(std::string_view name);
// True for the steps of recovery.
bool is_recovery_step(Step step);
bool is_span(Step step);
const std::array<Step, kStepCount>& all_steps();

class StepSink {
 public:
  virtual ~StepSink() = default;

  // A point was reached.
  virtual void at(Step step) = 0;
  // A span begins and ends. Every begin has an end on the same thread; spans do not nest.
  virtual void begin(Step step) = 0;
  virtual void end(Step step) = 0;
  // Asks, before a write of `size` bytes (> 0) at `offset` of a file, how many of them to carry out. Less
  // than `size` means: write those and call die().
  virtual std::size_t bytes_before_crash(Step step, std::uint64_t offset, std::size_t size) = 0;
  // Dies as ordered. REQUIRES: bytes_before_crash() just returned less than it was asked for.
  [[noreturn]] virtual void die() = 0;
};

// A sink that lets everything pass.
StepSink& no_steps();

// Calls begin() now and end() when it goes.
class StepSpan {
 public:
  StepSpan(StepSink& sink, Step step) : sink_(sink), step_(step) { sink_.begin(step_); }
  ~StepSpan() { sink_.end(step_); }
  StepSpan(const StepSpan&) = delete;
  StepSpan& operator=(const StepSpan&) = delete;

 private:
  StepSink& sink_;
  Step step_;
};

}  // namespace chaosgate
