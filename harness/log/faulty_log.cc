#include "harness/log/faulty_log.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace chaosgate::log {
namespace {

constexpr std::string_view kAckBeforeSync = "ack-before-sync";
constexpr std::string_view kAckedBeforeAppend = "acked-before-append";
constexpr std::string_view kTruncateTooEarly = "truncate-too-early";
constexpr std::string_view kStaleEntry = "stale-entry";
constexpr std::string_view kTailResurrected = "tail-resurrected";
constexpr std::string_view kFsyncGate = "fsync-gate";
constexpr std::string_view kRolloverHole = "rollover-hole";
constexpr std::string_view kAppendsReorder = "appends-reorder";
constexpr std::string_view kRecoveredTail = "recovered-tail-unsynced";
constexpr std::string_view kTornTailKept = "torn-tail-kept";
// A part of a fault, see harness/replica/planted_faults.cc.
constexpr std::string_view kTailCutTooFar = "tail-cut-too-far";

// Passes everything on; a fault overrides what it breaks.
class LogDecorator : public Log {
 public:
  explicit LogDecorator(std::unique_ptr<Log> log) : log_(std::move(log)) {}

  Status append(std::uint64_t term, EntryType type, std::string_view payload) override {
    return log_->append(term, type, payload);
  }
  Status sync() override { return log_->sync(); }
  std::uint64_t first_index() const override { return log_->first_index(); }
  std::uint64_t last_index() const override { return log_->last_index(); }
  std::uint64_t synced_index() const override { return log_->synced_index(); }
  std::uint64_t last_term() const override { return log_->last_term(); }
  Status read(std::uint64_t from, std::uint64_t to,
              const std::function<Status(const Entry&)>& visit) override {
    return log_->read(from, to, visit);
  }
  Status truncate_prefix(std::uint64_t upto) override { return log_->truncate_prefix(upto); }
  Status truncate_suffix(std::uint64_t from) override { return log_->truncate_suffix(from); }
  const LogRecovery& recovery() const override { return log_->recovery(); }

 protected:
  Log& inner() { return *log_; }
  const Log& inner() const { return *log_; }

 private:
  const std::unique_ptr<Log> log_;
};

// Reports a synced index that the log beneath has not reached.
class EarlyAckLog : public LogDecorator {
 public:
  explicit EarlyAckLog(std::unique_ptr<Log> log)
      : LogDecorator(std::move(log)), claimed_index_(inner().synced_index()) {}

  std::uint64_t synced_index() const override { return claimed_index_; }
  Status truncate_suffix(std::uint64_t from) override {
    RETURN_IF_ERROR(inner().truncate_suffix(from));
    claimed_index_ = std::min(claimed_index_, inner().last_index());
    return {};
  }

 protected:
  void claim() { claimed_index_ = inner().last_index(); }

 private:
  std::uint64_t claimed_index_;
};

// sync() answers and leaves the entries in user space, but for one call in kRealSyncEvery.
class AckBeforeSync final : public EarlyAckLog {
 public:
  using EarlyAckLog::EarlyAckLog;

  Status sync() override {
    if (++calls_ % kRealSyncEvery == 0) {
      RETURN_IF_ERROR(inner().sync());
    }
    claim();
    return {};
  }

 private:
  static constexpr std::uint64_t kRealSyncEvery = 8;
  std::uint64_t calls_ = 0;
};

// sync() answers before the work is done, which then runs ahead of the next append: a window between the
// acknowledgement and the next proposal.
class AckedBeforeAppend final : public EarlyAckLog {
 public:
  using EarlyAckLog::EarlyAckLog;

  Status append(std::uint64_t term, EntryType type, std::string_view payload) override {
    if (std::exchange(pending_, false)) {
      RETURN_IF_ERROR(inner().sync());
    }
    return inner().append(term, type, payload);
  }
  Status sync() override {
    pending_ = true;
    claim();
    return {};
  }

 private:
  bool pending_ = false;
};

// Drops everything that was appended instead of what is durable in the engine.
class TruncateTooEarly final : public LogDecorator {
 public:
  using LogDecorator::LogDecorator;

