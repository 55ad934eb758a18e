// What tests of engines and the conformance suite share: options, whole states as maps, crashed copies.
//
// Include it before "harness/base/test.h". Failures throw, so that a helper needs no assertion macro.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "engines/registry.h"
#include "harness/base/file.h"

namespace chaosgate::engines {

using KeyspaceState = std::map<std::string, std::string>;
using State = std::vector<KeyspaceState>;  // one per keyspace

inline constexpr KeyspaceId kFirst = 0;
inline constexpr KeyspaceId kSecond = 1;
inline constexpr KeyspaceId kThird = 2;

inline EngineOptions test_options(Maintenance maintenance = Maintenance::scheduled,
                                  Tuning tuning = Tuning::lean) {
  EngineOptions options;
  options.keyspaces = {"first", "second", "third"};
  options.maintenance = maintenance;
  options.tuning = tuning;
  return options;
}

inline TempDir test_directory() { return {std::filesystem::temp_directory_path(), "chaosgate-engines-"}; }

inline void expect_ok(const Status& status) {
  if (!status.ok()) {
    throw std::runtime_error(status.to_string());
  }
}

inline std::vector<std::string> config_names() {
  std::vector<std::string> names;
  for (const EngineConfig& config : engine_configs()) {
    names.push_back(config.name);
  }
  return names;
}

inline std::unique_ptr<Engine> create(const EngineConfig& config, const std::filesystem::path& directory,
                                      const EngineOptions& options = test_options()) {
  std::unique_ptr<Engine> engine;
  expect_ok(create_engine(config, directory, options, &engine));
  return engine;
}

inline std::unique_ptr<Engine> open(const EngineConfig& config, const std::filesystem::path& directory,
                                    const EngineOptions& options = test_options()) {
  std::unique_ptr<Engine> engine;
  expect_ok(open_engine(config, directory, options, &engine));
  return engine;
}

// Everything a forward walk finds.
inline KeyspaceState read_forward(Iterator& it) {
  KeyspaceState state;
  for (it.seek_to_first(); it.valid(); it.next()) {
    state.emplace(it.key(), it.value());
  }
  expect_ok(it.status());
  return state;
}

inline KeyspaceState read_backward(Iterator& it) {
  KeyspaceState state;
  for (it.seek_to_last(); it.valid(); it.prev()) {
    state.emplace(it.key(), it.value());
  }
  expect_ok(it.status());
  return state;
}

inline KeyspaceState read_keyspace(Engine& engine, KeyspaceId keyspace) {
  return read_forward(*engine.iterator(keyspace));
}

inline State read_state(Engine& engine, std::size_t keyspaces = 3) {
  State state;
  for (std::size_t id = 0; id < keyspaces; ++id) {
    state.push_back(read_keyspace(engine, static_cast<KeyspaceId>(id)));
  }
  return state;
}

// The reference: what a batch does, by definition.
inline void apply_batch(const WriteBatch& batch, State* state) {
  expect_ok(batch.for_each([&](const WriteBatch::Mutation& mutation) {
    KeyspaceState& keyspace = state->at(mutation.keyspace);
    switch (mutation.kind) {
      case WriteBatch::Kind::put:
        keyspace[std::string(mutation.key)] = mutation.value;
        break;
      case WriteBatch::Kind::erase:
        keyspace.erase(std::string(mutation.key));
        break;
      case WriteBatch::Kind::erase_range:
        keyspace.erase(keyspace.lower_bound(std::string(mutation.key)),
                       keyspace.lower_bound(std::string(mutation.value)));
        break;
    }
    return Status();
  }));
}

inline void put(Engine& engine, KeyspaceId keyspace, std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.put(keyspace, key, value);
  expect_ok(engine.write(batch));
}

// What SIGKILL would leave at this moment: the files as the kernel has them, without a clean close.
// REQUIRES: the engine's threads are idle (scheduled maintenance, no call under way).
inline void crash_copy(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::filesystem::remove_all(to);
  copy_tree(from, to);
}

}  // namespace chaosgate::engines
