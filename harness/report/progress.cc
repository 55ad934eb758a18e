#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "harness/base/file.h"
#include "harness/report/facts.h"
#include "harness/report/writers.h"

namespace chaosgate::report {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRewriteEvery = std::chrono::milliseconds(100);
constexpr auto kPlainEvery = std::chrono::seconds(30);
constexpr auto kRateAfter = std::chrono::seconds(1);  // before that a rate is noise

bool is_terminal(int fd) {
  const char* term = std::getenv("TERM");
  return ::isatty(fd) == 1 && term != nullptr && *term != '\0' && std::string_view(term) != "dumb";
}

std::size_t columns_of(int fd) {
  winsize size{};
  return ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

class Progress::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        terminal_(options_.terminal.value_or(is_terminal(options_.fd))),
        last_print_(now()) {}

  void update(const State& state) {
    const std::lock_guard lock(mutex_);
    const Clock::time_point at = now();
    if (state.label != label_) {
      label_ = state.label;
      first_done_ = state.done;
      first_at_ = at;
    }
    if (!terminal_) {
      if (at - last_print_ >= kPlainEvery) {
        last_print_ = at;
        print(line(state, at) + "\n");
      }
    } else if (!visible_ || at - last_print_ >= kRewriteEvery) {
      last_print_ = at;
      visible_ = true;
      // A line that wraps cannot be rewritten. The text is ASCII but for the label.
      print("\r" + line(state, at).substr(0, columns_of(options_.fd) - 1) + "\x1b[K");
    }
  }

  void clear() {
    const std::lock_guard lock(mutex_);
    if (visible_) {
      visible_ = false;
      print("\r\x1b[K");
    }
  }

 private:
  Clock::time_point now() const { return options_.now ? options_.now() : Clock::now(); }

  std::string line(const State& state, Clock::time_point at) const {
    std::string text = "chaosgate: " + printable_line(state.label) + " ";
    text += state.wanted == 0 ? plural(state.done, state.unit)
                              : fmt::format("{}/{}", thousands(state.done), plural(state.wanted, state.unit));
    if (state.violations) {
      text += ", " + plural(*state.violations, "violation");
    }
    const double seconds = std::chrono::duration<double>(at - first_at_).count();
    if (at - first_at_ < kRateAfter || state.done <= first_done_) {
      return text;
    }
    const double rate = static_cast<double>(state.done - first_done_) / seconds;
    text += fmt::format(", {:.1f} {}s/s", rate, state.unit);
    if (state.done < state.wanted) {
      text += ", " + left(static_cast<double>(state.wanted - state.done) / rate) + " left";
    }
    return text;
  }

  // Whole seconds: tenths of a guess only flicker.
  static std::string left(double seconds) {
    return seconds < 60 ? fmt::format("{:.0f} s", std::ceil(seconds)) : duration(seconds);
  }

  // Progress that cannot be shown is no reason to stop a campaign.
  void print(const std::string& text) const {
    [[maybe_unused]] const Status ignored = write_all(options_.fd, text, "progress");
  }

  const Options options_;
  const bool terminal_;
  std::mutex mutex_;
  std::string label_;
  Clock::time_point last_print_;
  Clock::time_point first_at_;
  std::uint64_t first_done_ = 0;
  bool visible_ = false;
};

Progress::Progress(bool enabled) : impl_(enabled ? std::make_unique<Impl>(Options()) : nullptr) {}

Progress::Progress(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Progress::~Progress() { clear(); }

void Progress::update(const State& state) {
  if (impl_) {
    impl_->update(state);
  }
}

void Progress::clear() {
  if (impl_) {
    impl_->clear();
  }
}

}  // namespace chaosgate::report