  Status truncate_prefix(std::uint64_t upto) override {
    return inner().truncate_prefix(std::max(upto, inner().last_index()));
  }
};

// read() hands out, for one index in kEvery, the payload of the entry before, as a cache with a wrong key
// does.
class StaleEntry final : public LogDecorator {
 public:
  using LogDecorator::LogDecorator;

  Status read(std::uint64_t from, std::uint64_t to,
              const std::function<Status(const Entry&)>& visit) override {
    std::optional<EntryType> type;  // of the entry before, once there is one
    std::string payload;
    const auto remember = [&](const Entry& entry) {
      type = entry.type;
      payload.assign(entry.payload);
      return Status();
    };
    if (is_stale(from) && from > inner().first_index()) {
      RETURN_IF_ERROR(inner().read(from - 1, from - 1, remember));
    }
    return inner().read(from, to, [&](const Entry& entry) {
      Entry answer = entry;
      // Only among equals: a noop with a payload would be refused at once.
      if (is_stale(entry.index) && type == entry.type) {
        answer.payload = payload;
        return visit(answer);
      }
      RETURN_IF_ERROR(visit(answer));
      return is_stale(entry.index + 1) ? remember(entry) : Status();
    });
  }

 private:
  static constexpr std::uint64_t kEvery = 61;  // prime: no rhythm in common with group or segment sizes
  static bool is_stale(std::uint64_t index) { return index % kEvery == 0; }
};

}  // namespace

const std::vector<LogFaultInfo>& log_faults() {
  static const std::vector<LogFaultInfo> faults = {
      {kAckBeforeSync, "sync() answers while the entries are still in a user-space buffer", "etcd#14370"},
      {kAckedBeforeAppend, "sync() answers first and does its work before the next append", "tikv#994"},
      {kTruncateTooEarly,
       "the prefix of the log is removed up to the last appended index, not the durable one",
       "own; log compaction ahead of the engine"},
      {kStaleEntry, "read() now and then returns the payload of the entry before", "own; stale entry cache"},
      {kTailResurrected,
       "suffix truncation leaves the old bytes; the reader resynchronises on the next record whose index "
       "fits",
       "RocksDB#12918 and others: recycled or preallocated segments"},
      {kFsyncGate, "a failed fsync is tried again, and its success believed, though the pages are gone",
       "Can applications recover from fsync failures? (ATC 2020); PostgreSQL 2018", true},
      {kRolloverHole, "a full segment is not synced when a new one starts", "LevelDB#193; RocksDB#13169",
       false, "btrfs"},
      {kAppendsReorder, "a group's last record is written through, those appended before it are not synced",
       "etcd#6378; RocksDB#12489", false, "xfs"},
      {kRecoveredTail, "what recovery finds in the log counts as durable, and is not synced again",
       "own; after a kill the page cache answers, after a power cut it does not", false, "prefix"},
      {kTornTailKept,
       "recovery leaves a torn tail where it is, new entries go behind it, and the next one cuts both",
       "own; a tail that only the second recovery gets wrong"},
  };
  return faults;
}

void configure_log_fault(std::string_view fault, LogOptions* options) {
  if (fault == kTailResurrected) {
    options->fault_skip_chain = true;
    options->fault_keep_tail_bytes = true;
  }
  if (fault == kFsyncGate) {
    options->fault_retry_sync = true;
  }
  options->fault_unsynced_rollover = fault == kRolloverHole;
  options->fault_sync_last_only = fault == kAppendsReorder;
  options->fault_trust_tail = fault == kRecoveredTail;
  options->fault_keep_torn_tail = fault == kTornTailKept;
  options->fault_cut_damage = fault == kTailCutTooFar || fault == kTornTailKept;
}

std::unique_ptr<Log> wrap_log(std::string_view fault, std::unique_ptr<Log> log) {
  if (fault == kAckBeforeSync) {
    return std::make_unique<AckBeforeSync>(std::move(log));
  }
  if (fault == kAckedBeforeAppend) {
    return std::make_unique<AckedBeforeAppend>(std::move(log));
  }
  if (fault == kTruncateTooEarly) {
    return std::make_unique<TruncateTooEarly>(std::move(log));
  }
  if (fault == kStaleEntry) {
    return std::make_unique<StaleEntry>(std::move(log));
  }
  return log;
}

}  // namespace chaosgate::log
