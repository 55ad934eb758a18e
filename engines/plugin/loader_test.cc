// What check_plugin() and load_plugin() refuse, and that they say why.
#include "engines/plugin/loader.h"

#include <fstream>
#include <functional>

#include "engines/plugin/chaosgate_engine.h"
#include "harness/base/error.h"
#include "harness/base/file.h"
#include "harness/base/test.h"

using namespace chaosgate;
using namespace chaosgate::engines;
using Catch::Matchers::Contains;

namespace {

// A description in which nothing is wrong. Its functions must not be called.
struct Described {
  Described() {
    for (std::size_t i = 0; i < sizeof plugin.functions / sizeof(void*); ++i) {
      reinterpret_cast<void**>(&plugin.functions)[i] = this;
    }
    configuration.name = "one";
    configuration.family = "family";
    configuration.summary = "a summary";
    configuration.contract = {
        CHAOSGATE_SURVIVES_PROCESS_CRASH, CHAOSGATE_SURVIVES_POWER_CUT, 1, 1, 1, 0, nullptr, 0};
    configuration.file_classes = classes;
    configuration.file_class_count = 2;
    plugin.abi_version = CHAOSGATE_ENGINE_ABI_VERSION;
    plugin.struct_size = sizeof plugin;
    plugin.name = "plugin";
    plugin.version = "1";
    plugin.configurations = &configuration;
    plugin.configuration_count = 1;
  }

  chaosgate_file_class classes[2] = {{"data", "data", 0, 0}, {"other", "*", 0, 0}};
  chaosgate_configuration configuration{};
  chaosgate_plugin plugin{};
};

std::string wrong(const std::function<void(Described&)>& change) {
  Described described;
  change(described);
  return check_plugin(described.plugin);
}

std::string wrong_contract(const std::function<void(chaosgate_contract&)>& change) {
  return wrong([&](Described& d) { change(d.configuration.contract); });
}

}  // namespace

TEST_CASE("a sound description is accepted") {
  CHECK(wrong([](Described&) {}).empty());
}

TEST_CASE("what is not of this ABI is refused with both versions") {
  CHECK_THAT(wrong([](Described& d) { d.plugin.abi_version = 9; }),
             Contains("version 9") && Contains("has 1"));
  CHECK_THAT(wrong([](Described& d) { --d.plugin.struct_size; }), Contains("bytes, expected"));
  CHECK_THAT(wrong([](Described& d) { d.plugin.functions.iterator_prev = nullptr; }), Contains("is missing"));
}

TEST_CASE("names that cannot be used are refused") {
  for (const char* name :
       {"", "two words", "-dash", "a/b", "a:b", "a,b", static_cast<const char*>(nullptr)}) {
    INFO((name == nullptr ? "null" : name));
    CHECK_THAT(wrong([&](Described& d) { d.plugin.name = name; }), Contains("no usable name"));
    CHECK_THAT(wrong([&](Described& d) { d.configuration.name = name; }), Contains("no usable name"));
    CHECK_THAT(wrong([&](Described& d) { d.configuration.family = name; }), Contains("no family"));
  }
  const std::string long_name(65, 'x');
  CHECK_THAT(wrong([&](Described& d) { d.plugin.name = long_name.c_str(); }), Contains("no usable name"));
  CHECK_THAT(wrong([](Described& d) { d.configuration.summary = "two\nlines"; }), Contains("summary"));
}

TEST_CASE("a plugin needs configurations with names of their own") {
  CHECK_THAT(wrong([](Described& d) { d.plugin.configuration_count = 0; }), Contains("no configuration"));
  const Described one;
  const chaosgate_configuration twice[] = {one.configuration, one.configuration};
  CHECK_THAT(wrong([&](Described& d) {
               d.plugin.configurations = twice;
               d.plugin.configuration_count = 2;
             }),
             Contains("two configurations are named 'one'"));
}

TEST_CASE("a contract that contradicts itself is refused") {
  CHECK_THAT(wrong_contract([](chaosgate_contract& c) { c.flush = c.commit = CHAOSGATE_SURVIVES_NOTHING; }),
             Contains("contradicts itself") && Contains("flush survives nothing"));
  CHECK_THAT(wrong_contract([](chaosgate_contract& c) {
               c.commit = CHAOSGATE_SURVIVES_POWER_CUT;
               c.flush = CHAOSGATE_SURVIVES_PROCESS_CRASH;
             }),
             Contains("more (power-cut) than a flush (process-crash)"));
  CHECK_THAT(wrong_contract([](chaosgate_contract& c) {
               c.commit = CHAOSGATE_SURVIVES_POWER_CUT;
               c.opens_after_power_cut = 0;
             }),
             Contains("need not open"));
  CHECK_THAT(wrong_contract([](chaosgate_contract& c) { c.atomic_batches = 0; }), Contains("not atomic"));
  CHECK_THAT(wrong_contract([](chaosgate_contract& c) { c.flush = static_cast<chaosgate_durability>(3); }),
             Contains("durability"));
  const char* const nothing[] = {""};
  CHECK_THAT(wrong_contract([&](chaosgate_contract& c) {
               c.volatile_files = nothing;
               c.volatile_file_count = 1;
             }),
             Contains("volatile file"));
  // Damage is allowed where nothing is promised.
  CHECK(wrong_contract([](chaosgate_contract& c) { c.opens_after_power_cut = 0; }).empty());
}

TEST_CASE("every file must have a class") {
  CHECK_THAT(wrong([](Described& d) { d.configuration.file_class_count = 0; }),
             Contains("the last file class"));
  CHECK_THAT(wrong([](Described& d) { d.classes[1].pattern = "*.x"; }), Contains("the last file class"));
  CHECK_THAT(wrong([](Described& d) { d.classes[1].bytes_end = 4096; }), Contains("the last file class"));
  CHECK_THAT(wrong([](Described& d) { d.classes[0].name = ""; }), Contains("file class 0"));
}

TEST_CASE("a file that cannot be loaded is refused by its path, in one line") {
  const TempDir directory(std::filesystem::temp_directory_path(), "chaosgate-loader-");
  const auto refusal = [](const std::filesystem::path& path) {
    try {
      load_plugin(path);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto path = directory.path() / "text.so";
  CHECK_THAT(refusal(path), Contains(path.string()) && Contains("no such file"));
  std::ofstream(path) << "not a shared object\n";
  CHECK_THAT(refusal(path), Contains(path.string()) && Contains("shared object") && !Contains("\n"));
  CHECK_THAT(refusal(directory.path()), Contains("no such file"));
}
