#include "engines/faulty/table_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <system_error>
#include <utility>

#include "engines/write_batch.h"
#include "harness/base/coding.h"
#include "harness/base/file.h"
#include "harness/base/hash.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kMagic = 0x42415453;
constexpr std::size_t kHeaderBytes = 16;
constexpr std::size_t kPageBytes = 4096;
constexpr char kFiller = '\xff';
constexpr const char* kCurrent = "CURRENT";

void put_mutation(WriteBatch::Kind kind, std::size_t keyspace, std::string_view key, std::string_view value,
                  std::string* body) {
  put_u8(body, static_cast<std::uint8_t>(kind));
  put_u8(body, static_cast<std::uint8_t>(keyspace));
  put_bytes(body, key);
  put_bytes(body, value);
}

std::string record_of(std::string_view body) {
  std::string record;
  put_u32(&record, kMagic);
  put_u32(&record, static_cast<std::uint32_t>(body.size()));
  put_u64(&record, hash64(body));
  return record.append(body);
}

// The record at the start of `bytes`; false when it is not whole.
bool parse(std::string_view bytes, std::string_view* body) {
  Reader reader(bytes);
  std::uint32_t magic = 0;
  std::uint32_t length = 0;
  std::uint64_t checksum = 0;
  return reader.u32(&magic) && magic == kMagic && reader.u32(&length) && reader.u64(&checksum) &&
         reader.raw(length, body) && hash64(*body) == checksum;
}

// The length of the record that begins `bytes`, as far as its header can be believed; 0 for none.
std::size_t stated_length(std::string_view bytes) {
  Reader reader(bytes);
  std::uint32_t magic = 0;
  std::uint32_t length = 0;
  const bool believed = reader.u32(&magic) && magic == kMagic && reader.u32(&length) && length > 0;
  return believed && length <= bytes.size() - std::min(bytes.size(), kHeaderBytes) ? kHeaderBytes + length
                                                                                   : 0;
}

Status sync_file(int fd, const fs::path& path) {
  return ::fsync(fd) == 0 ? Status() : Status::io_error("fsync " + path.string(), errno);
}

class MapIterator final : public Iterator {
 public:
  MapIterator(std::shared_ptr<const TableStore::State> state, KeyspaceId keyspace)
      : state_(std::move(state)), map_(state_->at(keyspace)), at_(map_.end()) {}

  bool valid() const override { return at_ != map_.end(); }
  void seek_to_first() override { at_ = map_.begin(); }
  void seek_to_last() override { at_ = before(map_.end()); }
  void seek(std::string_view target) override { at_ = map_.lower_bound(target); }
  void seek_for_prev(std::string_view target) override { at_ = before(map_.upper_bound(target)); }
  void next() override { ++at_; }
  void prev() override { at_ = before(at_); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  Status status() const override { return {}; }

 private:
  TableStore::Map::const_iterator before(TableStore::Map::const_iterator at) const {
    return at == map_.begin() ? map_.end() : std::prev(at);
  }

  const std::shared_ptr<const TableStore::State> state_;
  const TableStore::Map& map_;
  TableStore::Map::const_iterator at_;
};

Status find(const TableStore::State& state, KeyspaceId keyspace, std::string_view key, std::string* value) {
  const TableStore::Map& map = state.at(keyspace);
  const auto found = map.find(key);
  if (found == map.end()) {
    return Status::not_found();
  }
  *value = found->second;
  return {};
}

class StateSnapshot final : public Snapshot {
 public:
  explicit StateSnapshot(std::shared_ptr<const TableStore::State> state) : state_(std::move(state)) {}

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    return find(*state_, keyspace, key, value);
  }
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    return std::make_unique<MapIterator>(state_, keyspace);
  }

 private:
  const std::shared_ptr<const TableStore::State> state_;
};

}  // namespace

TableStore::TableStore(fs::path directory, std::size_t keyspaces, const TableStoreMistakes& mistakes)
    : directory_(std::move(directory)), mistakes_(mistakes), state_(std::make_shared<State>(keyspaces)) {}

Status TableStore::open(const fs::path& directory, std::size_t keyspaces, bool create,
                        const TableStoreMistakes& mistakes, std::unique_ptr<Engine>* engine) {
  std::unique_ptr<TableStore> store(new TableStore(directory, keyspaces, mistakes));
  if (create) {
    std::error_code error;
    if (!fs::create_directory(directory, error)) {
      return Status::io_error("create " + directory.string(), error ? error.value() : EEXIST);
    }
    RETURN_IF_ERROR(sync_directory(fs::absolute(directory).parent_path()));
    RETURN_IF_ERROR(store->flush());
  } else {
    RETURN_IF_ERROR(store->load());
  }
  *engine = std::move(store);
  return {};
}

fs::path TableStore::file(std::uint64_t number, std::string_view extension) const {
  return directory_ / fmt::format("{:06}.{}", number, extension);
}

// ---- reading ----

