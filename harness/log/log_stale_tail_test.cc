// Nothing that was cut off comes back, except under the planted fault that is there to prove it.

#include "harness/base/rng.h"
#include "harness/log/log_test_util.h"

#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::log;

namespace {

struct RewriteOutcome {
  bool opened = false;
  bool rewritten = false;  // at least one entry
  bool old_entry_back = false;
};

// 20 synced entries, cut back to 9, a few others written there under a higher term, crash, reopen.
RewriteOutcome rewrite_tail(const LogOptions& options, std::uint64_t seed) {
  Rng rng(seed);
  LogDirectory directory;
  auto log = directory.create(options);
  const auto append = [&](std::uint64_t term, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string payload;
      rng.append_bytes(&payload, rng.below(150));
      REQUIRE(log->append(term, EntryType::transaction, payload).ok());
      sync(*log);
    }
  };
  append(1, 20);
  REQUIRE(log->truncate_suffix(10).ok());
  const std::uint64_t rewritten = rng.below(5);
  append(2, rewritten);
  RewriteOutcome outcome;
  outcome.rewritten = rewritten > 0;
  outcome.opened = directory.open(&log, options).ok();
  if (outcome.opened) {
    for (const OwnedEntry& entry : read_all(*log)) {
      outcome.old_entry_back |= entry.index >= 10 && entry.term == 1;
    }
  }
  return outcome;
}

struct RewriteCounts {
  int opened = 0;
  int resurrected = 0;
};

RewriteCounts rewrite_tails(const LogOptions& options) {
  RewriteCounts counts;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const RewriteOutcome outcome = rewrite_tail(options, seed);
    counts.opened += outcome.opened;
    counts.resurrected += outcome.old_entry_back;
  }
  return counts;
}

}  // namespace

TEST_CASE("a tail that was cut off never comes back, and does with the planted fault") {
  LogOptions options;
  CHECK(rewrite_tails(options).opened == 100);
  CHECK(rewrite_tails(options).resurrected == 0);
  // A reader without the chain is safe as long as the bytes are gone.
  options.fault_skip_chain = true;
  CHECK(rewrite_tails(options).opened == 100);
  CHECK(rewrite_tails(options).resurrected == 0);
  // Both faults: most shorter rewrites bring old entries back, silently.
  options.fault_keep_tail_bytes = true;
  CHECK(rewrite_tails(options).opened == 100);
  CHECK(rewrite_tails(options).resurrected > 50);
}

TEST_CASE("behind a tail that was left in the file, the chain and the terms keep the old entries out") {
  LogOptions options;
  options.fault_keep_tail_bytes = true;
  int opened = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const RewriteOutcome outcome = rewrite_tail(options, seed);
    INFO(seed);
    if (outcome.rewritten) {  // otherwise nothing tells the old tail from the log
      CHECK(outcome.opened);
      CHECK_FALSE(outcome.old_entry_back);
    }
    opened += outcome.opened;
  }
  CHECK(opened == 100);
}

TEST_CASE("with the planted fault a log can still be cut and read across segments") {
  LogDirectory directory;
  LogOptions options = small_segments();
  options.fault_skip_chain = true;
  options.fault_keep_tail_bytes = true;
  auto log = directory.create(options);
  append_synced(*log, 1, 4);
  REQUIRE(log->truncate_suffix(2).ok());
  append_synced(*log, 2, 60);
  const auto entries = read_all(*log);
  log = directory.reopen(options);
  CHECK(read_all(*log) == entries);
}
