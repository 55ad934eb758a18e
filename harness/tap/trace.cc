#include "harness/tap/trace.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "harness/base/coding.h"
#include "harness/base/hash.h"

namespace chaosgate::tap {
namespace {

constexpr std::uint32_t kMagic = 0x72746763;  // "cgtr"
constexpr std::uint32_t kVersion = 1;

constexpr std::array<std::string_view, kStorageCallCount> kNames = {
    "create",   "write",  "truncate", "allocate", "sync",  "datasync", "range-sync",
    "sync-all", "rename", "link",     "unlink",   "mkdir", "rmdir",    "refused"};

enum Flag : std::uint8_t {
  kInjected = 1,
  kDirectory = 2,
  kWriteThrough = 4,
  kInformational = 8,
  kDirect = 16
};

void put_indexes(const TraceIndexes& indexes, std::string* out) {
  for (const std::uint64_t index :
       {indexes.appended, indexes.synced, indexes.applied, indexes.flushed, indexes.term}) {
    put_u64(out, index);
  }
}

bool take_indexes(Reader* reader, TraceIndexes* indexes) {
  return reader->u64(&indexes->appended) && reader->u64(&indexes->synced) && reader->u64(&indexes->applied) &&
         reader->u64(&indexes->flushed) && reader->u64(&indexes->term);
}

bool take_text(Reader* reader, std::string* text) {
  std::string_view bytes;
  if (!reader->bytes(&bytes)) {
    return false;
  }
  *text = bytes;
  return true;
}

void put_record(const TraceRecord& record, std::string* out) {
  put_u64(out, record.begin);
  put_u64(out, record.end);
  put_u32(out, record.thread);
  put_u32(out, record.process);
  put_u8(out, static_cast<std::uint8_t>(record.call));
  put_u8(out, static_cast<std::uint8_t>(
                  (record.injected ? kInjected : 0) | (record.is_directory ? kDirectory : 0) |
                  (record.write_through ? kWriteThrough : 0) | (record.informational ? kInformational : 0) |
                  (record.direct ? kDirect : 0)));
  put_u32(out, record.error);
  for (const std::uint64_t number :
       {record.inode, record.dir, record.from_dir, record.replaced, record.offset, record.length,
        record.requested, record.size_before, record.size_after, record.payload_hash}) {
    put_u64(out, number);
  }
  put_u32(out, record.mode);
  for (const std::string* text : {&record.name, &record.from_name, &record.path, &record.file_class,
                                  &record.phase, &record.system_call, &record.payload}) {
    put_bytes(out, *text);
  }
  put_indexes(record.indexes, out);
}

bool take_record(Reader* reader, TraceRecord* record) {
  std::uint8_t call = 0;
  std::uint8_t flags = 0;
  if (!reader->u64(&record->begin) || !reader->u64(&record->end) || !reader->u32(&record->thread) ||
      !reader->u32(&record->process) || !reader->u8(&call) || !reader->u8(&flags) ||
      !reader->u32(&record->error) || call >= kStorageCallCount) {
    return false;
  }
  record->call = static_cast<StorageCall>(call);
  record->injected = (flags & kInjected) != 0;
  record->is_directory = (flags & kDirectory) != 0;
  record->write_through = (flags & kWriteThrough) != 0;
  record->informational = (flags & kInformational) != 0;
  record->direct = (flags & kDirect) != 0;
  for (std::uint64_t* number :
       {&record->inode, &record->dir, &record->from_dir, &record->replaced, &record->offset, &record->length,
        &record->requested, &record->size_before, &record->size_after, &record->payload_hash}) {
    if (!reader->u64(number)) {
      return false;
    }
  }
  if (!reader->u32(&record->mode)) {
    return false;
  }
  for (std::string* text : {&record->name, &record->from_name, &record->path, &record->file_class,
                            &record->phase, &record->system_call, &record->payload}) {
    if (!take_text(reader, text)) {
      return false;
    }
  }
  return take_indexes(reader, &record->indexes);
}

bool take_trace(Reader* reader, Trace* trace) {
  std::uint64_t count = 0;
  if (!reader->u64(&count)) {
    return false;
  }
  for (; count > 0; --count) {
    BaseEntry entry;
    std::uint8_t directory = 0;
    if (!reader->u64(&entry.inode) || !reader->u8(&directory) || !reader->u64(&entry.size) ||
        !take_text(reader, &entry.path)) {
      return false;
    }
    entry.directory = directory != 0;
    trace->base.push_back(std::move(entry));
  }
  if (!reader->u64(&count)) {
    return false;
  }
  for (; count > 0; --count) {
    TraceRecord record;
    if (!take_record(reader, &record)) {
      return false;
    }
    trace->records.push_back(std::move(record));
  }
  return take_indexes(reader, &trace->last) && reader->empty();
}

}  // namespace

std::string_view to_string(StorageCall call) { return kNames.at(static_cast<std::size_t>(call)); }

std::optional<StorageCall> parse_storage_call(std::string_view name) {
  for (std::size_t i = 0; i < kStorageCallCount; ++i) {
    if (kNames[i] == name) {
      return static_cast<StorageCall>(i);
    }
  }
  return std::nullopt;
}

std::string describe(const TraceRecord& record) {
  std::string what;
  switch (record.call) {
    case StorageCall::write:
    case StorageCall::range_sync:
    case StorageCall::allocate:
      what = fmt::format("+{} {}", record.offset, record.length);
      break;
    case StorageCall::truncate:
      what = fmt::format("{} -> {}", record.size_before, record.size_after);
      break;
    case StorageCall::rename:
    case StorageCall::link:
      what = fmt::format("from {}", record.from_name);
      break;
    default:
      break;
  }
  if (record.write_through) {
    what += " (write-through)";
  }
  if (record.error != 0) {
    what += fmt::format(" = error {}", record.error);
  }
  if (record.injected) {
    what += " (injected)";
  }
  if (record.end == UINT64_MAX) {
    what += " (died)";
  }
  return fmt::format("{:>6} t{} {:<10} {:<10} {:<32} {:<18} {}", record.begin, record.thread,
                     to_string(record.call), record.file_class, record.path.empty() ? "." : record.path,
                     record.phase, what);
}

namespace {

// What a signature knows of a call.
void put_signature(const TraceRecord& record, std::string* out) {
  put_u8(out, static_cast<std::uint8_t>(record.call));
  put_bytes(out, record.file_class);
  put_u64(out, record.offset);
  put_u64(out, record.length);
  put_u32(out, record.error);
}

}  // namespace

std::uint64_t signature(const Trace& trace) {
  std::string text;
  for (const TraceRecord& record : trace.records) {
    if (!record.informational) {
      put_signature(record, &text);
    }
  }
  return hash64(text);
}

std::uint64_t calls_of_first_thread(const Trace& trace) {
  std::uint64_t sum = 0;
  for (const TraceRecord& record : trace.records) {
    if (!record.informational && record.thread == 0) {
      std::string text;
      put_signature(record, &text);
      sum += hash64(text);
    }
  }
  return sum;
}

void save_trace(const Trace& trace, std::string* out) {
  const std::size_t start = out->size();
  put_u32(out, kMagic);
  put_u32(out, kVersion);
  put_u64(out, trace.base.size());
  for (const BaseEntry& entry : trace.base) {
    put_u64(out, entry.inode);
    put_u8(out, entry.directory ? 1 : 0);
    put_u64(out, entry.size);
    put_bytes(out, entry.path);
  }
  put_u64(out, trace.records.size());
  for (const TraceRecord& record : trace.records) {
    put_record(record, out);
  }
  put_indexes(trace.last, out);
  put_u64(out, hash64(std::string_view(*out).substr(start)));
}

Status load_trace(std::string_view bytes, Trace* trace) {
  Reader reader(bytes);
  std::uint32_t magic = 0;
  std::uint32_t version = 0;
  if (!reader.u32(&magic) || magic != kMagic) {
    return Status::corruption("not a trace: the magic number is missing");
  }
  if (!reader.u32(&version) || version != kVersion) {
    return Status::not_supported(
        fmt::format("a trace of format version {}; this build reads version {}", version, kVersion));
  }
  constexpr std::size_t kSum = sizeof(std::uint64_t);
  if (reader.rest().size() < kSum) {
    return Status::corruption("the trace is cut off");
  }
  const std::string_view body = bytes.substr(0, bytes.size() - kSum);
  if (hash64(body) != load_fixed<std::uint64_t>(bytes.data() + body.size())) {
    return Status::corruption("the trace is damaged: its checksum does not fit");
  }
  Reader content(body.substr(sizeof magic + sizeof version));
  Trace loaded;
  if (!take_trace(&content, &loaded)) {
    return Status::corruption("the trace is damaged: a record is malformed");
  }
  RETURN_IF_ERROR(check_trace(loaded));
  *trace = std::move(loaded);
  return {};
}

}  // namespace chaosgate::tap