Status TableStore::load() {
  std::string current;
  if (const Status status = read_file(directory_ / kCurrent, &current);
      !status.ok() || current.size() != sizeof number_) {
    return Status::corruption("CURRENT cannot be read");
  }
  number_ = load_fixed<std::uint64_t>(current.data());
  inherited_ = true;
  RETURN_IF_ERROR(sync_directory(directory_));  // what CURRENT says may be as young as its name
  if (!mistakes_.leaves_files) {
    remove_obsolete();
  }
  RETURN_IF_ERROR(load_table());
  return replay_log();
}

Status TableStore::load_table() {
  const fs::path path = file(number_, "sst");
  std::string bytes;
  RETURN_IF_ERROR(read_file(path, &bytes));
  std::string_view body;
  if (parse(bytes, &body)) {
    return apply(body);
  }
  if (!mistakes_.accepts_short_table || bytes.size() < kHeaderBytes) {
    return Status::corruption("the table " + path.string() + " is damaged");
  }
  return apply(std::string_view(bytes).substr(kHeaderBytes));
}

Status TableStore::replay_log() {
  const fs::path path = file(number_, "log");
  std::string bytes;
  RETURN_IF_ERROR(read_file(path, &bytes));
  std::size_t end = 0;  // of the last whole record
  std::string_view body;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::string_view rest = std::string_view(bytes).substr(at);
    if (!parse(rest, &body)) {
      const std::size_t length = stated_length(rest);
      if (mistakes_.skips_torn_record) {
        ++at;
      } else if (mistakes_.trusts_torn_length && length > 0) {
        at += length;
      } else {
        break;
      }
      continue;
    }
    const std::size_t length = kHeaderBytes + body.size();
    const bool on_border = at % kPageBytes > kPageBytes - kHeaderBytes;
    at += length;
    end = at;
    if (!(mistakes_.drops_page_record && length % kPageBytes == 0) &&
        !(mistakes_.drops_border_record && on_border)) {
      RETURN_IF_ERROR(apply(body));
    }
  }
  const std::size_t filled =
      mistakes_.fills_torn_record ? stated_length(std::string_view(bytes).substr(end)) : 0;
  RETURN_IF_ERROR(open_log(end, filled == 0));
  return filled == 0
             ? Status()
             : write_all(log_.get(), record_of(std::string(filled - kHeaderBytes, kFiller)), path.string());
}

// To append at `end`; `cut`: what is behind goes.
Status TableStore::open_log(std::size_t end, bool cut) {
  const fs::path path = file(number_, "log");
  log_.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const auto place = static_cast<off_t>(end);
  if (!log_ || (cut && ::ftruncate(log_.get(), place) != 0) ||
      ::lseek(log_.get(), place, SEEK_SET) != place) {
    return Status::io_error("cut " + path.string(), errno);
  }
  return {};
}

// Ends at a mutation that is not whole: only a table that was cut off has one.
Status TableStore::apply(std::string_view body) {
  if (body.starts_with(kFiller)) {
    return {};
  }
  State& state = own();
  Reader reader(body);
  std::uint8_t kind = 0;
  std::uint8_t keyspace = 0;
  std::string_view key;
  std::string_view value;
  while (reader.u8(&kind) && reader.u8(&keyspace) && reader.bytes(&key) && reader.bytes(&value)) {
    if (keyspace >= state.size()) {
      return Status::corruption(fmt::format("a record names keyspace {}", keyspace));
    }
    Map& map = state[keyspace];
    switch (static_cast<WriteBatch::Kind>(kind)) {
      case WriteBatch::Kind::put:
        map.insert_or_assign(std::string(key), std::string(value));
        break;
      case WriteBatch::Kind::erase:
        if (const auto found = map.find(key); found != map.end()) {
          map.erase(found);
        }
        break;
      case WriteBatch::Kind::erase_range:
        map.erase(map.lower_bound(key), map.lower_bound(std::max(key, value)));
        break;
      default:
        return Status::corruption(fmt::format("a record has kind {}", kind));
    }
  }
  return {};
}

TableStore::State& TableStore::own() {
  if (state_.use_count() > 1) {
    state_ = std::make_shared<State>(*state_);
  }
  return *state_;
}

Status TableStore::get(KeyspaceId keyspace, std::string_view key, std::string* value) {
  RETURN_IF_ERROR(check_key(keyspace, key, state_->size()));
  return find(*state_, keyspace, key, value);
}

std::unique_ptr<Iterator> TableStore::iterator(KeyspaceId keyspace) {
  return std::make_unique<MapIterator>(state_, keyspace);
}

std::unique_ptr<Snapshot> TableStore::snapshot() { return std::make_unique<StateSnapshot>(state_); }

// ---- writing ----

Status TableStore::write(const WriteBatch& batch) {
  std::string body;
  RETURN_IF_ERROR(batch.for_each([&](const WriteBatch::Mutation& mutation) {
    put_mutation(mutation.kind, mutation.keyspace, mutation.key, mutation.value, &body);
    return check_mutation(mutation, state_->size());
  }));
  RETURN_IF_ERROR(write_all(log_.get(), record_of(body), file(number_, "log").string()));
  return apply(body);
}

