#include "engines/plugin/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "engines/directory.h"
#include "engines/marker.h"
#include "harness/base/check.h"
#include "harness/base/file.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

static_assert(kKeyBytesMax == CHAOSGATE_KEY_BYTES_MAX);

chaosgate_slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view view(const chaosgate_slice& bytes) { return {bytes.data, bytes.size}; }

std::string text_of(const chaosgate_message& message) {
  std::string text(message.text, ::strnlen(message.text, sizeof message.text));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

Status to_status(const char* function, chaosgate_code code, const chaosgate_message& message) {
  switch (code) {
    case CHAOSGATE_OK:
      return {};
    case CHAOSGATE_NOT_FOUND:
      return Status::not_found();
    case CHAOSGATE_CORRUPTION:
      return Status::corruption(text_of(message));
    case CHAOSGATE_IO_ERROR:
      return Status::io_error(text_of(message));
    case CHAOSGATE_INVALID_ARGUMENT:
      return Status::invalid_argument(text_of(message));
    case CHAOSGATE_NOT_SUPPORTED:
      return Status::not_supported(text_of(message));
  }
  return Status::io_error(
      fmt::format("the plugin's {}() returned the unknown code {}", function, static_cast<int>(code)));
}

// Calls a function of the table with `arguments` and a message; an exception becomes a failure.
template <typename Function, typename... Arguments>
Status call(const char* name, Function function, Arguments... arguments) {
  chaosgate_message message;
  message.text[0] = '\0';
  try {
    return to_status(name, function(arguments..., &message), message);
  } catch (const std::exception& error) {
    return Status::io_error(
        fmt::format("the plugin's {}() threw a C++ exception through the C ABI: {}", name, error.what()));
  } catch (...) {
    return Status::io_error(fmt::format("the plugin's {}() threw through the C ABI", name));
  }
}

// For functions that make something: OK must come with it. `object` is a reference, since the call that sets
// it may stand in the same argument list.
template <typename Object>
Status made(const char* name, const Status& status, Object* const& object) {
  return status.ok() && object == nullptr
             ? Status::io_error(fmt::format("the plugin's {}() returned OK without a result", name))
             : status;
}

class PluginIterator final : public Iterator {
 public:
  PluginIterator(const chaosgate_functions& functions, chaosgate_iterator* iterator, Status status)
      : functions_(functions), iterator_(iterator), status_(std::move(status)) {}
  PluginIterator(const PluginIterator&) = delete;
  PluginIterator& operator=(const PluginIterator&) = delete;
  ~PluginIterator() override {
    if (iterator_ != nullptr) {
      functions_.iterator_free(iterator_);
    }
  }

  bool valid() const override { return position_.valid != 0; }
  void seek_to_first() override { move("iterator_seek_first", functions_.iterator_seek_first); }
  void seek_to_last() override { move("iterator_seek_last", functions_.iterator_seek_last); }
  void seek(std::string_view target) override {
    move("iterator_seek", functions_.iterator_seek, slice(target));
  }
  void seek_for_prev(std::string_view target) override {
    move("iterator_seek_for_prev", functions_.iterator_seek_for_prev, slice(target));
  }
  void next() override { move("iterator_next", functions_.iterator_next); }
  void prev() override { move("iterator_prev", functions_.iterator_prev); }
  std::string_view key() const override { return view(position_.key); }
  std::string_view value() const override { return view(position_.value); }
  Status status() const override { return status_; }

 private:
  template <typename Function, typename... Target>
  void move(const char* name, Function function, Target... target) {
    if (iterator_ == nullptr) {
      return;  // it could not be made; status_ says why
    }
    position_ = {};
    status_ = call(name, function, iterator_, target..., &position_);
    if (!status_.ok()) {
      position_ = {};
    }
  }

  const chaosgate_functions& functions_;
  chaosgate_iterator* iterator_;
  chaosgate_position position_{};
  Status status_;
};

class PluginSnapshot final : public Snapshot {
 public:
  PluginSnapshot(const chaosgate_functions& functions, chaosgate_snapshot* snapshot, Status failure,
                 std::size_t keyspace_count)
      : functions_(functions),
        snapshot_(snapshot),
        failure_(std::move(failure)),
        keyspace_count_(keyspace_count) {}
  PluginSnapshot(const PluginSnapshot&) = delete;
  PluginSnapshot& operator=(const PluginSnapshot&) = delete;
  ~PluginSnapshot() override {
    if (snapshot_ != nullptr) {
      functions_.snapshot_free(snapshot_);
    }
  }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    RETURN_IF_ERROR(failure_);
    RETURN_IF_ERROR(check_key(keyspace, key, keyspace_count_));
    chaosgate_slice found{};
    RETURN_IF_ERROR(call("snapshot_get", functions_.snapshot_get, snapshot_, keyspace, slice(key), &found));
    value->assign(view(found));
    return {};
  }
  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    chaosgate_iterator* iterator = nullptr;
    Status status = failure_;
    if (status.ok()) {
      status = made("snapshot_iterator",
                    call("snapshot_iterator", functions_.snapshot_iterator, snapshot_, keyspace, &iterator),
                    iterator);
    }
    return std::make_unique<PluginIterator>(functions_, iterator, status);
  }

 private:
  const chaosgate_functions& functions_;
  chaosgate_snapshot* snapshot_;
  const Status failure_;  // why there is none
  const std::size_t keyspace_count_;
};

