// What the checks of the suite share: a store of the subject, expectations, short texts. Internal to
// engines/conformance.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engines/conformance/conformance.h"
#include "engines/testing.h"
#include "harness/base/check.h"

// Throws NotConforming with the condition, and what a format and its arguments say more.
#define EXPECT(condition, ...)                                                                               \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      throw NotConforming(::chaosgate::engines::unmet(#condition, ::chaosgate::check_message(__VA_ARGS__))); \
    }                                                                                                        \
  } while (false)

namespace chaosgate::engines {

inline std::string unmet(std::string_view condition, const std::string& message) {
  return fmt::format("expected {}{}{}", condition, message.empty() ? "" : ": ", message);
}

inline void note(const ConformanceSubject& subject, const std::string& sentence) {
  if (subject.note) {
    subject.note(sentence);
  }
}

// A Status that must be ok.
inline void expect(const Status& status, std::string_view what) {
  if (!status.ok()) {
    throw NotConforming(fmt::format("{} failed: {}", what, status.to_string()));
  }
}

// Two texts that must be the same.
inline void expect_same(std::string_view what, std::string_view found, std::string_view expected) {
  if (found != expected) {
    throw NotConforming(fmt::format("{}: found \"{}\", expected \"{}\"", what, found, expected));
  }
}

// A store of the subject in a directory of its own.
class Store {
 public:
  explicit Store(const ConformanceSubject& subject, const EngineOptions& engine_options = test_options())
      : config_(subject.config), directory_(subject.directory, "store-"), options_(engine_options) {
    expect(create_engine(config_, path(), options_, &engine_), "create");
  }

  Engine& operator*() { return *engine_; }
  Engine* operator->() { return engine_.get(); }
  const EngineConfig& config() const { return config_; }
  const EngineOptions& options() const { return options_; }

  std::filesystem::path path(const std::string& name = "engine") const { return directory_.path() / name; }

  void close() { engine_.reset(); }
  void reopen(const EngineOptions& options) {
    options_ = options;
    close();
    engine_ = open_beside("engine");
  }
  void reopen() { reopen(options_); }
  // With what the contract asks for so that nothing is lost.
  void reopen_keeping_all() {
    if (config_.contract.commit == Durability::nothing) {
      expect(engine_->flush(), "flush");
    }
    reopen();
  }
  // The store of this name in the same directory, for example a copy.
  std::unique_ptr<Engine> open_beside(const std::string& name) const {
    std::unique_ptr<Engine> engine;
    expect(open_engine(config_, path(name), options_, &engine), "open");
    return engine;
  }

  void write(const WriteBatch& batch) { expect(engine_->write(batch), "write"); }
  // Writes, and does the same to the model.
  void write(const WriteBatch& batch, State* model) {
    write(batch);
    apply_batch(batch, model);
  }

 private:
  const EngineConfig& config_;
  TempDir directory_;
  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
};

inline std::optional<std::string> get(Engine& engine, KeyspaceId keyspace, std::string_view key) {
  std::string value;
  const Status status = engine.get(keyspace, key, &value);
  if (status.is_not_found()) {
    return std::nullopt;
  }
  expect(status, "get");
  return value;
}

// "a=1 c=3": the pairs of a keyspace, for short expectations.
inline std::string show(const KeyspaceState& state) {
  std::string text;
  for (const auto& [key, value] : state) {
    text.append(text.empty() ? "" : " ").append(key).append("=").append(value);
  }
  return text;
}

inline std::string key_or_end(const Iterator& it) { return it.valid() ? std::string(it.key()) : "end"; }

// Bytes as text: what is not printable as \xNN, long ones cut.
std::string printable(std::string_view bytes);

// Where two states first differ, or "".
std::string difference(const State& found, const State& expected);

inline void expect_state(Engine& engine, const State& expected) {
  const std::string differs = difference(read_state(engine, expected.size()), expected);
  EXPECT(differs.empty(), "{}", differs);
}

}  // namespace chaosgate::engines
