// SegmentedLog is the Log on segment files; log.h has the contract, log_format.h the bytes. Internal to this
// folder.
//
// Order of durability. Records reach the file by write(2) in groups and the disk by one fdatasync per group.
// A full segment is fdatasynced before the next one gets its name, and a segment has its header on disk
// before it has its name: only the last segment can have a torn tail. Every unlink is followed by an fsync
// of the directory before the next one, because directory operations may reach the disk in any order and a
// gap in the segments would be corruption.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/base/unique_fd.h"
#include "harness/log/log.h"
#include "harness/log/segment_reader.h"

namespace chaosgate::log {

// A segment as memory knows it. For the last one, offsets and end_offset include what is still buffered.
struct Segment {
  SegmentHeader header;
  std::vector<std::uint64_t> offsets;
  std::uint64_t end_offset = kSegmentHeaderBytes;

  std::uint64_t first_index() const { return header.first_index; }
  std::uint64_t next_index() const { return header.first_index + offsets.size(); }
  std::string name() const { return segment_name(header.sequence, header.first_index); }
};

// What a log knows when it starts: all of it in files, all of it durable.
struct LogState {
  std::deque<Segment> segments;  // never empty
  UniqueFd file;                 // of the last segment, positioned at its end
  std::uint64_t chain = 0;       // checksum of the last record, or of its segment's header
  std::uint64_t last_term = 0;
  LogRecovery recovery;
};

class SegmentedLog final : public Log {
 public:
  SegmentedLog(std::filesystem::path directory, const LogOptions& options, StepSink& steps, LogState state);

  Status append(std::uint64_t term, EntryType type, std::string_view payload) override;
  Status sync() override;
  std::uint64_t first_index() const override { return segments_.front().first_index(); }
  std::uint64_t last_index() const override { return segments_.back().next_index() - 1; }
  std::uint64_t synced_index() const override { return synced_index_; }
  std::uint64_t last_term() const override { return last_term_; }
  Status read(std::uint64_t from, std::uint64_t to,
              const std::function<Status(const Entry&)>& visit) override;
  Status truncate_prefix(std::uint64_t upto) override;
  Status truncate_suffix(std::uint64_t from) override;
  const LogRecovery& recovery() const override { return recovery_; }

 private:
  std::filesystem::path path(const Segment& segment) const { return directory_ / segment.name(); }
  // Remembers a failure: from now on everything is refused with it.
  Status fail(Status status);
  Status write_buffer();
  Status write_last_through();
  Status cut();
  Status remove_segment(const Segment& segment);
  // The bytes [begin, end) of a segment, from its file and, for the last one, the buffer.
  Status load(const Segment& segment, std::uint64_t begin, std::uint64_t end, char* bytes) const;
  // Visits the verified records [from, to] of one segment.
  template <typename Visit>
  Status read_records(const Segment& segment, std::uint64_t from, std::uint64_t to, const Visit& visit) const;
  // Checksum and term that a new record at `index` of `segment` continues.
  Status predecessor(const Segment& segment, std::uint64_t index, std::uint64_t* chain,
                     std::uint64_t* term) const;
  Status cut_file(std::uint64_t end_offset);

  const std::filesystem::path directory_;
  const LogOptions options_;
  StepSink& steps_;
  std::deque<Segment> segments_;
  UniqueFd file_;
  std::uint64_t written_offset_ = 0;  // of the last segment; behind it follows buffer_
  std::string buffer_;
  std::uint64_t chain_ = 0;
  std::uint64_t last_term_ = 0;
  std::uint64_t synced_index_ = 0;
  LogRecovery recovery_;
  Status failed_;
};

// Creates `path` holding `header` and makes the content durable, not the name.
Status write_segment_file(const std::filesystem::path& path, SegmentHeader* header, UniqueFd* file);

}  // namespace chaosgate::log
