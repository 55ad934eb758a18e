#include "harness/log/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "harness/base/check.h"
#include "harness/base/file.h"
#include "harness/log/segmented_log.h"

namespace chaosgate::log {

namespace fs = std::filesystem;

Status write_segment_file(const fs::path& path, SegmentHeader* header, UniqueFd* file) {
  file->reset(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!*file) {
    return Status::io_error("create " + path.string(), errno);
  }
  RETURN_IF_ERROR(write_all(file->get(), encode_segment_header(header), path.string()));
  if (::fsync(file->get()) != 0) {
    return Status::io_error("fsync " + path.string(), errno);
  }
  return {};
}

SegmentedLog::SegmentedLog(fs::path directory, const LogOptions& options, StepSink& steps, LogState state)
    : directory_(std::move(directory)),
      options_(options),
      steps_(steps),
      segments_(std::move(state.segments)),
      file_(std::move(state.file)),
      written_offset_(segments_.back().end_offset),
      chain_(state.chain),
      last_term_(state.last_term),
      synced_index_(segments_.back().next_index() - 1),
      recovery_(std::move(state.recovery)) {
  buffer_.reserve(std::min<std::uint64_t>(options_.buffer_bytes_max, 1 << 20) + 4096);
}

Status SegmentedLog::fail(Status status) {
  if (status.code() == StatusCode::io_error) {
    failed_ = status;
  }
  return status;
}

Status SegmentedLog::append(std::uint64_t term, EntryType type, std::string_view payload) {
  RETURN_IF_ERROR(failed_);
  if (term < last_term_) {
    return Status::invalid_argument(fmt::format("append under term {} after term {}", term, last_term_));
  }
  if (payload.size() > kPayloadBytesMax) {
    return Status::invalid_argument(
        fmt::format("append of {} bytes, at most {} are allowed", payload.size(), kPayloadBytesMax));
  }
  steps_.at(Step::before_log_append);
  Segment& segment = segments_.back();
  const Entry entry{term, segment.next_index(), type, payload};
  chain_ = append_record(&buffer_, segment.header.sequence, segment.end_offset, entry, synced_index_, chain_);
  last_term_ = term;
  segment.offsets.push_back(segment.end_offset);
  segment.end_offset = written_offset_ + buffer_.size();
  if (buffer_.size() > options_.buffer_bytes_max) {
    RETURN_IF_ERROR(write_buffer());
  }
  steps_.at(Step::after_log_append);
  return {};
}

Status SegmentedLog::write_buffer() {
  if (buffer_.empty()) {
    return {};
  }
  const std::string name = segments_.back().name();
  const std::size_t size =
      steps_.bytes_before_crash(Step::inside_log_append, written_offset_, buffer_.size());
  if (size < buffer_.size()) {
    (void)write_all(file_.get(), std::string_view(buffer_).substr(0, size), name);
    steps_.die();
  }
  if (const Status status = write_all(file_.get(), buffer_, name); !status.ok()) {
    return fail(status);
  }
  written_offset_ += buffer_.size();
  buffer_.clear();
  return {};
}

Status SegmentedLog::sync() {
  RETURN_IF_ERROR(failed_);
  if (synced_index_ == last_index()) {
    return {};
  }
  steps_.at(Step::before_log_sync);
  if (options_.fault_sync_last_only && !buffer_.empty()) {
    RETURN_IF_ERROR(write_last_through());
  } else {
    RETURN_IF_ERROR(write_buffer());
    const bool skipped = options_.fault_unsynced_rollover && written_offset_ >= options_.segment_bytes;
    if (!skipped && ::fdatasync(file_.get()) != 0 &&
        !(options_.fault_retry_sync && ::fdatasync(file_.get()) == 0)) {
      return fail(Status::io_error("fdatasync " + segments_.back().name(), errno));
    }
  }
  synced_index_ = last_index();
  steps_.at(Step::after_log_sync);
  return written_offset_ >= options_.segment_bytes ? cut() : Status();
}

// Planted fault: a write that is synced by itself does nothing for those before it. REQUIRES: the last record
// is in the buffer.
Status SegmentedLog::write_last_through() {
  const std::uint64_t last = segments_.back().offsets.back() - written_offset_;
  const std::string record = buffer_.substr(last);
  buffer_.resize(last);
  RETURN_IF_ERROR(write_buffer());
  const iovec bytes{const_cast<char*>(record.data()), record.size()};
  if (::pwritev2(file_.get(), &bytes, 1, -1, RWF_DSYNC) != static_cast<ssize_t>(record.size())) {
    return fail(Status::io_error("write " + segments_.back().name(), errno));
  }
  written_offset_ += record.size();
  return {};
}

// REQUIRES: the last segment is synced.
Status SegmentedLog::cut() {
  CHECK(buffer_.empty() && synced_index_ == last_index());
  steps_.at(Step::during_log_cut);
  const Segment& full = segments_.back();
  Segment next;
  next.header.sequence = full.header.sequence + 1;
  next.header.first_index = full.next_index();
  next.header.previous_term = last_term_;
  next.header.chain = chain_;
  fs::path temporary = path(next);
  temporary += kTemporarySuffix;
  UniqueFd file;
  if (const Status status = write_segment_file(temporary, &next.header, &file); !status.ok()) {
    return fail(status);
  }
  steps_.at(Step::during_log_cut);
  if (::rename(temporary.c_str(), path(next).c_str()) != 0) {
    return fail(Status::io_error("rename " + temporary.string(), errno));
  }
  if (const Status status = sync_directory(directory_); !status.ok()) {
    return fail(status);
  }
  chain_ = next.header.checksum;
  written_offset_ = next.end_offset;
  file_ = std::move(file);
  segments_.push_back(std::move(next));
  return {};
}

Status SegmentedLog::read(std::uint64_t from, std::uint64_t to,
                          const std::function<Status(const Entry&)>& visit) {
  RETURN_IF_ERROR(failed_);
  if (from < first_index() || to > last_index()) {
    return Status::invalid_argument(
        fmt::format("read of entries {} to {}, the log has {} to {}", from, to, first_index(), last_index()));
  }
  auto segment =
      std::upper_bound(segments_.begin(), segments_.end(), from,
                       [](std::uint64_t index, const Segment& s) { return index < s.first_index(); });
  for (--segment; from <= to; ++segment) {
    const std::uint64_t last = std::min(to, segment->next_index() - 1);
    RETURN_IF_ERROR(
        read_records(*segment, from, last, [&](const Record& record) { return visit(record.entry); }));
    from = last + 1;
  }
  return {};
}

// One read for the whole range: a system call per record would dominate replay.
template <typename Visit>
Status SegmentedLog::read_records(const Segment& segment, std::uint64_t from, std::uint64_t to,
                                  const Visit& visit) const {
  const std::uint64_t begin = segment.offsets[from - segment.first_index()];
  const std::uint64_t end =
      to + 1 < segment.next_index() ? segment.offsets[to + 1 - segment.first_index()] : segment.end_offset;
  const auto storage = std::make_unique_for_overwrite<char[]>(end - begin);
  RETURN_IF_ERROR(load(segment, begin, end, storage.get()));
  for (std::uint64_t index = from; index <= to; ++index) {
    const std::uint64_t offset = segment.offsets[index - segment.first_index()];
    const std::string_view bytes(storage.get() + (offset - begin), end - offset);
    Record record;
    if (parse_record(bytes, segment.header.sequence, offset, &record) != RecordDamage::none) {
      return Status::corruption(fmt::format("log segment {}, offset {}, entry {}: {}", segment.name(), offset,
                                            index, describe_damage(bytes, segment.header.sequence, offset)));
    }
    if (record.entry.index != index) {
      return Status::corruption(
          fmt::format("log segment {}, offset {}, entry {}: index: expected {}, found {}", segment.name(),
                      offset, index, index, record.entry.index));
    }
    RETURN_IF_ERROR(visit(record));
  }
  return {};
}

Status SegmentedLog::load(const Segment& segment, std::uint64_t begin, std::uint64_t end, char* bytes) const {
  const bool last = &segment == &segments_.back();
  if (last && end > written_offset_) {
    const std::uint64_t buffered = std::max(begin, written_offset_);
    buffer_.copy(bytes + (buffered - begin), end - buffered, buffered - written_offset_);
    end = buffered;
  }
  if (begin == end) {
    return {};
  }
  UniqueFd opened;
  if (!last) {
    opened.reset(::open(path(segment).c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) {
      return Status::io_error("open " + segment.name(), errno);
    }
  }
  const int fd = last ? file_.get() : opened.get();
  return read_exactly(fd, begin, bytes, end - begin, "log segment " + segment.name());
}

Status SegmentedLog::remove_segment(const Segment& segment) {
  const fs::path file = path(segment);
  if (::unlink(file.c_str()) != 0) {
    return fail(Status::io_error("unlink " + file.string(), errno));
  }
  const Status status = sync_directory(directory_);
  return status.ok() ? status : fail(status);
}

Status SegmentedLog::truncate_prefix(std::uint64_t upto) {
  RETURN_IF_ERROR(failed_);
  while (segments_.size() > 1 && segments_[1].first_index() - 1 <= upto) {
    steps_.at(Step::during_prefix_truncation);
    RETURN_IF_ERROR(remove_segment(segments_.front()));
    segments_.pop_front();
  }
  return {};
}

Status SegmentedLog::truncate_suffix(std::uint64_t from) {
  RETURN_IF_ERROR(failed_);
  if (from <= options_.known_synced || from < first_index() || from > last_index() + 1) {
    return Status::invalid_argument(
        fmt::format("truncation from entry {}, the log has {} to {} and {} is known to be synced", from,
                    first_index(), last_index(), options_.known_synced));
  }
  if (from == last_index() + 1) {
    return {};
  }
  // The segment that goes on with `from`. When `from` is its first entry it stays, empty: its header says
  // what the next record continues.
  std::size_t keep = segments_.size() - 1;
  while (segments_[keep].first_index() > from) {
    --keep;
  }
  // What the next record continues is looked up first: when it cannot be read, nothing has happened yet.
  std::uint64_t chain = 0;
  std::uint64_t term = 0;
  RETURN_IF_ERROR(predecessor(segments_[keep], from, &chain, &term));
  const std::uint64_t end_offset = segments_[keep].offsets[from - segments_[keep].first_index()];

  if (keep == segments_.size() - 1 && end_offset >= written_offset_) {
    buffer_.resize(end_offset - written_offset_);  // none of it ever left this process
  } else {
    buffer_.clear();
    while (segments_.size() - 1 > keep) {
      steps_.at(Step::during_suffix_truncation);
      file_.reset();
      RETURN_IF_ERROR(remove_segment(segments_.back()));
      segments_.pop_back();
    }
    RETURN_IF_ERROR(cut_file(end_offset));
    synced_index_ = from - 1;  // cut_file() synced all that is left
  }
  Segment& segment = segments_.back();
  segment.offsets.resize(from - segment.first_index());
  segment.end_offset = end_offset;
  chain_ = chain;
  last_term_ = term;
  return {};
}

Status SegmentedLog::cut_file(std::uint64_t end_offset) {
  const std::string name = segments_.back().name();
  if (!file_) {
    file_.reset(::open(path(segments_.back()).c_str(), O_RDWR | O_CLOEXEC));
    if (!file_) {
      return fail(Status::io_error("open " + name, errno));
    }
  }
  steps_.at(Step::during_suffix_truncation);
  const auto end = static_cast<off_t>(end_offset);
  // Planted fault fault_keep_tail_bytes: the old records stay behind the end, as in a preallocated or
  // recycled file, and new ones overwrite them in place.
  if (!options_.fault_keep_tail_bytes && ::ftruncate(file_.get(), end) != 0) {
    return fail(Status::io_error("truncate " + name, errno));
  }
  if (::fsync(file_.get()) != 0) {
    return fail(Status::io_error("fsync " + name, errno));
  }
  if (::lseek(file_.get(), end, SEEK_SET) != end) {
    return fail(Status::io_error("seek " + name, errno));
  }
  written_offset_ = end_offset;
  return {};
}

Status SegmentedLog::predecessor(const Segment& segment, std::uint64_t index, std::uint64_t* chain,
                                 std::uint64_t* term) const {
  if (index == segment.first_index()) {
    *chain = segment.header.checksum;
    *term = segment.header.previous_term;
    return {};
  }
  return read_records(segment, index - 1, index - 1, [&](const Record& record) {
    *chain = record.checksum;
    *term = record.entry.term;
    return Status();
  });
}

}  // namespace chaosgate::log
