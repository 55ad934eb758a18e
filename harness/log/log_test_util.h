// What the tests of the log share: predictable entries, a log in a temporary directory, bytes of its files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"
#include "harness/log/log.h"
#include "harness/log/log_format.h"

namespace chaosgate::log {

namespace fs = std::filesystem;

// What the entry (term, index) holds: sizes vary, and no two terms agree.
inline std::string payload_of(std::uint64_t term, std::uint64_t index, std::size_t size_max = 180) {
  const std::uint64_t seed = hash64(std::to_string(term) + "/" + std::to_string(index));
  std::string payload(seed % (size_max + 1), '\0');
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<char>(hash64("x", seed + i));
  }
  return payload;
}

struct OwnedEntry {
  std::uint64_t term = 0;
  std::uint64_t index = 0;
  std::string payload;

  bool operator==(const OwnedEntry&) const = default;
};

inline OwnedEntry entry_of(std::uint64_t term, std::uint64_t index) {
  return {term, index, payload_of(term, index)};
}

inline Status read_range(Log& log, std::uint64_t from, std::uint64_t to, std::vector<OwnedEntry>* entries) {
  entries->clear();
  return log.read(from, to, [&](const Entry& entry) {
    entries->push_back({entry.term, entry.index, std::string(entry.payload)});
    return Status();
  });
}

inline std::vector<OwnedEntry> read_all(Log& log) {
  std::vector<OwnedEntry> entries;
  if (log.last_index() < log.first_index()) {
    return entries;
  }
  if (const Status status = read_range(log, log.first_index(), log.last_index(), &entries); !status.ok()) {
    throw EnvironmentError(status.to_string());
  }
  return entries;
}

// Every few entries a new segment, every few appends a write.
inline LogOptions small_segments() {
  LogOptions options;
  options.segment_bytes = 600;
  options.buffer_bytes_max = 300;
  return options;
}

// A directory for one log. The log object belongs to the test.
class LogDirectory {
 public:
  LogDirectory() : temporary_(fs::temp_directory_path(), "chaosgate-log-test-") {}

  fs::path path() const { return temporary_.path() / "log"; }
  std::unique_ptr<Log> create(const LogOptions& options = {}, StepSink& steps = no_steps()) {
    std::unique_ptr<Log> log;
    if (const Status status = create_log(path(), options, steps, &log); !status.ok()) {
      throw EnvironmentError(status.to_string());
    }
    return log;
  }
  Status open(std::unique_ptr<Log>* log, const LogOptions& options = {}, StepSink& steps = no_steps()) {
    log->reset();  // two logs on the same files would be the test's error
    return open_log(path(), options, steps, log);
  }
  std::unique_ptr<Log> reopen(const LogOptions& options = {}) {
    std::unique_ptr<Log> log;
    if (const Status status = open(&log, options); !status.ok()) {
      throw EnvironmentError(status.to_string());
    }
    return log;
  }

  // Names of all files, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  fs::path last_segment() const { return path() / names().back(); }

 private:
  TempDir temporary_;
};

inline std::string bytes_of(const fs::path& path) {
  std::string bytes;
  if (const Status status = read_file(path, &bytes); !status.ok()) {
    throw EnvironmentError(status.to_string());
  }
  return bytes;
}

inline void append_entries(Log& log, std::uint64_t term, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const Status status = log.append(term, EntryType::transaction, payload_of(term, log.last_index() + 1));
    if (!status.ok()) {
      throw EnvironmentError(status.to_string());
    }
  }
}

inline void sync(Log& log) {
  if (const Status status = log.sync(); !status.ok()) {
    throw EnvironmentError(status.to_string());
  }
}

// Appends `count` entries and syncs after each.
inline void append_synced(Log& log, std::uint64_t term, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    append_entries(log, term, 1);
    sync(log);
  }
}

}  // namespace chaosgate::log