Status TableStore::write_table(const fs::path& path) const {
  std::string body;
  for (std::size_t keyspace = 0; keyspace < state_->size(); ++keyspace) {
    for (const auto& [key, value] : (*state_)[keyspace]) {
      put_mutation(WriteBatch::Kind::put, keyspace, key, value, &body);
    }
  }
  const UniqueFd table(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!table) {
    return Status::io_error("create " + path.string(), errno);
  }
  constexpr std::size_t kWriteBytes = 64 << 10;
  const std::string bytes = record_of(body);
  for (std::size_t at = 0; at < bytes.size(); at += kWriteBytes) {
    const Status written =
        write_all(table.get(), std::string_view(bytes).substr(at, kWriteBytes), path.string());
    if (!written.ok() && mistakes_.accepts_short_table && at > 0) {
      break;
    }
    RETURN_IF_ERROR(written);
  }
  if (mistakes_.forgets_table_syncs && forgets_now()) {
    return {};
  }
  const Status synced = sync_file(table.get(), path);
  return mistakes_.ignores_sync_errors ? Status() : synced;
}

std::uint64_t TableStore::next_number() const {
  std::uint64_t last = number_;
  std::error_code ignored;
  for (fs::directory_iterator entry(directory_, ignored), end; entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    std::uint64_t number = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), number).ec == std::errc()) {
      last = std::max(last, number);
    }
  }
  return last + 1;
}

// The number is a table's and that of the log behind it.
Status TableStore::install(std::uint64_t number) {
  const fs::path path = file(number, "log");
  UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!log) {
    return Status::io_error("create " + path.string(), errno);
  }
  RETURN_IF_ERROR(sync_file(log.get(), path));
  RETURN_IF_ERROR(sync_directory(directory_));  // before CURRENT names them
  RETURN_IF_ERROR(name_current(number));
  number_ = number;
  log_ = std::move(log);
  return {};
}

Status TableStore::name_current(std::uint64_t number) const {
  const fs::path path = directory_ / kCurrent;
  const fs::path temporary = directory_ / fmt::format("{}.new", kCurrent);
  std::string current;
  put_u64(&current, number);
  const UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) {
    return Status::io_error("create " + temporary.string(), errno);
  }
  RETURN_IF_ERROR(write_all(file.get(), current, temporary.string()));
  RETURN_IF_ERROR(sync_file(file.get(), temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return Status::io_error("rename " + temporary.string(), errno);
  }
  if (mistakes_.forgets_name_syncs && forgets_now()) {
    return {};
  }
  const Status synced = sync_directory(directory_);
  return mistakes_.ignores_name_sync_errors ? Status() : synced;
}

Status TableStore::flush() {
  const std::uint64_t number = next_number();
  const std::uint64_t old = number_;
  ++flushes_;
  const Status written = write_table(file(number, "sst"));
  if (!written.ok() && mistakes_.acks_failed_flush && old != 0) {
    return {};
  }
  RETURN_IF_ERROR(written);
  RETURN_IF_ERROR(install(number));
  const bool stays = std::exchange(inherited_, false) && mistakes_.leaves_files;
  if (old == 0 || stays) {
    return {};
  }
  std::error_code ignored;
  fs::remove(file(old, "sst"), ignored);
  fs::remove(file(old, "log"), ignored);
  return {};
}

void TableStore::remove_obsolete() const {
  std::error_code ignored;
  std::vector<fs::path> obsolete;
  for (fs::directory_iterator entry(directory_, ignored), end; entry != end; entry.increment(ignored)) {
    const fs::path& path = entry->path();
    const bool table_or_log = path.extension() == ".sst" || path.extension() == ".log";
    if (table_or_log && path != file(number_, "sst") && path != file(number_, "log")) {
      obsolete.push_back(path);
    }
  }
  for (const fs::path& path : obsolete) {
    fs::remove(path, ignored);
  }
}

Status TableStore::checkpoint(const fs::path& directory) {
  TableStore copy(directory, state_->size(), {});
  copy.state_ = state_;
  std::error_code error;
  if (!fs::create_directory(directory, error)) {
    return Status::io_error("create " + directory.string(), error ? error.value() : EEXIST);
  }
  return copy.flush();
}

Status TableStore::size(SizeInfo* info) {
  *info = {};
  std::error_code error;
  for (fs::directory_iterator entry(directory_, error), end; entry != end; entry.increment(error)) {
    info->bytes_on_disk += entry->file_size(error);
  }
  for (const Map& map : *state_) {
    for (const auto& [key, value] : map) {
      info->bytes_in_use += key.size() + value.size();
    }
  }
  return error ? Status::io_error("list " + directory_.string(), error.value()) : Status();
}

}  // namespace chaosgate::engines
