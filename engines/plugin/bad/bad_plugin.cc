// A plugin that misbehaves in the way that its file name says: copy it to exits-on-load.so,
// hangs-in-write.so, ...
//
// For tests only. Without one of the names below it is the engine of the template, which behaves.
#include <dlfcn.h>
#include <unistd.h>

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

// "hangs-in-write" of ".../hangs-in-write.so".
std::string behaviour() {
  Dl_info info{};
  ::dladdr(reinterpret_cast<const void*>(&behaviour), &info);
  return std::filesystem::path(info.dli_fname).stem();
}

[[noreturn]] void hang() {
  for (;;) {
    ::pause();
  }
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
  if (how == "hangs-in-write") {
    hang();
  } else if (how == "throws-in-write") {
    throw std::runtime_error("thrown in write");
  } else if (how == "exits-in-write") {
    std::exit(0);
  } else if (how == "damages-its-heap") {
    damage_heap();
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
