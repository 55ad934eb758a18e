// create_log() and open_log(): from a directory to a running SegmentedLog.
//
// Opening first verifies everything and changes nothing, so that a log that is refused stays as it was
// found; then it repairs: drops the torn tail, makes what it will report as synced durable, removes
// temporary files. Each repair can be interrupted and is done again by the next open.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "harness/base/file.h"
#include "harness/log/segmented_log.h"

namespace chaosgate::log {

namespace fs = std::filesystem;

namespace {

struct SegmentFile {
  std::uint64_t sequence = 0;
  std::uint64_t first_index = 0;
  std::string name;
};

Status make_directory(const fs::path& directory) {
  if (::mkdir(directory.c_str(), 0755) != 0) {
    return Status::io_error("create " + directory.string(), errno);
  }
  return {};
}

class Opening {
 public:
  Opening(const fs::path& directory, const LogOptions& options, StepSink& steps)
      : directory_(directory), options_(options), steps_(steps) {}

  Status run(LogState* state) {
    RETURN_IF_ERROR(list());
    for (std::size_t i = 0; i < files_.size(); ++i) {
      RETURN_IF_ERROR(read(i, state));
    }
    RETURN_IF_ERROR(check_known_synced(*state));
    RETURN_IF_ERROR(open_last(state));
    if (last_.torn_bytes > 0) {
      RETURN_IF_ERROR(drop_torn_tail(state));
    }
    RETURN_IF_ERROR(make_durable(state));
    return remove_temporaries(state);
  }

 private:
  // Segments by sequence, and what is to be removed. A name that is neither is not ours to ignore: it may be
  // a segment that somebody renamed.
  Status list() {
    std::error_code error;
    fs::directory_iterator entries(directory_, error);
    if (error) {
      return error == std::errc::no_such_file_or_directory
                 ? Status::not_found()
                 : Status::io_error("open " + directory_.string(), error.value());
    }
    for (; entries != fs::directory_iterator(); entries.increment(error)) {
      SegmentFile file;
      file.name = entries->path().filename().string();
      if (parse_segment_name(file.name, &file.sequence, &file.first_index)) {
        files_.push_back(file);
      } else if (file.name.ends_with(kTemporarySuffix)) {
        temporaries_.push_back(entries->path());
      } else {
        return Status::corruption(
            fmt::format("log directory {}: {} is not a log segment", directory_.string(), file.name));
      }
    }
    if (error) {
      return Status::io_error("read " + directory_.string(), error.value());
    }
    if (files_.empty()) {
      return Status::corruption(
          fmt::format("log directory {}: expected at least one segment, found none", directory_.string()));
    }
    std::sort(files_.begin(), files_.end(), [](const SegmentFile& a, const SegmentFile& b) {
      return std::pair(a.sequence, a.first_index) < std::pair(b.sequence, b.first_index);
    });
    return {};
  }

  // Reads and verifies segment `i`, and that it continues the one before. A last segment without a whole
  // header is corruption like any other: the header was fsynced before the segment got its name, so no crash
  // leaves one without it.
  Status read(std::size_t i, LogState* state) {
    const SegmentFile& file = files_[i];
    RETURN_IF_ERROR(read_file(directory_ / file.name, &bytes_));
    SegmentRules rules;
    rules.fault_skip_chain = options_.fault_skip_chain;
    rules.fault_keep_tail_bytes = options_.fault_keep_tail_bytes;
    rules.fault_cut_damage = options_.fault_cut_damage;
    if (i + 1 < files_.size()) {
      const SegmentFile& next = files_[i + 1];
      if (next.sequence != file.sequence + 1) {
        return Status::corruption(fmt::format("log segment {}: expected sequence {} after {}, found {}",
                                              next.name, file.sequence + 1, file.name, next.sequence));
      }
      rules.sealed_at = next.first_index - 1;
    }
    const std::uint64_t chain = last_.chain;
    const std::uint64_t term = last_.last_term;
    RETURN_IF_ERROR(read_segment(bytes_, file.name, rules, &last_));
    if (i > 0 && (last_.header.chain != chain || last_.header.previous_term != term) &&
        !options_.fault_skip_chain) {
      return Status::corruption(fmt::format(
          "log segment {}, offset 0, entry {}: chain: expected {:#018x} in term {}, found {:#018x} in term "
          "{}",
          file.name, file.first_index, chain, term, last_.header.chain, last_.header.previous_term));
    }
    Segment segment;
    segment.header = last_.header;
    segment.offsets = std::move(last_.offsets);
    segment.end_offset = last_.end_offset;
    state->segments.push_back(std::move(segment));
    state->chain = last_.chain;
    state->last_term = last_.last_term;
    return {};
  }

  Status check_known_synced(const LogState& state) const {
    const Segment& last = state.segments.back();
    const std::uint64_t last_index = last.next_index() - 1;
    if (options_.known_synced <= last_index) {
      return {};
    }
    return Status::corruption(fmt::format(
        "log segment {}, offset {}, entry {}: entries up to {} were synced: expected {} as the last one, "
        "found {}{}",
        last.name(), last.end_offset, last_index + 1, options_.known_synced, options_.known_synced,
        last_index,
        last_.torn_bytes > 0 ? fmt::format(" and {} damaged bytes ({})", last_.torn_bytes, last_.torn_reason)
                             : ""));
  }

