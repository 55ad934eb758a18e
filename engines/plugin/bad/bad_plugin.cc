// A plugin that misbehaves in the way that its file name says: copy it to exits-on-load.so,
// hangs-in-write.so, ... Of killed-at-open-30.so the 30th open, over all processes, is the one in which it is
// killed; a file beside it counts them.
//
// For tests only. Without one of the names below it is the engine of the template, which behaves.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>

// The template's engine, as the part that works.
#define chaosgate_engine_plugin template_plugin
#include "engines/plugin/template/my_engine.cc"
#undef chaosgate_engine_plugin

namespace {

std::filesystem::path own_file() {
  Dl_info info{};
  ::dladdr(reinterpret_cast<const void*>(&own_file), &info);
  return info.dli_fname;
}

// "hangs-in-write" of ".../hangs-in-write.so".
std::string behaviour() { return own_file().stem(); }

[[noreturn]] void hang() {
  for (;;) {
    ::pause();
  }
}

// Of "killed-at-open-30" with "killed-at-open-": whether this is the 30th call.
bool is_due(const std::string& how, const std::string& prefix) {
  if (!how.starts_with(prefix)) {
    return false;
  }
  const std::string count = own_file().string() + ".count";
  const int file = ::open(count.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  struct stat info {};
  const bool counted = file >= 0 && ::write(file, "x", 1) == 1 && ::fstat(file, &info) == 0;
  ::close(file);
  return counted && info.st_size == std::stol(how.substr(prefix.size()));
}

void end_in_open(const std::string& how) {
  if (is_due(how, "killed-at-open-")) {
    ::kill(::getpid(), SIGKILL);  // as the kernel's OOM killer does
  } else if (is_due(how, "stopped-at-open-")) {
    ::kill(::getpid(), SIGSTOP);
  } else if (is_due(how, "aborts-at-open-")) {
    std::abort();
  }
}

// Calls are stopped and answered by somebody: without a filter this is no handle, with one no such call.
bool is_tapped() { return ::syscall(SYS_open_by_handle_at, -1, nullptr, O_RDONLY) < 0 && errno == ENOSYS; }

// What is stored through such a mapping makes no call.
bool map_writable(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  return file >= 0 && ::mmap(nullptr, 1, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) != MAP_FAILED &&
         ::close(file) == 0;
}

void damage_heap() {
  void* volatile block = std::malloc(64);  // volatile: or the compiler leaves it all out
  std::free(block);
  std::free(block);  // the C library notices, and aborts
}

[[gnu::constructor]] void on_load() {
  const std::string how = behaviour();
  if (how == "exits-on-load") {
    std::exit(0);
  } else if (how == "crashes-on-load") {
    std::abort();
  } else if (how == "throws-on-load") {
    throw std::runtime_error("thrown while being loaded");
  } else if (how == "hangs-on-load") {
    hang();
  } else if (how == "prints") {
    std::puts("{\"name\": \"printed\", \"engines\": [], \"error\": \"\"}");
    std::fflush(stdout);
  } else if (how == "leaks-threads") {
    std::thread(hang).detach();
  }
}

chaosgate_code misbehave(const std::string& how, chaosgate_engine* engine, chaosgate_batch batch,
                         chaosgate_message* message) {
  if (how == "forgets-writes") {
    return CHAOSGATE_OK;
  } else if (how == "splits-batches") {  // fine, as long as nobody dies between two of them
    for (std::size_t i = 0; i < batch.count; ++i) {
      if (const chaosgate_code code = write_batch(engine, {batch.mutations + i, 1}, message);
          code != CHAOSGATE_OK) {
        return code;
      }
    }
    return CHAOSGATE_OK;
  } else if (how == "killed-in-write") {
    ::kill(::getpid(), SIGKILL);
  } else if (how == "hangs-in-write") {
    hang();
  } else if (how == "throws-in-write") {
    throw std::runtime_error("thrown in write");
  } else if (how == "exits-in-write") {
    std::exit(0);
  } else if (how == "damages-its-heap") {
    damage_heap();
  } else if (how == "finds-no-room") {
    std::snprintf(message->text, sizeof message->text, "write: %s", std::strerror(ENOSPC));
    return CHAOSGATE_IO_ERROR;
  } else if (how == "returns-nonsense") {
    return static_cast<chaosgate_code>(77);
  } else if (how == "prints") {
    std::puts("a line\non stdout");
    std::fputs("and one on stderr\n", stderr);
  } else if (how == "leaks-threads") {
    std::thread(hang).detach();
  }
  return write_batch(engine, batch, message);
}

}  // namespace

extern "C" const chaosgate_plugin* chaosgate_engine_plugin() {
  static const std::string how = behaviour();
  static chaosgate_configuration configurations[] = {kConfigurations[0], kConfigurations[0]};
  static chaosgate_plugin plugin = *template_plugin();
  plugin.configurations = configurations;
  plugin.functions.write = [](chaosgate_engine* engine, chaosgate_batch batch, chaosgate_message* message) {
    return misbehave(how, engine, batch, message);
  };
  plugin.functions.open = [](chaosgate_open_options options, chaosgate_engine** engine,
                             chaosgate_message* message) {
    end_in_open(how);
    if (how == "works-untapped-only" && is_tapped()) {
      return CHAOSGATE_IO_ERROR;
    }
    const chaosgate_code code = open_store(options, engine, message);
    const bool mapped = how != "maps-its-file" || code != CHAOSGATE_OK || map_writable((*engine)->path);
    return mapped ? code : CHAOSGATE_IO_ERROR;
  };
  plugin.functions.iterator_next = [](chaosgate_iterator* iterator, chaosgate_position* position,
                                      chaosgate_message* message) {
    const auto& sound = template_plugin()->functions;
    const chaosgate_code code = sound.iterator_next(iterator, position, message);
    const bool again = how == "iterates-in-circles" && code == CHAOSGATE_OK && !position->valid;
    return again ? sound.iterator_seek_first(iterator, position, message) : code;
  };
  if (how == "returns-nothing") {
    return nullptr;
  } else if (how == "of-another-version") {
    plugin.abi_version = CHAOSGATE_ENGINE_ABI_VERSION + 41;
  } else if (how == "named-like-a-built-in-engine") {
    configurations[0].name = "lmdb";
  } else if (how == "with-one-name-twice") {
    plugin.configuration_count = 2;
  } else if (how == "with-a-contradiction") {
    configurations[0].contract.commit = CHAOSGATE_SURVIVES_POWER_CUT;
    configurations[0].contract.flush = CHAOSGATE_SURVIVES_PROCESS_CRASH;
  } else if (how == "without-a-function") {
    plugin.functions.flush = nullptr;
  }
  return &plugin;
}
