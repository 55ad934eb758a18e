#include "engines/registry.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <system_error>

#include "engines/directory.h"
#include "engines/lmdb/lmdb_engine.h"
#include "engines/marker.h"
#include "engines/rocksdb/rocksdb_engine.h"
#include "harness/base/file.h"

namespace chaosgate::engines {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kKeyspacesMax = 256;  // what a KeyspaceId can name

std::vector<EngineConfig> collect_configs() {
  std::vector<EngineConfig> all;
  for (const std::vector<EngineConfig>& family : {rocksdb_configs(), lmdb_configs()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

Status check_options(const EngineOptions& options) {
  if (options.keyspaces.empty() || options.keyspaces.size() > kKeyspacesMax) {
    return Status::invalid_argument(fmt::format("an engine has between 1 and {} keyspaces, {} were asked for",
                                                kKeyspacesMax, options.keyspaces.size()));
  }
  std::set<std::string_view> seen;
  for (const std::string& name : options.keyspaces) {
    if (name.empty() || !seen.insert(name).second) {
      return Status::invalid_argument(
          fmt::format("keyspace names must differ and not be empty, found \"{}\"", name));
    }
  }
  return {};
}

fs::path creating_path(const fs::path& directory) {
  fs::path path = directory;
  path += ".creating";
  return path;
}

// The reason why a directory without a marker cannot be opened.
Status unmarked(const EngineConfig& config, const fs::path& directory) {
  std::error_code error;
  const bool empty = fs::is_empty(directory, error);
  if (error) {
    return Status::io_error("list " + directory.string(), error.value());
  }
  return Status::invalid_argument(
      empty
          ? fmt::format("{} is an empty directory, expected a {} store", directory.string(), config.family)
          : fmt::format("{} holds files but no marker {}, expected a {} store: it was not made by chaosgate, "
                        "or not completely",
                        directory.string(), kMarkerFile, config.family));
}

Status check_marked(const EngineConfig& config, const fs::path& directory) {
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (!fs::exists(status)) {
    const bool unfinished = fs::exists(creating_path(directory), error);
    return Status::invalid_argument(fmt::format(
        "{} does not exist, expected a {} store{}", directory.string(), config.family,
        unfinished ? " (a creation was begun in " + creating_path(directory).string() + " and not finished)"
                   : ""));
  }
  if (!fs::is_directory(status)) {
    return Status::invalid_argument(
        fmt::format("{} is not a directory, expected a {} store", directory.string(), config.family));
  }
  Marker marker;
  if (const Status read = read_marker(directory, &marker); !read.ok()) {
    return read.is_not_found() ? unmarked(config, directory) : read;
  }
  if (marker.family != config.family) {
    return Status::invalid_argument(fmt::format("{} holds a {} store, configuration {} expects a {} store",
                                                directory.string(), marker.family, config.name,
                                                config.family));
  }
  if (!config.has_store(directory)) {
    return Status::corruption(
        fmt::format("{} is marked as a {} store but holds none: half-installed or empty", directory.string(),
                    config.family));
  }
  return {};
}

// Makes a whole, closed store in `place`, which does not exist, without its marker.
Status create_closed(const EngineConfig& config, const fs::path& place, const EngineOptions& options) {
  std::error_code error;
  if (!fs::create_directory(place, error)) {
    return Status::io_error("create " + place.string(), error ? error.value() : EEXIST);
  }
  std::unique_ptr<Engine> engine;
  RETURN_IF_ERROR(config.open(config, place, options, true, &engine));
  engine.reset();  // engines remember their path, so a rename needs a closed one
  if (!config.has_store(place)) {
    return Status::corruption(
        fmt::format("{} made no store that it recognizes in {}", config.name, place.string()));
  }
  return sync_tree(place);
}

}  // namespace

const std::vector<EngineConfig>& engine_configs() {
  static const std::vector<EngineConfig> configs = collect_configs();
  return configs;
}

const EngineConfig* find_engine_config(std::string_view name) {
  for (const EngineConfig& config : engine_configs()) {
    if (config.name == name) {
      return &config;
    }
  }
  return nullptr;
}

Status create_engine(const EngineConfig& config, const fs::path& directory, const EngineOptions& options,
                     std::unique_ptr<Engine>* engine) {
  RETURN_IF_ERROR(check_options(options));
  const fs::path place = without_trailing_slash(directory);
  const fs::path creating = creating_path(place);
  std::error_code error;
  if (fs::exists(fs::symlink_status(place, error))) {
    return Status::invalid_argument(fmt::format("{} exists already, a new {} store needs a new directory",
                                                place.string(), config.family));
  }
  fs::remove_all(creating, error);
  if (error) {
    return Status::io_error("remove " + creating.string(), error.value());
  }
  RETURN_IF_ERROR(create_closed(config, creating, options));
  RETURN_IF_ERROR(write_marker(creating, {config.family, options.keyspaces}));
  fs::rename(creating, place, error);
  if (error) {
    return Status::io_error("rename " + creating.string(), error.value());
  }
  RETURN_IF_ERROR(sync_directory(parent_directory(place)));
  return open_engine(config, place, options, engine);
}

Status open_engine(const EngineConfig& config, const fs::path& directory, const EngineOptions& options,
                   std::unique_ptr<Engine>* engine) {
  RETURN_IF_ERROR(check_options(options));
  const fs::path place = without_trailing_slash(directory);
  RETURN_IF_ERROR(check_marked(config, place));
  return config.open(config, place, options, false, engine);
}

Status create_unfinished_engine(const EngineConfig& config, const fs::path& directory,
                                const EngineOptions& options) {
  RETURN_IF_ERROR(check_options(options));
  const fs::path place = without_trailing_slash(directory);
  RETURN_IF_ERROR(create_closed(config, place, options));
  return sync_directory(parent_directory(place));
}

Status open_unfinished_engine(const EngineConfig& config, const fs::path& directory,
                              const EngineOptions& options, std::unique_ptr<Engine>* engine) {
  RETURN_IF_ERROR(check_options(options));
  const fs::path place = without_trailing_slash(directory);
  if (!config.has_store(place)) {
    return Status::corruption(fmt::format("{} holds no {} store", place.string(), config.family));
  }
  return config.open(config, place, options, false, engine);
}

Status finish_engine(const EngineConfig& config, const fs::path& directory, const EngineOptions& options) {
  const fs::path place = without_trailing_slash(directory);
  RETURN_IF_ERROR(sync_tree(place));
  return write_marker(place, {config.family, options.keyspaces});
}

}  // namespace chaosgate::engines