class PluginEngine final : public Engine {
 public:
  PluginEngine(const chaosgate_functions& functions, chaosgate_engine* engine, const EngineConfig& config,
               fs::path directory, std::vector<std::string> keyspaces)
      : functions_(functions),
        engine_(engine),
        marker_{config.family, std::move(keyspaces)},
        directory_(std::move(directory)),
        keyspace_count_(marker_.keyspaces.size()) {}
  PluginEngine(const PluginEngine&) = delete;
  PluginEngine& operator=(const PluginEngine&) = delete;
  ~PluginEngine() override { functions_.close(engine_); }

  Status write(const WriteBatch& batch) override {
    mutations_.clear();
    RETURN_IF_ERROR(batch.for_each([&](const WriteBatch::Mutation& mutation) {
      mutations_.push_back(
          {to_kind(mutation.kind), mutation.keyspace, slice(mutation.key), slice(mutation.value)});
      return check_mutation(mutation, keyspace_count_);
    }));
    return call("write", functions_.write, engine_, chaosgate_batch{mutations_.data(), mutations_.size()});
  }

  Status get(KeyspaceId keyspace, std::string_view key, std::string* value) override {
    RETURN_IF_ERROR(check_key(keyspace, key, keyspace_count_));
    chaosgate_slice found{};
    RETURN_IF_ERROR(call("get", functions_.get, engine_, keyspace, slice(key), &found));
    value->assign(view(found));
    return {};
  }

  std::unique_ptr<Iterator> iterator(KeyspaceId keyspace) override {
    CHECK(keyspace < keyspace_count_, "keyspace {} of {}", keyspace, keyspace_count_);
    chaosgate_iterator* iterator = nullptr;
    const Status status = call("iterator", functions_.iterator, engine_, keyspace, &iterator);
    return std::make_unique<PluginIterator>(functions_, iterator, made("iterator", status, iterator));
  }

  std::unique_ptr<Snapshot> snapshot() override {
    chaosgate_snapshot* snapshot = nullptr;
    const Status status = call("snapshot", functions_.snapshot, engine_, &snapshot);
    return std::make_unique<PluginSnapshot>(functions_, snapshot, made("snapshot", status, snapshot),
                                            keyspace_count_);
  }

  Status flush() override { return call("flush", functions_.flush, engine_); }
  Status compact() override { return call("compact", functions_.compact, engine_); }

  Status checkpoint(const fs::path& directory) override {
    const fs::path place = without_trailing_slash(directory);
    std::error_code error;
    if (fs::exists(fs::symlink_status(place, error))) {
      return Status::invalid_argument(
          fmt::format("{} exists already, a checkpoint needs a new directory", place.string()));
    }
    RETURN_IF_ERROR(call("checkpoint", functions_.checkpoint, engine_, slice(place.native())));
    RETURN_IF_ERROR(sync_tree(place));
    RETURN_IF_ERROR(write_marker(place, marker_));
    return sync_directory(parent_directory(place));
  }

  Status size(SizeInfo* info) override {
    RETURN_IF_ERROR(directory_bytes(directory_, &info->bytes_on_disk));
    return call("bytes_in_use", functions_.bytes_in_use, engine_, &info->bytes_in_use);
  }

  Status check_integrity() override { return call("check_integrity", functions_.check_integrity, engine_); }

 private:
  static chaosgate_mutation_kind to_kind(WriteBatch::Kind kind) {
    return kind == WriteBatch::Kind::put     ? CHAOSGATE_PUT
           : kind == WriteBatch::Kind::erase ? CHAOSGATE_DELETE
                                             : CHAOSGATE_DELETE_RANGE;
  }

  const chaosgate_functions& functions_;
  chaosgate_engine* engine_;
  const Marker marker_;
  const fs::path directory_;
  const std::size_t keyspace_count_;
  std::vector<chaosgate_mutation> mutations_;  // kept for its memory
};

}  // namespace

Status open_plugin_engine(const chaosgate_functions& functions, std::uint32_t configuration,
                          const EngineConfig& config, const fs::path& directory, const EngineOptions& options,
                          bool create, std::unique_ptr<Engine>* engine) {
  if (options.read_only) {
    return Status::not_supported("the C ABI of plugins cannot open a store for reading only");
  }
  std::vector<chaosgate_slice> keyspaces;
  keyspaces.reserve(options.keyspaces.size());
  for (const std::string& name : options.keyspaces) {
    keyspaces.push_back(slice(name));
  }
  chaosgate_open_options open{};
  open.configuration = configuration;
  open.directory = slice(directory.native());
  open.create = create ? 1 : 0;
  open.keyspaces = keyspaces.data();
  open.keyspace_count = keyspaces.size();
  open.scheduled = options.maintenance == Maintenance::scheduled ? 1 : 0;
  open.lean = options.tuning == Tuning::lean ? 1 : 0;
  chaosgate_engine* opened = nullptr;
  const Status status = made("open", call("open", functions.open, open, &opened), opened);
  if (status.is_not_found()) {
    return Status::corruption("the plugin's open() found no store");
  }
  RETURN_IF_ERROR(status);
  *engine = std::make_unique<PluginEngine>(functions, opened, config, directory, options.keyspaces);
  return {};
}

bool plugin_has_store(const chaosgate_functions& functions, std::uint32_t configuration,
                      const fs::path& directory) {
  return functions.has_store(configuration, slice(directory.native())) != 0;
}

}  // namespace chaosgate::engines
