// A storage engine as a chaosgate plugin: maps in memory (map_state.h), and a file to which every batch is
// appended. Put your engine in its place, and keep the contract at the end honest.
// Its first record names the keyspaces.
#include <chaosgate_engine.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "map_state.h"

struct chaosgate_engine : SharedState {
  std::string directory, path, names;
  int fd = -1;
};

// After a failure nobody knows what the file holds, so nothing more is written to it.
static chaosgate_code result(bool ok, chaosgate_engine* engine, chaosgate_message* message) {
  if (ok) return CHAOSGATE_OK;
  std::strncpy(message->text, std::strerror(errno), sizeof message->text - 1);
  ::close(engine->fd);
  engine->fd = -1;
  return CHAOSGATE_IO_ERROR;
}
static bool save(const chaosgate_engine& engine, const std::string& path) {
  return write_file(path, record(engine.names) + record(encode(*engine.state)));
}
static bool open_file(chaosgate_engine* engine) {
  if (engine->fd >= 0) ::close(engine->fd);
  return (engine->fd = ::open(engine->path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)) >= 0;
}
static chaosgate_code open_store(chaosgate_open_options options, chaosgate_engine** engine,
                                 chaosgate_message* message) {
  auto opened = std::make_unique<chaosgate_engine>();
  opened->state = std::make_shared<State>(options.keyspace_count);
  opened->directory = text(options.directory);
  opened->path = opened->directory + "/data";
  for (std::size_t i = 0; i < options.keyspace_count; ++i) opened->names += text(options.keyspaces[i]) + '\0';
  if (options.create && !save(*opened, opened->path)) return result(false, opened.get(), message);
  const std::uint64_t size = read_records(opened->path, [&](std::uint64_t number, const std::string& body) {
    if (number > 0) apply_mutations(body, opened->state.get());
    return number > 0 || body == opened->names;
  });
  if (size == 0) return CHAOSGATE_CORRUPTION;
  const bool ok = open_file(opened.get()) && ::ftruncate(opened->fd, static_cast<off_t>(size)) == 0;
  if (!ok) return result(false, opened.get(), message);
  *engine = opened.release();
  return CHAOSGATE_OK;
}
static chaosgate_code write_batch(chaosgate_engine* engine, chaosgate_batch batch,
                                  chaosgate_message* message) {
  std::string body;
  for (std::size_t i = 0; i < batch.count; ++i) encode(batch.mutations[i], &body);
  const bool ok = append(engine->fd, record(body));
  if (ok) apply_mutations(body, &engine->own());
  return result(ok, engine, message);
}
static chaosgate_code compact(chaosgate_engine* engine, chaosgate_message* message) {
  const std::string copy = engine->path + ".new";
  if (!save(*engine, copy) || std::rename(copy.c_str(), engine->path.c_str()) != 0)
    return result(false, engine, message);
  const int directory =
      ::open(engine->directory.c_str(), O_RDONLY | O_CLOEXEC);  // else a power cut undoes it
  return result(directory >= 0 && ::fsync(directory) == 0 && ::close(directory) == 0 && open_file(engine),
                engine, message);
}

static const chaosgate_file_class kClasses[] = {
    {"data", "data*", 0, 0}, {"marker", "ENGINE*", 0, 0}, {"other", "*", 0, 0}};
static const chaosgate_configuration kConfigurations[] = {
    {"my-engine",
     "my-engine",
     "maps in memory, an append-only file synced by flush",
     {CHAOSGATE_SURVIVES_PROCESS_CRASH, CHAOSGATE_SURVIVES_POWER_CUT, 1, 1, 0, 0, nullptr, 0},
     kClasses,
     3}};

extern "C" const chaosgate_plugin* chaosgate_engine_plugin() {
  using Engine = chaosgate_engine;
  using Message = chaosgate_message;
  static chaosgate_plugin plugin = {
      CHAOSGATE_ENGINE_ABI_VERSION, sizeof plugin, "my-engine", "1.0", kConfigurations, 1, {}};
  chaosgate_functions& table = plugin.functions;
  add_reads<Engine>(&table);
  table.open = open_store;
  table.write = write_batch;
  table.compact = compact;
  table.has_store = [](std::uint32_t, chaosgate_slice directory) {
    return is_filled(text(directory) + "/data") ? 1 : 0;
  };
  table.close = [](Engine* engine) {
    ::close(engine->fd);
    delete engine;
  };
  table.flush = [](Engine* engine, Message* message) {
    return result(::fdatasync(engine->fd) == 0, engine, message);
  };
  table.checkpoint = [](Engine* engine, chaosgate_slice directory, Message* message) {
    std::filesystem::create_directory(text(directory));
    return result(save(*engine, text(directory) + "/data"), engine, message);
  };
  table.bytes_in_use = [](Engine* engine, std::uint64_t* bytes, Message*) {
    *bytes = std::filesystem::file_size(engine->path);
    return CHAOSGATE_OK;
  };
  table.check_integrity = [](Engine*, Message*) { return CHAOSGATE_OK; };  // load() has checked all there is
  return &plugin;
}