  Status open_last(LogState* state) const {
    const Segment& last = state->segments.back();
    state->file.reset(::open((directory_ / last.name()).c_str(), O_RDWR | O_CLOEXEC));
    if (!state->file) {
      return Status::io_error("open " + last.name(), errno);
    }
    return {};
  }

  // In the file, not only in memory: records of the torn tail must never stand behind new ones.
  Status drop_torn_tail(LogState* state) const {
    Segment& last = state->segments.back();
    steps_.at(Step::during_suffix_truncation);
    if (options_.fault_keep_torn_tail) {
      last.end_offset = bytes_.size();
      return {};
    }
    if (::ftruncate(state->file.get(), static_cast<off_t>(last.end_offset)) != 0) {
      return Status::io_error("truncate " + last.name(), errno);
    }
    state->recovery.torn_bytes = last_.torn_bytes;
    state->recovery.torn_after = last.next_index() - 1;
    state->recovery.torn_reason = last_.torn_reason;
    return {};
  }

  // Entries that were read may be in the page cache only: the process before this one may have been killed
  // before its fdatasync, or that failed. After a failure the pages count as clean and another fdatasync
  // would succeed without writing them (Rebello et al., ATC 2020). So the records that nobody testified as
  // synced are written again, unchanged, before they are synced and reported as such.
  Status make_durable(LogState* state) const {
    const Segment& last = state->segments.back();
    const std::uint64_t first_unproven = std::max(last_.last_synced + 1, last.first_index());
    std::uint64_t begin = last.end_offset;
    if (first_unproven < last.next_index() && !options_.fault_trust_tail) {
      begin = last.offsets[first_unproven - last.first_index()];
    }
    const int fd = state->file.get();
    if (::lseek(fd, static_cast<off_t>(begin), SEEK_SET) < 0) {
      return Status::io_error("seek " + last.name(), errno);
    }
    RETURN_IF_ERROR(
        write_all(fd, std::string_view(bytes_).substr(begin, last.end_offset - begin), last.name()));
    if (options_.fault_trust_tail) {
      return {};
    }
    if (::fsync(fd) != 0) {
      return Status::io_error("fsync " + last.name(), errno);
    }
    return sync_directory(directory_);  // the name may be as young as the content
  }

  Status remove_temporaries(LogState* state) const {
    for (const fs::path& temporary : temporaries_) {
      if (::unlink(temporary.c_str()) != 0) {
        return Status::io_error("unlink " + temporary.string(), errno);
      }
      ++state->recovery.removed_files;
    }
    return temporaries_.empty() ? Status() : sync_directory(directory_);
  }

  const fs::path& directory_;
  const LogOptions& options_;
  StepSink& steps_;
  std::vector<SegmentFile> files_;
  std::vector<fs::path> temporaries_;
  std::string bytes_;    // of the segment that was read last
  SegmentContent last_;  // the same; its offsets have moved to LogState
};

}  // namespace

Status create_log(const fs::path& directory, const LogOptions& options, StepSink& steps,
                  std::unique_ptr<Log>* log) {
  if (options.known_synced > options.start_after) {
    return Status::corruption(
        fmt::format("log directory {}: a new log starts after entry {}, but {} was synced",
                    directory.string(), options.start_after, options.known_synced));
  }
  std::error_code error;
  if (fs::exists(directory, error) || error) {
    return Status::invalid_argument("log directory exists: " + directory.string());
  }
  fs::path staging = directory.has_filename() ? directory : directory.parent_path();  // "log/" is "log"
  staging += ".new";
  fs::remove_all(staging, error);  // of a creation that was interrupted
  if (error) {
    return Status::io_error("remove " + staging.string(), error.value());
  }
  RETURN_IF_ERROR(make_directory(staging));
  LogState state;
  Segment segment;
  segment.header.sequence = kFirstSequence;
  segment.header.first_index = options.start_after + 1;
  segment.header.previous_term = options.start_after_term;
  RETURN_IF_ERROR(write_segment_file(staging / segment.name(), &segment.header, &state.file));
  RETURN_IF_ERROR(sync_directory(staging));
  if (::rename(staging.c_str(), directory.c_str()) != 0) {
    return Status::io_error("rename " + staging.string(), errno);
  }
  RETURN_IF_ERROR(sync_directory(fs::absolute(staging).parent_path()));
  state.chain = segment.header.checksum;
  state.last_term = segment.header.previous_term;
  state.segments.push_back(std::move(segment));
  *log = std::make_unique<SegmentedLog>(directory, options, steps, std::move(state));
  return {};
}

Status open_log(const fs::path& directory, const LogOptions& options, StepSink& steps,
                std::unique_ptr<Log>* log) {
  LogState state;
  RETURN_IF_ERROR(Opening(directory, options, steps).run(&state));
  *log = std::make_unique<SegmentedLog>(directory, options, steps, std::move(state));
  return {};
}

}  // namespace chaosgate::log
